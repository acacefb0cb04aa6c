# SPDX-License-Identifier: MIT
"""The order of the run: stacks; for each attack bystanders, the attack and its judgement; then the table."""

import argparse
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import report
from .bystanders import Bystanders
from .ground import Ground
from .health import Health
from .judge import Judge
from .plan import ATTACKS, NAMES


@dataclass
class Outcome:
    name: str
    judge: Judge
    findings: list
    sent: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    memory: str = ""


def arguments(argv):
    parser = argparse.ArgumentParser(prog="scripts/attack", add_help=False)
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--count", type=int)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(argv)
    if given.count is not None and given.count < 1:
        parser.error("--count needs a number above 0")
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1_000_000)
    return given


class Campaign:
    def __init__(self, given):
        self.given = given
        self.began = time.monotonic()
        self.wanted = [attack for attack in ATTACKS if not given.only or attack.name in given.only]
        self.grounds, self.healths, self.outcomes = {}, {}, []

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f}  {text}", flush=True)

    def prepare(self):
        """An open stack, a guarded one, or both, at the same time."""
        kinds = sorted({attack.guarded for attack in self.wanted})
        with ThreadPoolExecutor(2) as pool:
            starting = {guarded: pool.submit(Ground, guarded) for guarded in kinds}
        for guarded, future in starting.items():
            if future.exception() is None:
                self.grounds[guarded] = future.result()
        for future in starting.values():
            future.result()
        for guarded, ground in self.grounds.items():
            self.say(f"{'guarded' if guarded else 'open'} stack in {ground.stack.run_dir}, {ground.stack.http}")
            self.healths[guarded] = Health(ground)

    def attack(self, attack):
        ground, health, judge = self.grounds[attack.guarded], self.healths[attack.guarded], Judge()
        count = attack.short if self.given.short else attack.count
        ground.aim(self.given.seed, self.given.count or count, self.given.short)
        outcome = Outcome(attack.name, judge, judge.findings)
        self.outcomes.append(outcome)
        began = time.monotonic()
        try:
            with Bystanders(ground) as bystanders:
                attack.run(ground, judge)
            outcome.p50, outcome.p99 = bystanders.quantile(0.5), bystanders.quantile(0.99)
            for line in bystanders.problems():
                judge.find(line)
        except Exception as error:  # the other attacks still run
            judge.find(f"{type(error).__name__}: {error}")
        outcome.sent, outcome.seconds = judge.sent, time.monotonic() - began
        for line in health.problems():
            judge.find(line)
        outcome.memory = health.memory()
        notes = "; ".join([f"{outcome.sent:,} sent", *ground.notes])
        self.say(f"{attack.name}: {notes}; {len(judge.findings) + judge.more} findings")
        for line in judge.findings:
            print("  " + line, flush=True)

    def run(self):
        remaining = []
        try:
            self.prepare()
            for attack in self.wanted:
                self.attack(attack)
        finally:
            for ground in self.grounds.values():
                ground.close(self.given.keep)
            remaining = [process for health in self.healths.values() for process in health.still_running()]
        return self.tell(remaining)

    def tell(self, remaining):
        bad = [outcome for outcome in self.outcomes if outcome.findings]
        print("", *report.table(self.outcomes), "", sep="\n")
        if remaining:
            print(f"still running after scripts/stop: {remaining}")
        only = "".join(f" --only {name}" for name in self.given.only or [])
        much = " --short" * self.given.short + (f" --count {self.given.count}" if self.given.count else "")
        print(f"repeat with     scripts/attack{much} --seed {self.given.seed}{only}\n")
        failed = len(bad) + bool(remaining)
        print(f"{len(self.outcomes) - len(bad)} passed, {failed} failed, 0 skipped")
        return 1 if failed else 0


def main(argv):
    # Ctrl-C and a supervisor's SIGTERM alike stop the stacks on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = arguments(argv)
    if given.list:
        for attack in ATTACKS:
            print(f"{attack.name:<12}{attack.what}")
        return 0
    return Campaign(given).run()
