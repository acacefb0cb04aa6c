# SPDX-License-Identifier: MIT
"""The drill on three nodes: writers and browsers come through HAProxy, and nodes, cables and parts are struck. The audit is the
drill's, with each node's own journal and stream. Each journal must be the same, and each stream must have every event."""

import argparse
import asyncio
import itertools
import os
import random
import shutil
import statistics
import time

import pytest

from lib.cluster import Cluster
from lib.older import programs_of, revision_that_added
from lib.wait import eventually

from . import evidence as evidence_of
from . import listeners, report
from .audit import audit, check_journal, check_readers, check_stream
from .cluster_chaos import Chaos, Probe, impossible_kinds
from .cluster_plan import KINDS, LIMITS, UPGRADE, strikes
from .crowd import Crowd
from .evidence import Database
from .probe import end
from .sql_writers import ClusterApplication, SqlWriter
from .writers import Pace, Writer

SKIPPED = 77
USERS, CLIENTS, WRITERS, WATCHERS, WORKERS = 40, 60, 24, 9, 1
SQL_WRITERS = 2  # at each node
SQL_SHARE = 0.2  # transactions of SQL writers for each write over HTTP
QUIET_S = 120
NEWEST_OF_DATABASE = "sql/008_nodes.sql"  # older programs do not know that there are several nodes

SETTINGS = {"API_WORKERS": WORKERS, "WS_HEARTBEAT_S": 4, "RING_AGE_S": 300}


def arguments(argv):
    parser = argparse.ArgumentParser(prog="scripts/drill", add_help=False)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--strikes", type=int, default=10)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--keep", action="store_true")
    given = parser.parse_args(argv)
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1_000_000)
    return given


class ClusterDrill:
    def __init__(self, given):
        self.given = given
        self.began = time.monotonic()
        self.problems, self.outcomes = [], []
        self.plan = list(itertools.islice(strikes(given.seed), given.strikes))
        self.impossible = impossible_kinds()
        self.older = None
        self.crowd = Crowd()
        self.cluster = Cluster(**{name: os.environ.get(name, value) for name, value in SETTINGS.items()})

    def say(self, text):
        print(f"{time.monotonic() - self.began:7.1f}  {text}", flush=True)

    # -- the pieces

    def build_older(self):
        if any(strike.kind == UPGRADE for strike in self.plan):
            try:
                self.older = programs_of(revision_that_added(NEWEST_OF_DATABASE))
            except pytest.skip.Exception as why:
                self.say(f"programs are restarted and not replaced: {why}")

    def prepare(self):
        self.build_older()
        self.cluster.start()
        eventually(self.cluster.whole, 60, "every node is ready", interval=0.5)
        self.nodes = list(self.cluster.nodes.values())
        first = self.nodes[0].stack
        self.users = first.new_users(USERS)
        self.http = "127.0.0.1", self.cluster.port
        self.probe_user = first.new_users(1)[0]
        self.probe = Probe(self.cluster, first.new_tasks([self.probe_user])[0], self.probe_user, WATCHERS, self.http, self.given.seed)
        self.databases = [Database(node.stack, patience=5) for node in self.nodes]
        self.applications = [ClusterApplication(node.stack) for node in self.nodes]
        self.applications[0].create()
        self.say(f"three nodes in {self.cluster.directory}, {self.cluster.http}")

    async def drill(self):
        seed = self.given.seed
        self.listeners = listeners.make(CLIENTS, self.users, {"front": self.cluster.ws}, self.http, seed)
        pace = Pace(self.given.rate)
        self.writers = [Writer(f"w{seed}.{n}", self.http, self.users, pace, seed) for n in range(WRITERS)]
        pace = Pace(self.given.rate * SQL_SHARE)
        places = [application.place() for application in self.applications] * SQL_WRITERS
        self.sql_writers = [SqlWriter(f"q{seed}.{n}", place, self.users, pace, seed) for n, place in enumerate(places)]
        chaos = Chaos(self.cluster, self.databases, self.probe, self.crowd, self.say, self.older)
        self.outcomes = chaos.outcomes
        hearing = [asyncio.create_task(listener.run()) for listener in self.listeners]
        writing = [asyncio.create_task(writer.run()) for writer in self.writers + self.sql_writers]
        self.probe.start()
        began = time.monotonic()
        try:
            await asyncio.sleep(3)
            for strike in self.plan:
                if strike.kind not in self.impossible:
                    await chaos.strike(strike)
            self.struck_s = time.monotonic() - began
            await asyncio.sleep(2)
            await self.be_quiet(writing)
        finally:
            chaos.thaw()
            ended = await end(hearing + writing)
            await self.probe.stop()
        for failure in ended:
            if isinstance(failure, Exception) and not isinstance(failure, asyncio.CancelledError):
                raise failure

    async def be_quiet(self, writing):
        for writer in self.writers + self.sql_writers:
            writer.stopping = True
        _, unfinished = await asyncio.wait(writing, timeout=QUIET_S)
        if unfinished:
            self.problems.append(f"{len(unfinished)} writers did not end")
        self.probe.changing.cancel()
        for listener in self.listeners:
            listener.stay = True
        began = time.monotonic()
        while time.monotonic() - began < QUIET_S and not await asyncio.get_running_loop().run_in_executor(None, self.arrived):
            await asyncio.sleep(0.3)
        self.say(f"quiet after {time.monotonic() - began:.1f} s")

    def arrived(self):
        """Nothing waits in any outbox, and each client has what there is."""
        if any(database.oldest_in_outbox() is not None for database in self.databases):
            return False
        heads = dict(self.databases[0].rows("SELECT id, event_seq FROM users"))
        readers = _readers([*self.listeners, *self.probe.watchers])
        return not any((reader.last is not None and reader.last != heads[reader.user]) or not reader.answered or reader.needs_reload for reader in readers)

    # -- what it found

    def look(self):
        """The audit by the first node's journal and stream, then what the others have."""
        writers, probe = [self.gather(users) for users in (self.users, [self.probe_user])]
        writes = [write for writer in self.writers for write in writer.writes]
        transactions = [transaction for writer in self.sql_writers for transaction in writer.transactions]
        for evidence, application in zip(writers, self.applications):
            evidence.deeds = application.deeds()
        verdict = audit(writes, _readers(self.listeners), writers[0], transactions, may_be_told=False)
        check_journal(probe[0], verdict)
        check_stream(probe[0], verdict)
        check_readers(_readers(self.probe.watchers), probe[0], verdict, may_be_told=False)
        for found in (writers, probe):
            compare_nodes([node.name for node in self.nodes], found, verdict)
        return verdict

    def gather(self, users):
        """What each node has of these users."""
        found = [evidence_of.from_database(database, users) for database in self.databases]
        for node, evidence in zip(self.nodes, found):
            evidence.stream = node.inside(lambda node=node: evidence_of.read_stream(node.stack.amqp, users))
        return found

    def look_behind(self):
        status = self.cluster.status()
        for name, node in status["nodes"].items():
            if node["state"] != "up" or node["galera"]["component"] != "Primary" or node["galera"]["size"] != len(self.nodes):
                self.problems.append(f"{name} is not back: {node}")
        for node in self.nodes:
            self.problems += [f"{node.name}: {line}" for line in node.stack.sanitizer_reports()[:5] + node.stack.refusals()]
        self.cluster.command("stop")
        for node in self.nodes:
            if os.path.exists(f"/run/netns/{node.namespace}"):
                self.problems.append(f"{node.namespace} is still there after scripts/cluster stop")

    def run(self):
        verdict = None
        try:
            self.prepare()
            asyncio.run(self.drill())
            verdict = self.look()
            self.look_behind()
        finally:
            if self.given.keep:
                print(f"kept: {self.cluster.directory}")
            self.cluster.stop(self.given.keep)
        return self.tell(verdict)

    def tell(self, verdict):
        late = list(lateness(self.outcomes))
        print("", *table(self.outcomes), "", sep="\n")
        rows = [("strikes", f"{len(self.outcomes)}, in {self.struck_s:.0f} s")]
        left_out = len(self.plan) - len(self.outcomes)
        rows += [("not struck", f"{left_out}: {', '.join(f'{kind}, because {why}' for kind, why in self.impossible.items())}")] if left_out else []
        print("\n".join(report.figures(verdict, self.listeners, rows) + report.crowded(self.outcomes)))
        total = verdict.total + len(self.problems) + len(late)
        print(*report.violations(verdict, self.problems + late, self.given.keep and self.cluster.directory), sep="\n")
        print(f"\nrepeat with     scripts/drill --cluster --strikes {self.given.strikes} --seed {self.given.seed} --rate {self.given.rate:g}")
        print(f"\n{0 if total else 1} passed, {1 if total else 0} failed, 0 skipped")
        return 1 if total else 0


