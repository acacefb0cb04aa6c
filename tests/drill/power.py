# SPDX-License-Identifier: MIT
"""The drill with power cuts (cuts.py) in place of strikes: its order, its table, its command line."""

import argparse
import itertools
import random
import subprocess
import tempfile
import time
from pathlib import Path

from lib.disk import KINDS, Disk, Unavailable, leave_witness, self_check, witness_lost

from . import main as drill
from .cuts import FULL, LOADED, NEW, RENEWED, RISING, Cuts, Outcome, Power, cuts, keep_logs, kind_of

SKIPPED = 77

# No event is forgotten early: RabbitMQ's confirmed messages stay unflushed for half a minute.
SETTINGS = {name: value for name, value in drill.SETTINGS.items() if name != "HEAL_WINDOW_S"}

LIMIT_S = 30  # from the start of scripts/run until the service answers and events flow


class PowerDrill(drill.Drill):
    settings = SETTINGS
    skipped = 1  # read errors

    def __init__(self, given):
        super().__init__(given)
        self.small_ring = True  # clients may be told to read everything again; how often is in the table
        self.disk = None
        self.first_outcomes = []

    def bring_up(self):
        directory = self.stack.run_dir.parent
        self.disk = Disk(directory, self.stack.run_dir, kind_of(self.given.disk, 0))
        keep_logs(self.stack)
        self.power = Power(self.stack, self.disk, "--notifiers", str(drill.NOTIFIERS))
        self.say(f"{self.disk.kind} on a disk of its own in {directory}")
        for cut in itertools.islice(self.plan(), self.first_starts):
            self.cut_first_start(cut)

    def prepare(self):
        super().prepare()
        # As if it had run for half a minute: files that RabbitMQ needs to start and writes only once are on the disk, and
        # so are the right and the table of the SQL writers.
        self.disk.flush()

    def cut_first_start(self, cut):
        outcome, name = Outcome(cut, self.disk.kind), f"witness-{cut.number}"
        if cut.number > 1:
            self.stack.script("stop", timeout=60)
        self.power.on("--reset")
        time.sleep(cut.after)
        self.power.hold_supervisors()
        leave_witness(self.disk.place, name)
        began = time.monotonic()
        self.disk.cut()
        outcome.copied_ms = (time.monotonic() - began) * 1000
        self.power.off(self.disk.kind)
        outcome.witness_lost = witness_lost(self.disk.place, name)
        self.power.on()
        while not self.power.start.over():
            time.sleep(0.05)
        start = self.power.start
        if start.status != 0:
            raise AssertionError(f"{cut}: scripts/run ended with {start.status}: {start.said()[-2000:]}")
        outcome.started, outcome.renewed = start.took, RENEWED in start.said()
        self.first_outcomes.append(outcome)
        self.say(f"{cut} after {cut.after:.1f} s, {outcome.kind}: started in {outcome.started:.1f} s")

    def chaos(self, probe):
        return Cuts(self.power, self.targets(), probe, self.crowd, self.say, self.sql_writers)

    @property
    def first_starts(self):
        return 1 if self.given.cuts is None else max(1, self.given.cuts // 20)

    def plan(self):
        return itertools.islice(cuts(self.given.seed, self.first_starts), self.given.cuts)

    async def strike_all(self, chaos):
        began = time.monotonic()

        def done(cut):
            return cut.number / (self.given.cuts + 1) if self.given.cuts else (time.monotonic() - began) / 60 / self.given.minutes

        try:
            for cut in itertools.islice(self.plan(), self.first_starts, None):
                if done(cut) >= 1:
                    break
                await chaos.strike(cut, kind_of(self.given.disk, done(cut)))
            await chaos.settle()
        finally:
            self.problems += chaos.problems
            self.outcomes = self.first_outcomes + chaos.outcomes
        self.struck_s = time.monotonic() - began

    def remove(self):
        """All of the stack, and the disk it was on."""
        self.stack.script("stop", timeout=60, check=False)
        if self.disk:
            if self.given.keep:
                subprocess.run(["cp", "-a", f"{self.stack.run_dir}/.", self.stack.run_dir.parent / "kept"], check=False)
            subprocess.run(["umount", "--lazy", self.stack.run_dir / "log"], stderr=subprocess.DEVNULL)
            self.disk.remove()
        self.stack.stop(self.given.keep)

    # -- what it found

    def late(self):
        return [
            f"{outcome.cut}: recovered only after {outcome.recovery:.1f} s"
            for outcome in self.outcomes
            if outcome.recovery is not None and outcome.recovery > LIMIT_S * outcome.stretch
        ]

    def judge_method(self):
        return [] if any(outcome.witness_lost for outcome in self.outcomes) else ["no cut lost what had not been flushed: it is none"]

    def judge(self):
        return self.late() + self.judge_method()

    def table(self):
        return table(self.outcomes)

    def counts(self):
        copied = sorted(outcome.copied_ms for outcome in self.outcomes)
        return [
            ("cuts", f"{len(copied)}, in {self.struck_s:.0f} s; the copy took {copied[len(copied) // 2]:.0f} ms, at most {copied[-1]:.0f}"),
            ("read errors", f"skipped: {read_errors()}"),
        ]

    def command(self):
        much = f"--cuts {self.given.cuts}" if self.given.cuts else f"--minutes {self.given.minutes:g}"
        return f"--power {much} --seed {self.given.seed} --rate {self.given.rate:g} --disk {self.given.disk}"


def table(outcomes):
    lines = [f"{'cut':<10}{'ext4':>7}{'xfs':>7}{'recovered: half within':>25}{'worst':>9}{'limit':>8}{'unflushed file lost':>22}{'broker renewed':>17}{'second start':>15}"]
    for way in (LOADED, RISING, FULL, NEW):
        mine = [outcome for outcome in outcomes if outcome.cut.way == way]
        if not mine:
            continue
        times = sorted(outcome.recovery or outcome.started for outcome in mine if outcome.started is not None)
        half, worst = (f"{times[len(times) // 2]:.1f} s", f"{times[-1]:.1f} s") if times else ("-", "-")
        on = [sum(outcome.kind == kind for outcome in mine) for kind in ("ext4", "xfs")]
        witnesses = [outcome.witness_lost for outcome in mine if outcome.witness_lost is not None]
        lost = f"{sum(witnesses)} of {len(witnesses)}"
        renewed, again = sum(outcome.renewed for outcome in mine), sum(outcome.starts > 1 for outcome in mine)
        lines.append(f"{way:<10}{on[0]:>7}{on[1]:>7}{half:>25}{worst:>9}{LIMIT_S:>6} s{lost:>22}{renewed:>17}{again:>15}")
    return lines


def read_errors():
    """Why none are made: they take a device mapper target (error, flakey) below the file system."""
    if Path("/sys/class/misc/device-mapper").exists():
        return "the kernel has a device mapper, but no target for it was built here"
    return "this kernel has no device mapper, whose targets make them"


# ---- from the command line ---------------------------------------------------------------------------


def arguments(argv):
    parser = argparse.ArgumentParser(prog="scripts/drill", add_help=False)
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--disk", choices=(*KINDS, "both"), default="both")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(argv)
    if given.cuts is None and given.minutes is None:
        given.cuts = 10
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1_000_000)
    return given


def check_method(given):
    """Lines about cuts that do not lose unflushed data here, or lose more."""
    wrong = []
    for kind in KINDS if given.disk == "both" else [given.disk]:
        with tempfile.TemporaryDirectory(prefix="carillon-power-") as directory:
            wrong += self_check(directory, kind)
    return wrong


def main(argv):
    given = arguments(argv)
    try:
        wrong = check_method(given)
    except Unavailable as why:
        print(f"0 passed, 0 failed, 1 skipped\nno power can be cut here: {why}")
        return SKIPPED
    if wrong:
        print("\n".join(wrong), "0 passed, 1 failed, 0 skipped", sep="\n")
        return 1
    return PowerDrill(given).run()
