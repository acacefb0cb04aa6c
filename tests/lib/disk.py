# SPDX-License-Identifier: MIT
"""A disk whose power can be cut: a file system on a loop device over a file that a reflink copies in milliseconds, while
everything runs. Data that was not flushed is in the kernel's memory only, not in the file nor in its copy; so the
copy is what a machine would find after a power cut at that moment.

The file lies on a file system with reflinks: the one of `directory`, or an XFS image made there. What a real disk's own
cache may lose, or write out of order, is not in this picture: each block that the kernel has written counts as kept."""

import errno
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from .wait import Late, eventually

FICLONE = 0x40049409
SHUTDOWN, NO_FLUSH = 0x8004587D, (2).to_bytes(4, "little")  # XFS_IOC_GOINGDOWN, which ext4 has, too
KINDS = {"ext4": ["mkfs.ext4", "-q"], "xfs": ["mkfs.xfs", "-q", "-s", "size=4096"]}
SIZE = 2 << 30  # sparse
OUTER_SIZE = 32 << 30
SECTOR = "4096"  # direct I/O needs no less where the disk below has such sectors


class Unavailable(Exception):
    """The reason why there can be no such disk here."""


def _run(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"there is no {command[0]}") from None
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _unmounted(place):
    return subprocess.run(["umount", place], capture_output=True).returncode == 0


def _unmount(place):
    """At any price."""
    try:
        eventually(lambda: _unmounted(place) or not os.path.ismount(place), 5)
    except Late:
        subprocess.run(["umount", "--lazy", place], stderr=subprocess.DEVNULL)


def _sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


def _reflink(source, target):
    before, after = os.open(source, os.O_RDONLY), os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        fcntl.ioctl(after, FICLONE, before)
    finally:
        os.close(before)
        os.close(after)


class Ground:
    """A directory in which files can be reflinked."""

    def __init__(self, directory):
        self._image, self._device, self.path = directory / "ground.img", None, directory / "ground"
        self.path.mkdir()
        if self._reflinks():
            return
        _sparse(self._image, OUTER_SIZE)
        try:
            _run("mkfs.xfs", "-q", "-m", "reflink=1", "-s", "size=" + SECTOR, self._image)
            self._device = _run("losetup", "--find", "--show", "--sector-size", SECTOR, self._image)
            # The copies need not outlive this machine: a flush inside ends here, and is not handed on to its disk.
            Path(f"/sys/block/{self._device.removeprefix('/dev/')}/queue/write_cache").write_text("write through")
            _run("mount", self._device, self.path)
        except (Unavailable, OSError) as error:
            self.remove()
            raise Unavailable(str(error)) from None

    def _reflinks(self):
        source, target = self.path / "a", self.path / "b"
        source.write_bytes(bytes(4096))
        try:
            _reflink(source, target)
            return True
        except OSError:
            return False
        finally:
            source.unlink()
            target.unlink(missing_ok=True)

    def remove(self):
        if self._device:
            _unmount(self.path)
            subprocess.run(["losetup", "--detach", self._device], stderr=subprocess.DEVNULL)
        self._image.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)