def _readers(listeners):
    return [reader for listener in listeners for reader in listener.readers.values()]


def compare_nodes(names, found, verdict):
    """Each node has what the first one has, and all of it is in its stream."""
    for name, evidence in zip(names[1:], found[1:]):
        for what in ("journal", "heads", "tasks", "outbox", "deeds"):
            if getattr(evidence, what) != getattr(found[0], what):
                verdict.add("nodes differ", f"{name} has another {what} than {names[0]}")
        check_stream(evidence, verdict)


def lateness(outcomes):
    for outcome in outcomes:
        if outcome.failure:
            yield f"{outcome}: {outcome.failure}"
        limits = LIMITS[outcome.strike.kind]
        for name, value, limit in zip(("no write for", "slowest event", "whole only after"), (outcome.writers, outcome.events, outcome.whole), limits):
            if value is None:
                yield f"{outcome}: the nodes are not whole again"
            elif value > limit * outcome.stretch:
                yield f"{outcome}: {name} {value:.1f} s, limit {limit} s"


def table(outcomes):
    lines = [f"{'strike':<12}{'times':>6}{'no write: half, worst':>24}{'slowest event: half, worst':>28}{'whole again: half, worst':>26}"]
    for kind in KINDS:
        mine = [outcome for outcome in outcomes if outcome.strike.kind == kind and outcome.whole is not None]
        if mine:
            cells = ([outcome.writers for outcome in mine], [outcome.events for outcome in mine], [outcome.whole for outcome in mine])
            texts = [f"{statistics.median(values):.1f} s, {max(values):.1f} s" for values in cells]
            lines.append(f"{kind:<12}{len(mine):>6}{texts[0]:>24}{texts[1]:>28}{texts[2]:>26}")
    return lines


def main(argv):
    given = arguments(argv)
    why = impossible()
    if why:
        print(f"0 passed, 0 failed, 1 skipped\nno cluster can run here: {why}")
        return SKIPPED
    return ClusterDrill(given).run()


def impossible():
    if os.geteuid() != 0:
        return "network namespaces are root's"
    if not shutil.which("ip") or not shutil.which("haproxy"):
        return "packages are missing (scripts/packages --install cluster)"
    return None
