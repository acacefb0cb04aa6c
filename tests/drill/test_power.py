# SPDX-License-Identifier: MIT
"""The way the drill cuts the power (scripts/drill --power) loses what it must, and nothing else."""

import itertools
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from drill import cuts, power
from lib import proc
from lib.disk import KINDS, Disk, Unavailable, self_check
from lib.wait import eventually


@pytest.fixture
def disks(tmp_path):
    (tmp_path / "probe").mkdir()
    try:
        Disk(tmp_path / "probe", tmp_path / "probe" / "place").remove()
    except Unavailable as why:
        pytest.skip(str(why))


@pytest.mark.usefixtures("disks")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_flushed_is_gone(kind, tmp_path):
    assert self_check(tmp_path, kind) == []


@pytest.mark.usefixtures("disks")
@pytest.mark.parametrize("kind", KINDS)
def test_the_check_can_fail(kind, tmp_path):
    """With everything flushed before the cut nothing is lost, and the check says so."""
    assert len(self_check(tmp_path, kind, before_cut=Disk.flush)) == 2


@pytest.mark.usefixtures("disks")
@pytest.mark.parametrize("kind", KINDS)
def test_full_and_moved(kind, tmp_path):
    disk = Disk(tmp_path, tmp_path / "place", kind)
    try:
        disk.fill()
        with pytest.raises(OSError):
            (disk.place / "more").write_bytes(bytes(1 << 20))
        disk.cut()
        [other] = set(KINDS) - {kind}
        disk.lose(other)
        assert disk.kind == other
        disk.make_room()
        (disk.place / "more").write_bytes(bytes(1 << 20))
    finally:
        disk.remove()


def test_the_plan_comes_from_the_seed():
    def first(seed):
        return list(itertools.islice(cuts.cuts(seed, 10), 200))

    assert first(1) == first(1) != first(2)
    ways = [cut.way for cut in first(1)]
    assert ways[:10] == [cuts.NEW] * 10 and ways[10] != cuts.RISING
    assert set(ways[10:]) == {cuts.LOADED, cuts.RISING, cuts.FULL}


def test_the_file_systems():
    assert [cuts.kind_of("both", done) for done in (0, 0.4, 0.5, 1)] == ["ext4", "ext4", "xfs", "xfs"]
    assert cuts.kind_of("xfs", 0.1) == "xfs"


def test_it_judges_itself():
    """A cut that loses nothing is reported, and so is a recovery that takes too long."""
    given = power.arguments(["--power", "--cuts", "1", "--seed", "1"])
    drill, cut = power.PowerDrill(given), next(cuts.cuts(1, 1))
    drill.outcomes = [cuts.Outcome(cut, "ext4", witness_lost=False, recovery=power.LIMIT_S + 1)]
    assert [line.split(":")[0] for line in drill.judge()] == ["cut 1 (new)", "no cut lost what had not been flushed"]
    drill.outcomes = [cuts.Outcome(cut, "ext4", witness_lost=True, recovery=power.LIMIT_S + 1, stretch=2)]
    assert drill.judge() == []


class Rising(cuts.Power):
    """Its nginx makes a worker just after the first look at the processes."""

    def __init__(self, directory):
        super().__init__(SimpleNamespace(run_dir=directory), None)
        program = directory / "nginx"
        program.write_text("#!/bin/bash\ntrap '(sleep 60; :) & wait' USR1\nsleep 60 & wait\nwait\n")
        program.chmod(0o700)
        self.master = subprocess.Popen([program], start_new_session=True)

    def nginx(self):
        return [process for process in super().processes() if process.name == "nginx"]

    def processes(self):
        found = super().processes()
        if len(self.nginx()) == 1:
            os.kill(self.master.pid, signal.SIGUSR1)
            eventually(lambda: len(self.nginx()) > 1, 5, "nginx has a worker")
        return found


def test_no_entrance_stays_open(tmp_path):
    """A worker that nginx makes while all are being stopped would go on answering while the disk is copied."""
    power = Rising(tmp_path)
    try:
        eventually(lambda: len(proc.tree(power.master.pid)) > 1, 5, "nginx listens to signals")
        held = power.hold_entrances()
        assert len(held) == 2 and {process.state for process in held} == {"T"}
    finally:
        os.killpg(power.master.pid, signal.SIGKILL)
        power.master.wait()
