# SPDX-License-Identifier: MIT
"""The order of the run: a stack, a load, a plan, quiet, an audit."""

import argparse
import asyncio
import itertools
import os
import random
import re
import time
import urllib.parse

from lib import leftovers, proc
from lib.load import Load
from lib.stack import Stack
from lib.wait import eventually

from . import evidence as evidence_of
from . import listeners, report
from .audit import audit
from .chaos import Chaos, Targets, lingering
from .crowd import Crowd
from .evidence import Database
from .plan import NAMES, strikes
from .probe import Probe, end
from .sql_writers import Application, SqlWriter
from .writers import Pace, Writer

USERS, CLIENTS, WRITERS, SQL_WRITERS, NOTIFIERS, WORKERS = 40, 100, 24, 5, 2, 4
SQL_SHARE = 0.2  # transactions of SQL writers for each write over HTTP
QUIET_S = 90

MISSED, MISSED_LIMIT_S = 5000, 1.0  # a client that missed so many events has them within so long
RING_SETTINGS = ("RING_BYTES", "RING_AGE_S", "NOTIFIER_MEMORY_BYTES", "WS_QUEUE_FRAMES", "WS_QUEUE_BYTES")  # smaller: clients may be told to reload

# Heartbeats often enough to matter in minutes. A notifier reads as much of the stream at its start as its ring is
# to hold, and RabbitMQ gives it some thousands a second: two minutes are enough for clients that are away for seconds.
SETTINGS = {"API_WORKERS": WORKERS, "WS_HEARTBEAT_S": 4, "RING_AGE_S": 120, "ADMINER_PORT": "off", "LOG_LEVEL": "info"}


def arguments(argv):
    parser = argparse.ArgumentParser(prog="scripts/drill", add_help=False)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--only", choices=NAMES)
    parser.add_argument("--khepri", action="store_true")
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(argv)
    if given.kills is None and given.minutes is None:
        given.kills = 60
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1_000_000)
    return given


