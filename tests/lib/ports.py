# SPDX-License-Identifier: MIT
"""A block of free ports for a stack of one's own, also while other test runs look for theirs."""

import fcntl
import os
import random
import socket
import tempfile

BLOCK = 21  # PORT itself and what scripts/run derives from it, with room
FIRST, LAST = 20000, 32000  # below the range from which the kernel takes ports for outgoing connections


def _free(port):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (97, 99):  # this machine has no IPv6
                continue
            return False
    return True


def _still_there(path, descriptor):
    """A waiter for a lock file that was just released holds a deleted file, which no other process sees."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


class Block:
    """Ports first..first+20, held by a lock file until release()."""

    def __init__(self):
        bases = list(range(FIRST, LAST, 25))
        random.shuffle(bases)
        for base in bases:
            path = os.path.join(tempfile.gettempdir(), f"carillon-ports-{base}.lock")
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            except OSError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                continue
            if _still_there(path, descriptor) and all(_free(base + i) for i in range(BLOCK)):
                self.first, self._path, self._descriptor = base, path, descriptor
                return
            os.close(descriptor)
        raise RuntimeError("no free block of ports")

    def release(self):
        if self._descriptor >= 0:
            os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1
