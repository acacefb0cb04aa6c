# SPDX-License-Identifier: MIT
"""Power cuts: the whole stack lies on a disk (lib/disk.py) that loses what was not flushed. A cut is a copy of that disk
at a moment of the plan; then every process dies, and scripts/run starts what the copy holds.

    loaded   under load, when all had recovered from the last cut
    rising   while the stack comes up after the last one: power that flickers
    full     the disk is full by then; there is room again some seconds after the start
    new      in the first start of all, before there are clients

After the copy, clients would hear events that the copy lacks. So nginx and the notifiers, through which clients hear
everything, are stopped from just before the copy until they are killed. SQL writers, which talk to the database itself,
are killed just before it, and start again when all is dead."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

from lib import proc
from lib.disk import KINDS, leave_witness, witness_lost
from lib.stack import ROOT
from lib.wait import eventually

from .report import clock

LOADED, RISING, FULL, NEW = "loaded", "rising", "full", "new"

GIVE_UP_S = 600
ROOM_AFTER_S = 6
FIRST_START_S = 12
RENEWED = "RabbitMQ's data are made anew"
STANDING = ("nginx", "ws-notifier")
SUPERVISORS = ("s6-svscan", "s6-supervise")
PACKAGERS = ("apt-get", "dpkg")


@dataclass(frozen=True)
class Cut:
    number: int
    way: str
    after: float  # seconds of load; of `rising`, 0..1: how much of the last start

    def __str__(self):
        return f"cut {self.number} ({self.way})"


@dataclass
class Outcome:
    cut: Cut
    kind: str  # of file system
    at: float = 0  # time.time()
    copied_ms: float = 0
    witness_lost: bool = None  # None: there was no room for one
    starts: int = 1  # of scripts/run, until one went well
    renewed: bool = False  # RabbitMQ began with new data
    started: float = None  # seconds of scripts/run
    recovery: float = None  # None: the next cut came before
    stretch: float = 1.0


def cuts(seed, first_starts):
    """Without end; those in a first start come first."""
    chance = random.Random(f"power {seed}")
    for number in itertools.count(1):
        way = chance.choices((LOADED, RISING, FULL), (6, 4, 1))[0]
        if number <= first_starts:
            yield Cut(number, NEW, chance.uniform(0, FIRST_START_S))
        elif way == RISING and number > first_starts + 1:
            yield Cut(number, RISING, chance.random())
        else:
            yield Cut(number, way if way == FULL else LOADED, chance.uniform(0.2, 3.0))


def kind_of(disk, done):
    """The file system when so much of the run is done (0..1): with `both` the first half on one, the second on the other."""
    kinds = list(KINDS) if disk == "both" else [disk]
    return kinds[min(int(done * len(kinds)), len(kinds) - 1)]


class Start:
    """scripts/run, and its output. Its parts live on after it; it, and the helpers that it started, are one group."""

    def __init__(self, stack, options):
        command = [ROOT / "scripts" / "run", "--detach", "--no-build", *options]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command, env=stack.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.at, self._began = time.time(), time.monotonic()
        self.status = self.took = None

    def over(self):
        if self.status is None and self._process.poll() is not None:
            self.status, self.took = self._process.returncode, time.monotonic() - self._began
        return self.status is not None

    def tree(self):
        return [] if self.over() else proc.tree(self._process.pid)

    def lasts(self):
        return time.monotonic() - self._began

    def said(self):
        self._output.seek(0)
        return self._output.read()

    def signal(self, number):
        if not self.over():
            os.killpg(self._process.pid, number)
        if number == signal.SIGKILL:
            self._process.wait()


class Power:
    """Power for the disk and the processes: on, and off."""

    def __init__(self, stack, disk, *options):
        self.stack, self.disk, self._options, self.start = stack, disk, options, None

    def on(self, *options):
        self.start = Start(self.stack, (*self._options, *options))

    def processes(self):
        return [process for process in proc.of_stack(self.stack.run_dir) if process.state not in "ZX"]

    def hold_supervisors(self):
        """Stops them, so that no nginx or notifier starts between this and the cut."""
        if self.start:
            # A package installation belongs to this machine, not to the stack.
            eventually(lambda: not any(process.name in PACKAGERS for process in self.start.tree()), GIVE_UP_S, "packages are installed", interval=0.5)
            self.start.signal(signal.SIGSTOP)
        for process in self.processes():
            if process.name in SUPERVISORS:
                _signal(process.pid, signal.SIGSTOP)

    def hold_entrances(self):
        """Stops every nginx and notifier, and returns them. One that has just started makes its workers after a look, and they
        would go on answering: so it is looked until none moves."""
        while True:
            standing = [process for process in self.processes() if process.name in STANDING]
            moving = [process for process in standing if process.state not in "Tt"]
            if not moving:
                return standing
            for process in moving:
                with contextlib.suppress(OSError):  # it has just ended
                    process.kill(signal.SIGSTOP)

    def off(self, kind):
        """After disk.cut()."""
        if self.start:
            self.start.signal(signal.SIGKILL)
        eventually(self._killed, GIVE_UP_S, "every process of the stack is dead", interval=0.01)
        # A process that is ending may keep a log open for a moment.
        subprocess.run(["umount", "--lazy", self.stack.run_dir / "log"], check=True)
        self.disk.lose(kind)
        keep_logs(self.stack)

    def _killed(self):
        left = self.processes()
        for process in left:
            _signal(process.pid, signal.SIGKILL)
        return not left


class Cuts:
    """Makes the plan happen, from the first cut after the first start."""

    def __init__(self, power, targets, probe, crowd, say, sql_writers=()):
        self._power, self._targets, self._probe, self._crowd, self._say = power, targets, probe, crowd, say
        self._sql_writers = sql_writers
        self.outcomes, self.problems = [], []

    async def strike(self, cut, kind):
        if cut.way != RISING:
            await self.settle()
        outcome, disk = Outcome(cut, kind), self._power.disk
        if cut.way == FULL:
            await _aside(disk.fill)
        await asyncio.sleep(cut.after * (self._took() if cut.way == RISING else 1))
        await self._cut(outcome)
        self.outcomes.append(outcome)
        self._power.on()
        if cut.way == FULL:
            await self._until_started(ROOM_AFTER_S)
            disk.make_room()

    def _took(self):
        return next((outcome.started for outcome in reversed(self.outcomes) if outcome.started), FIRST_START_S)

    async def _cut(self, outcome):
        disk, name = self._power.disk, f"witness-{outcome.cut.number}"
        await _aside(self._power.hold_supervisors)
        left = leave_witness(disk.place, name)
        # From here until nginx and the notifiers are dead nothing else of this process runs.
        standing = self._power.hold_entrances()
        for writer in self._sql_writers:
            writer.hold()
        outcome.at, began = time.time(), time.monotonic()
        disk.cut()
        outcome.copied_ms = (time.monotonic() - began) * 1000
        for process in standing:
            _signal(process.pid, signal.SIGKILL)
        await _aside(lambda: self._power.off(outcome.kind))
        for writer in self._sql_writers:
            writer.release()
        outcome.witness_lost = witness_lost(disk.place, name) if left else None

    # -- and what comes after it

    async def _until_started(self, limit):
        """Whether it is over by then."""
        while not self._power.start.over() and self._power.start.lasts() < limit:
            await asyncio.sleep(0.05)
        return self._power.start.over()

    async def settle(self):
        """Until the service has recovered from the last cut."""
        if not self.outcomes or self.outcomes[-1].recovery is not None:
            return
        outcome, began = self.outcomes[-1], self._power.start.at
        while not await self._until_started(GIVE_UP_S) or self._power.start.status != 0:
            self._did_not_start(outcome)
        outcome.started, outcome.renewed = self._power.start.took, RENEWED in self._power.start.said()

        def whole():
            return all(self._targets.whole(name) for name in ("api-pool", "nginx", "notifier", "rabbitmq", "mariadb"))

        outcome.recovery = await self._probe.recovered(began, whole, GIVE_UP_S)
        outcome.stretch = self._crowd.stretch(began)
        if outcome.recovery is None:
            raise AssertionError(f"{outcome.cut}: not recovered after {GIVE_UP_S} s")
        with_what = ", with a new broker" if outcome.renewed else ""
        self._say(f"{outcome.cut}, {outcome.kind}, at {clock(outcome.at)}: started in {outcome.started:.1f} s{with_what}, recovered after {outcome.recovery:.1f} s")
        if outcome.renewed:
            await _aside(self._power.disk.flush)

    def _did_not_start(self, outcome):
        start = self._power.start
        if not start.over():
            raise AssertionError(f"{outcome.cut}: scripts/run is not done after {GIVE_UP_S} s: {start.said()[-1000:]}")
        outcome.starts += 1
        if outcome.cut.way != FULL:
            self.problems.append(f"{outcome.cut}: scripts/run ended with {start.status}: {start.said()[-600:]}")
        if outcome.starts > 3:
            raise AssertionError(f"{outcome.cut}: no start of three went well: {start.said()[-2000:]}")
        self._power.on()

    def thaw(self):
        """However the drill ends, no process stays stopped."""
        if self._power.start:
            self._power.start.signal(signal.SIGKILL)
        for process in self._power.processes():
            if process.state in "Tt":
                _signal(process.pid, signal.SIGKILL if process.name in STANDING else signal.SIGCONT)


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _aside(work):
    return asyncio.get_running_loop().run_in_executor(None, work)


def keep_logs(stack):
    """The logs are elsewhere, so that a cut does not lose them."""
    inside, outside = stack.run_dir / "log", stack.run_dir.parent / "log"
    for path in (inside, outside):
        path.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["mount", "--bind", outside, inside], check=True)