class Drill:
    settings = SETTINGS
    skipped = 0
    in_khepri = False

    def __init__(self, given):
        self.given = given
        self.began = time.monotonic()
        self.problems = []
        self.missed_s = None
        self.crowd = Crowd()
        self.small_ring = any(name in os.environ for name in RING_SETTINGS)

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f}  {text}", flush=True)

    # -- the pieces

    def prepare(self):
        ports = {"PORT": os.environ["DRILL_PORT"]} if os.environ.get("DRILL_PORT") else {}
        settings = {name: os.environ.get(name, value) for name, value in self.settings.items()}
        self.stack = Stack.prepare(**settings, **ports)
        self.bring_up()
        self.stack.ready()
        self.users = self.stack.new_users(USERS)
        self.probe_user = self.stack.new_users(1)[0]
        self.probe_task = self.stack.new_tasks([self.probe_user])[0]
        self.notifier_parts = ["ws-notifier", *(f"ws-notifier-{n}" for n in range(2, NOTIFIERS + 1))]
        first, port = self.stack.port("NOTIFIER_PORT"), self.stack.port("PORT")
        self.notifier_ports = [first, *(port + 9 + n for n in range(2, NOTIFIERS + 1))]
        parts = urllib.parse.urlsplit(self.stack.http)
        self.http = parts.hostname, parts.port
        self.doors = {f"notifier {n}": f"ws://127.0.0.1:{port}/ws" for n, port in enumerate(self.notifier_ports, 1)}
        self.doors["nginx"] = self.stack.ws
        self.database = Database(self.stack)
        self.application = Application(self.stack)
        self.application.create()
        self.warm_up()
        self.before = leftovers.take(self.stack, self.notifier_ports)
        self.say(f"stack in {self.stack.run_dir}, {self.stack.http}")

    def bring_up(self):
        self.stack.run("--notifiers", str(NOTIFIERS))
        if self.given.khepri:
            self.stack.rabbitmqctl("enable_feature_flag", "--experimental", "khepri_db")
            self.in_khepri = True

    def warm_up(self):
        """Has every worker serve a request, so that its connections exist before they are counted."""
        load = Load(self.stack.http, lambda index: ("GET", f"/tasks?user_id={self.users[index % USERS]}", None), 400, total=800, patient=True)
        load.start().finish().assert_none_failed()

    async def drill(self):
        seed = self.given.seed
        self.listeners = listeners.make(CLIENTS, self.users, self.doors, self.http, seed)
        pace = Pace(self.given.rate)
        self.writers = [Writer(f"w{seed}.{n}", self.http, self.users, pace, seed) for n in range(WRITERS)]
        place, pace = self.application.place(), Pace(self.given.rate * SQL_SHARE)
        self.sql_writers = [SqlWriter(f"q{seed}.{n}", place, self.users, pace, seed) for n in range(SQL_WRITERS)]
        probe = Probe(self.stack, self.probe_task, self.probe_user, self.doors, self.http, Database(self.stack))
        chaos = self.chaos(probe)
        self.outcomes = chaos.outcomes
        hearing = [asyncio.create_task(listener.run()) for listener in self.listeners]
        writing = [asyncio.create_task(writer.run()) for writer in self.writers + self.sql_writers]
        probe.start()
        try:
            await asyncio.sleep(3)
            await self.strike_all(chaos)
            await asyncio.sleep(1)
            await self.be_quiet(writing, probe)
        finally:
            chaos.thaw()
            ended = await end(hearing + writing)
            await probe.stop()
        for failure in ended:
            if isinstance(failure, Exception) and not isinstance(failure, asyncio.CancelledError):
                raise failure

    def targets(self):
        return Targets(self.stack, self.before.processes, self.notifier_parts)

    def chaos(self, probe):
        return Chaos(self.stack, self.targets(), probe, self.crowd, self.say)

    async def strike_all(self, chaos):
        end = time.monotonic() + self.given.minutes * 60 if self.given.minutes else None
        began = time.monotonic()
        for strike in itertools.islice(strikes(self.given.seed, self.given.only), self.given.kills):
            if end and time.monotonic() > end:
                break
            await chaos.strike(strike)
        await chaos.settle()
        self.struck_s = time.monotonic() - began

    async def be_quiet(self, writing, probe):
        """Writers end, wandering listeners stay, and all listeners get the events in flight."""
        for writer in self.writers + self.sql_writers:
            writer.stopping = True
        _, unfinished = await asyncio.wait(writing, timeout=QUIET_S)
        if unfinished:
            self.problems.append(f"{len(unfinished)} writers did not end")
        await probe.stop()
        for listener in self.listeners:
            listener.stay = True
        began = time.monotonic()
        while time.monotonic() - began < QUIET_S:
            await asyncio.sleep(0.3)
            if await asyncio.get_running_loop().run_in_executor(None, self.database.oldest_in_outbox) is not None:
                continue
            heads = dict(self.database.rows("SELECT id, event_seq FROM users"))
            behind = [r for l in self.listeners for r in l.readers.values() if r.last is not None and r.last != heads[r.user]]
            away = [r for l in self.listeners for r in l.readers.values() if not r.answered or r.needs_reload]
            if not behind and not away:
                break
        self.say(f"quiet after {time.monotonic() - began:.1f} s")

    def come_back_to_many(self):
        try:
            self.be_away_for_many()
        except (AssertionError, OSError) as error:
            self.problems.append(f"away for {MISSED} events: {str(error)[:300]}")

    def be_away_for_many(self):
        """A client is away while its user has thousands of events."""
        user = self.stack.new_users(1)[0]
        tasks = self.stack.new_tasks([user] * 8)
        socket = self.stack.socket()
        socket.subscribe(user, since=None)
        eventually(lambda: self.stack.client().patch(f"/tasks/{tasks[0]}", {"status": 1}).status == 200, 20, "a first event")
        cursor = socket.notification()["cursor"]
        socket.close()
        load = Load(self.stack.http, lambda n: ("PATCH", f"/tasks/{tasks[n % 8]}", {"content": f"n{n}"}), 3000, MISSED, patient=True)
        load.start().finish(300).assert_none_failed()
        self.stack.outbox_empty(60)
        socket = self.stack.socket()
        began, moment = time.monotonic(), time.time()
        answer = socket.subscribe(user, since=cursor)
        seqs = [int(socket.notification()["cursor"].split(":")[1]) for _ in range(MISSED)]
        self.missed_s = time.monotonic() - began
        socket.close()
        if seqs != list(range(2, MISSED + 2)) or answer["replayed"] != MISSED:
            self.problems.append(f"away for {MISSED} events: told {answer}, sent {len(seqs)} from {seqs[0]} to {seqs[-1]}")
        if self.missed_s > MISSED_LIMIT_S * self.crowd.stretch(moment):
            self.problems.append(f"away for {MISSED} events: they took {self.missed_s:.2f} s, limit {MISSED_LIMIT_S:g} s")

    def look(self):
        evidence = evidence_of.from_database(self.database, self.users)
        self.database.close()
        evidence.stream = evidence_of.read_stream(self.stack.amqp, self.users)
        evidence.deeds = self.application.deeds()
        transactions = [transaction for writer in self.sql_writers for transaction in writer.transactions]
        writes = [write for writer in self.writers for write in writer.writes]
        readers = [reader for listener in self.listeners for reader in listener.readers.values()]
        return audit(writes, readers, evidence, transactions, may_be_told=self.small_ring)

    def look_behind(self):
        _, left = leftovers.settle(self.stack, self.notifier_ports, self.before)
        self.problems += ["left behind: " + line for line in left]
        self.problems += ["in the log: " + line for line in leftovers.complaints(self.stack)[:10]]
        if self.in_khepri and not re.search(r"^khepri_db\tenabled$", self.stack.rabbitmqctl("--silent", "list_feature_flags", "name", "state"), re.M):
            self.problems.append("RabbitMQ's definitions are not in Khepri any more")
        self.stack.script("stop", timeout=60, check=False)
        remaining = proc.of_stack(self.stack.run_dir)
        if remaining:
            self.problems.append(f"still running after scripts/stop: {remaining}")

    # -- all together

    def run(self):
        given = self.given
        try:
            self.prepare()
            asyncio.run(self.drill())
            verdict = self.look()
            if not self.small_ring and not verdict.total:
                self.come_back_to_many()
            self.look_behind()
        finally:
            if given.keep:
                print(f"kept: {self.stack.run_dir}")
            self.remove()
        self.problems += self.judge()
        return self.tell(verdict)

    def remove(self):
        self.stack.stop(self.given.keep)

    # -- what it found

    def judge(self):
        return report.late(self.outcomes) + lingering(self.outcomes)

    def table(self):
        return report.strikes_table(self.outcomes)

    def counts(self):
        return report.struck(self.outcomes, self.struck_s)

    def command(self):
        """How to repeat it."""
        given = self.given
        much = f"--minutes {given.minutes:g}" if given.kills is None else f"--kills {given.kills}"
        only = f" --only {given.only}" if given.only else ""
        khepri = " --khepri" if self.in_khepri else ""
        return f"{much} --seed {given.seed} --rate {given.rate:g}{only}{khepri}"

    def tell(self, verdict):
        print("", *self.table(), "", sep="\n")
        lines = report.figures(verdict, self.listeners, self.counts()) + report.crowded(self.outcomes)
        if self.missed_s is not None:
            lines.append(f"{'long absence':<16}{MISSED:,} missed events replayed in {self.missed_s:.2f} s")
        print("\n".join(lines))
        total = verdict.total + len(self.problems)
        print(*report.violations(verdict, self.problems, self.given.keep and self.stack.run_dir.parent), sep="\n")
        print(f"\nrepeat with     scripts/drill {self.command()}")
        print(f"\n{0 if total else 1} passed, {1 if total else 0} failed, {self.skipped} skipped")
        return 1 if total else 0


def main(argv):
    return Drill(arguments(argv)).run()