class Disk:
    """Mounted at `place` until remove(). Needs root; raises Unavailable where it cannot be had."""

    def __init__(self, directory, place, kind="ext4"):
        if os.geteuid() != 0:
            raise Unavailable("loop devices and mounts need root")
        self.place, self.kind = Path(place), kind
        self.place.mkdir(parents=True, exist_ok=True)
        self._ground = Ground(Path(directory))
        self._number, self._device = 0, None
        try:
            self._make(self._file, kind)
            self._attach()
        except Unavailable:
            self.remove()
            raise

    @property
    def _file(self):
        return self._ground.path / f"disk-{self._number}"

    def _make(self, path, kind):
        _sparse(path, SIZE)
        _run(*KINDS[kind], path)

    def _attach(self):
        self._device = _run("losetup", "--find", "--show", "--sector-size", SECTOR, "--direct-io=on", self._file)
        # Where another mount namespace still holds the disk of before, XFS would refuse a second one with its name.
        _run("mount", "-o", "nouuid" if self.kind == "xfs" else "defaults", self._device, self.place)

    def _detach(self):
        eventually(lambda: _unmounted(self.place), 20, f"{self.place} is unmounted")
        _run("losetup", "--detach", self._device)
        self._device = None
        self._file.unlink()

    # -- the cut

    def cut(self):
        """Takes the copy that the next loss() restores. Only this caller waits for it, for milliseconds."""
        _reflink(self._file, self._ground.path / f"disk-{self._number + 1}")

    def lose(self, kind=None):
        """What came after cut() was never written. No process may have a file open there. With `kind`, what is left
        is moved to a new file system of that kind."""
        place = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(place, SHUTDOWN, NO_FLUSH)  # or unmounting would write out, at leisure, what is thrown away
        finally:
            os.close(place)
        self._detach()
        self._number += 1
        self._attach()
        if kind not in (None, self.kind):
            self._move(kind)

    def _move(self, kind):
        old = self.place.parent / "old"
        old.mkdir()
        _run("mount", "--move", self.place, old)
        before, device = self._file, self._device
        self._number, self.kind = self._number + 1, kind
        self._make(self._file, kind)
        self._attach()
        _run("cp", "-a", f"{old}/.", self.place)
        self.flush()
        _run("umount", old)
        _run("losetup", "--detach", device)
        before.unlink()
        old.rmdir()

    def flush(self):
        """All that was written so far is kept."""
        _run("sync", "--file-system", self.place)

    # -- its room

    def fill(self):
        """Takes all of it, also what is kept for root."""
        descriptor, end = os.open(self.place / "full", os.O_CREAT | os.O_WRONLY, 0o600), 0
        try:
            step = 64 << 20
            while step >= 4096:
                try:
                    os.posix_fallocate(descriptor, end, step)
                    end += step
                except OSError:
                    step //= 2
        finally:
            os.close(descriptor)

    def make_room(self):
        (self.place / "full").unlink(missing_ok=True)

    def remove(self):
        if self._device:
            _unmount(self.place)
            subprocess.run(["losetup", "--detach", self._device], stderr=subprocess.DEVNULL)
            self._device = None
        self._ground.remove()


# ---- what proves it ----------------------------------------------------------------------------------


def leave_witnesses(place, name):
    """A file that was flushed, and after that one that was not, and more in the first."""
    with open(place / f"{name}-flushed", "wb", buffering=0) as flushed:
        flushed.write(b"kept " * 1000)
        os.fsync(flushed.fileno())
        directory = os.open(place, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        flushed.write(b"lost " * 1000)
    leave_witness(place, name)


def leave_witness(place, name):
    """Whether there was room for it."""
    try:
        (place / name).write_bytes(b"lost " * 1000)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def witness_lost(place, name):
    """Whether the data that was not flushed is gone."""
    path = place / name
    gone = not path.exists() or b"lost" not in path.read_bytes()
    path.unlink(missing_ok=True)
    return gone


def self_check(directory, kind, before_cut=lambda disk: None):
    """Lines about faults of this way to cut the power: flushed bytes must survive, others must not."""
    place = Path(directory) / "place"
    disk, wrong = Disk(directory, place, kind), []
    try:
        leave_witnesses(place, "witness")
        before_cut(disk)
        disk.cut()
        disk.lose()
        flushed = place / "witness-flushed"
        kept = flushed.read_bytes() if flushed.exists() else b""
        if not kept.startswith(b"kept " * 1000):
            wrong.append(f"{kind}: a file that was flushed has {len(kept)} bytes after the cut")
        if b"lost" in kept:
            wrong.append(f"{kind}: bytes that were not flushed, behind some that were, are there after the cut")
        if not witness_lost(place, "witness"):
            wrong.append(f"{kind}: a file that was not flushed is there after the cut")
    finally:
        disk.remove()
    return wrong
