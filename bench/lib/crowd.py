# SPDX-License-Identifier: MIT
"""The load programs of scripts/scale (bench/crowd.c): one for each notifier, and one that makes changes."""

import json
import os
import select
import subprocess
import time

from lib.tools import Failed, say

PROGRESS_S = 10
ANSWER_S = 60  # a crowd that says nothing for so long on a busy machine is stuck
LIMIT_S = 300  # what goes up and down for so long does not arrive


class Crowd:
    """One process."""

    def __init__(self, program, **options):
        self.command = [program]
        for name, value in options.items():
            self.command += ["--" + name.replace("_", "-"), str(value)]
        # A session of its own: the kernel may share its time by sessions (sched_autogroup), and on a busy machine clients that
        # share one are too slow to answer the notifier's pings.
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.pid = self.process.pid
        self.held = b""

    def tell(self, *words):
        try:
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            self._ended()

    def report(self):
        self.tell("report")
        while b"\n" not in self.held:
            if not select.select([self.process.stdout], [], [], ANSWER_S)[0]:
                raise Failed(f"a load program (pid {self.pid}) has said nothing for {ANSWER_S} s")
            got = os.read(self.process.stdout.fileno(), 1 << 20)
            if not got:
                self._ended()
            self.held += got
        line, self.held = self.held.split(b"\n", 1)
        return json.loads(line)

    def _ended(self):
        said = self.process.stderr.read().decode(errors="replace").strip()
        raise Failed(said or f"a load program ended with {self.process.wait(5)}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


class Crowds:
    """All of them. What each reports is added up; an interval begins with the report before."""

    def __init__(self, program, doors, sockets, user_base, http):
        self.sockets = sockets
        self.all = []
        for index, door in enumerate(doors):
            share = sockets // len(doors) + (index < sockets % len(doors))
            self.all.append(Crowd(program, ws=door, clients=share, user_base=user_base))
            user_base += share
        self.writer = Crowd(program, http=http)

    def pids(self):
        return [crowd.pid for crowd in [*self.all, self.writer]]

    def stop(self):
        for crowd in [*self.all, self.writer]:
            crowd.stop()

    def tell(self, *words):
        for crowd in self.all:
            crowd.tell(*words)

    def report(self):
        """Since the last one."""
        reports = [crowd.report() for crowd in self.all]
        total = {name: sum(one[name] for one in reports) for name in reports[0] if isinstance(reports[0][name], int)}
        total["own_us"] = sorted(value for one in reports for value in one["own_us"])
        total["in_at"] = max(one["in_at"] for one in reports)
        total["shared_first_at"] = min((one["shared_first_at"] for one in reports if one["shared_first_at"]), default=0)
        for name in ("shared_last_at", "shared_due_at"):
            total[name] = max(one[name] for one in reports)
        if total["disorder"]:
            raise Failed(f"{total['disorder']} events came twice, or without the one before")
        return total

    def until(self, what, wanted, patience, enough=lambda total: False, pause=0.2):
        """The sum of all reports until `enough`, which looks at it; `wanted` and `what` (a figure's name) are for the progress.
        Fails when that figure stands still for `patience` seconds."""
        total, begin = None, time.monotonic()
        told, moved, before = begin, begin, -1
        while True:
            one = self.report()
            total = merge(total, one)
            now = time.monotonic()
            if enough(total):
                return total
            if total[what] != before:
                moved, before = now, total[what]
            if now - moved > patience:
                raise Failed(f"{total[what]:,} of {wanted:,} after {patience} s without another one ({what})")
            if now - begin > LIMIT_S:
                raise Failed(f"{total[what]:,} of {wanted:,} after {LIMIT_S} s ({what}); {total['ended']:,} connections ended meanwhile")
            if now - told > PROGRESS_S:
                told = now
                say(f"   {total[what]:,} of {wanted:,}")
            time.sleep(pause)

    def wait_in(self, patience=60):
        """Until all are in. The nanosecond of the last, and all that was reported meanwhile."""
        total = self.until("in", self.sockets, patience, lambda total: total["in"] == self.sockets)
        return total["in_at"], total

    def writes(self, count, rate, task, tasks):
        self.writer.tell("send", count, rate, task, tasks)

    def wait_written(self, count, patience=30):
        """Until all are answered. The answers' times in us."""
        answers, before, moved = [], -1, time.monotonic()
        while True:
            one = self.writer.report()
            answers += one["answer_us"]
            if one["refused"]:
                raise Failed(f"{one['refused']} of {one['sent']} requests were refused or failed")
            if one["accepted"] == count:
                return sorted(answers)
            if one["accepted"] != before:
                before, moved = one["accepted"], time.monotonic()
            if time.monotonic() - moved > patience:
                raise Failed(f"{before} of {count} requests were answered, and no other in {patience} s")
            time.sleep(0.2)


def merge(total, one):
    """Two reports in a row as one: what is counted is added, what is a state is the later one's."""
    if total is None:
        return one
    added = {name: value if name in ("in", "members", "in_at") else total[name] + value for name, value in one.items()}
    added["own_us"] = sorted(added["own_us"])
    firsts = [value for value in (total["shared_first_at"], one["shared_first_at"]) if value]
    added["shared_first_at"] = min(firsts, default=0)
    for name in ("shared_last_at", "shared_due_at"):
        added[name] = max(total[name], one[name])
    return added


def percentile(values, percent):
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0
