# SPDX-License-Identifier: MIT
"""Makes the plan of cluster_plan.py happen, and measures what clients notice. Three kinds of clients are looked at:

    writers   the longest time in which none of the probe's changes was accepted
    events    the longest time from an accepted answer until a watcher has heard of it; a watcher is a browser that stays and
              comes back with its cursor, through HAProxy like all
    whole     from the moment in which the struck one is plugged in or started again until every node is ready, nothing that was
              written before waits in an outbox, and every watcher has heard a change that was made after it
"""

import asyncio
import glob
import os
import shutil
import signal
import time
from dataclasses import dataclass

import pymysql

from lib.stack import BUILD_DIR
from lib.wait import eventually

from .cluster_plan import BROKERS, COLD, DATABASES, FORGOTTEN, ISLANDS, LINK, PART, SKEW, TWO, UPGRADE
from .http import FAILURES, Connection
from .listeners import STEADY, Listener
from .probe import end

GIVE_UP_S = 420
CHANGES_S = 0.1  # from one to the next
MOST_AT_A_TIME = 8
LOOKS_S = 0.3
PROGRAMS = ("fcgi-api", "ws-notifier")
CLOCKED = ("mariadb", *PROGRAMS)  # whose time decides anything
CLOCK = "/usr/lib/*/faketime/libfaketimeMT.so.1"  # package libfaketime; the kernel has one wall clock for all namespaces


@dataclass
class Change:
    sent: float
    answered: float = None  # accepted then


@dataclass
class Outcome:
    strike: object
    name: str  # of the node, or all
    writers: float = 0
    events: float = 0
    whole: float = None  # None: not within GIVE_UP_S
    stretch: float = 1.0
    failure: str = ""  # a command's

    def __str__(self):
        strike = self.strike
        more = {PART: strike.part, LINK: "both ways" if strike.both else "one way", SKEW: f"{strike.skew:+d} s"}.get(strike.kind, "")
        return f"{strike} {more} of {self.name}".replace("  ", " ")


def name_of(strike, nodes):
    """What is struck."""
    node, other = strike.of(nodes)
    if strike.kind in (BROKERS, DATABASES, COLD, UPGRADE):
        return "all"
    if strike.kind in (TWO, ISLANDS):
        return f"{node.name} and {other.name}"
    return f"{node.name} from {other.name}" if strike.kind == LINK else node.name


def impossible_kinds():
    """{kind: why}: what this machine cannot do."""
    return {} if glob.glob(CLOCK) else {SKEW: "there is no libfaketime (scripts/packages --install cluster)"}


class Watcher(Listener):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.heard = {}  # content -> when

    def _take(self, text):
        super()._take(text)
        marker = text.find('"probe ')
        if marker >= 0:
            self.heard.setdefault(text[marker + 7 : text.index('"', marker + 7)], time.time())


class Probe:
    """Changes one task all the time, whatever became of the last change."""

    def __init__(self, cluster, task, user, count, http, seed):
        self._cluster, self._task, self._http = cluster, task, http
        doors = {"front": cluster.ws}
        self.watchers = [Watcher(f"watcher {n}", STEADY, [user], doors, http, seed) for n in range(count)]
        self.changes = []
        self._tasks, self.changing = [], None

    def start(self):
        self.changing = asyncio.create_task(self._change())
        self._tasks = [self.changing, *(asyncio.create_task(watcher.run()) for watcher in self.watchers)]

    async def stop(self):
        await end(self._tasks)

    async def _change(self):
        pending = set()
        while True:
            if len(pending) < MOST_AT_A_TIME:
                request = asyncio.create_task(self._send())
                pending.add(request)
                request.add_done_callback(pending.discard)
            await asyncio.sleep(CHANGES_S)

    async def _send(self):
        change = Change(time.time())
        self.changes.append(change)
        connection = Connection(*self._http)
        try:
            answer = await connection.call("PATCH", f"/tasks/{self._task}", {"content": f"probe {change.sent!r}"}, timeout=8)
            if answer.accepted:
                change.answered = time.time()
        except FAILURES:
            pass
        finally:
            connection.close()

    def outage(self, since, until):
        """The longest time without an accepted change."""
        answers = sorted(change.answered for change in self.changes if change.answered and since <= change.answered <= until)
        moments = [since, *answers, until]
        return max(later - earlier for earlier, later in zip(moments, moments[1:]))

    def slowest(self, since, until):
        """Of an event that was accepted then, at any watcher; one that has not been heard yet counts until now."""
        now, worst = time.time(), 0
        for change in self.changes:
            if change.answered and since <= change.answered <= until:
                worst = max(worst, *(watcher.heard.get(repr(change.sent), now) - change.answered for watcher in self.watchers))
        return worst

    def heard_since(self, moment):
        """Each watcher has heard of a change that was sent after it."""
        return all(any(float(sent) > moment for sent in list(watcher.heard)[-50:]) for watcher in self.watchers)


class Chaos:
    def __init__(self, cluster, databases, probe, crowd, say, older=None):
        """`older`: the folder of an older revision's programs."""
        self._cluster, self._databases, self._probe, self._crowd, self._say = cluster, databases, probe, crowd, say
        self._nodes, self._older = list(cluster.nodes.values()), older
        self.outcomes = []

    async def strike(self, strike):
        await asyncio.sleep(strike.pause)
        node, _ = strike.of(self._nodes)
        outcome = Outcome(strike, name_of(strike, self._nodes))
        self.outcomes.append(outcome)
        began = time.time()
        try:
            back = await getattr(self, "strike_" + strike.kind)(strike, node)
        except AssertionError as error:
            outcome.failure, back = str(error), time.time()
            self._say(f"{outcome}: {outcome.failure}")
        outcome.whole = await self._until_whole(back)
        now = time.time()
        outcome.writers, outcome.events = self._probe.outage(began, now), self._probe.slowest(began - 1, now - 1)
        outcome.stretch = self._crowd.stretch(began)
        whole = "NOT WHOLE" if outcome.whole is None else f"whole {outcome.whole:.1f} s after its return"
        self._say(f"{outcome}: no write for {outcome.writers:.1f} s, slowest event {outcome.events:.1f} s, {whole}")

    # -- each returns the moment from which the return counts

    async def strike_part(self, strike, node):
        self._kill(node, strike.part)
        return time.time()

    async def strike_kill(self, strike, node):
        await self._command("kill", node.name)
        await asyncio.sleep(strike.hold)
        began = time.time()
        await self._command("start", node.name)
        return began

    async def strike_cut(self, strike, node, *options):
        await self._command("cut", node.name, *options)
        await asyncio.sleep(strike.hold)
        await self._command("heal", node.name)
        return time.time()

    async def strike_deaf(self, strike, node):
        return await self.strike_cut(strike, node, "--deaf")

    async def strike_lost(self, strike, node):
        await self._command("kill", node.name)
        await asyncio.sleep(strike.hold)
        return await self._join_empty(node)

    async def strike_forgotten(self, strike, node):
        await self._command("kill", node.name)
        await asyncio.sleep(strike.hold)
        await self._command("forget", node.name)
        return await self._join_empty(node)

    async def _join_empty(self, node):
        for folder in ("mariadb", "rabbitmq"):
            await _aside(lambda folder=folder: shutil.rmtree(node.stack.run_dir / folder))
        began = time.time()
        await self._command("join", node.name)
        return began

    async def strike_brokers(self, _strike, _node):
        return self._kill_all("rabbitmq")

    async def strike_databases(self, _strike, _node):
        return self._kill_all("mariadb")

    async def strike_two(self, strike, _node):
        for node in strike.of(self._nodes):
            await self._command("kill", node.name)
        await asyncio.sleep(strike.hold)
        began = time.time()
        await self._command("start")
        return began

    async def strike_islands(self, strike, _node):
        for command in ("cut", "heal"):
            for node in strike.of(self._nodes):
                await self._command(command, node.name)
            await asyncio.sleep(strike.hold if command == "cut" else 0)
        return time.time()

    async def strike_link(self, strike, node):
        _, other = strike.of(self._nodes)
        struck = [(node, other), (other, node)] if strike.both else [(node, other)]
        for deaf, unheard in struck:
            await self._command("cut", deaf.name, "--deaf-to", unheard.name)
        await asyncio.sleep(strike.hold)
        for deaf, _ in struck:
            await self._command("heal", deaf.name)
        return time.time()

    async def strike_skew(self, strike, node):
        settings = {"LD_PRELOAD": glob.glob(CLOCK)[0], "FAKETIME": f"{strike.skew:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        _set(node, CLOCKED, settings)
        try:
            await self._command("restart", node.name, *CLOCKED)
            await asyncio.sleep(strike.hold)
        finally:
            _set(node, CLOCKED, dict.fromkeys(settings))
        began = time.time()
        await self._command("restart", node.name, *CLOCKED)
        return began

    async def strike_upgrade(self, strike, _node):
        """Without an older revision they are restarted only."""
        for folder in [self._older, BUILD_DIR] if self._older else [BUILD_DIR]:
            for node in self._nodes:
                for program in PROGRAMS:
                    _set(node, [program], {"PROGRAM": folder / program})
                await self._command("restart", node.name, *PROGRAMS)
                await _aside(lambda node=node: eventually(node.ready, 60, f"{node.name} is ready", interval=LOOKS_S))
            await asyncio.sleep(strike.hold if folder is self._older else 0)
        return time.time()

    async def strike_cold(self, strike, _node):
        for name in self._cluster.nodes:
            await self._command("kill", name)
        began = time.time()
        await self._command("start")
        return began

    def _kill(self, node, part):
        for process in node.stack.processes(part)[:1]:
            os.kill(process.pid, signal.SIGKILL)

    def _kill_all(self, part):
        for node in self._cluster.nodes.values():
            self._kill(node, part)
        return time.time()

    async def _command(self, *arguments):
        await _aside(lambda: self._cluster.command(*arguments))

    # -- and what comes after it

    async def _until_whole(self, back):
        ready = clean = None
        while time.time() - back < GIVE_UP_S:
            if ready is None and await _aside(self._cluster.whole):
                ready = time.time()
            if ready and clean is None and await _aside(lambda: self._clean(back)):
                clean = time.time()
            if clean and self._probe.heard_since(back):
                return time.time() - back
            await asyncio.sleep(LOOKS_S)
        return None

    def _clean(self, since):
        """No node has a row from before in any outbox."""
        try:
            for database in self._databases:
                oldest = database.oldest_in_outbox()
                if oldest is not None and oldest <= since:
                    return False
        except (pymysql.Error, OSError):
            for database in self._databases:
                database.close()
            return False
        return True

    def thaw(self):
        """However the drill ends, no cable stays pulled."""
        for name, node in self._cluster.status()["nodes"].items():
            if node["cable"]:
                self._cluster.command("heal", name, check=False)


def _set(node, parts, settings):
    """What a part has in its environment from its next start to that of its node; None: nothing."""
    for part in parts:
        for name, value in settings.items():
            path = node.stack.run_dir / "service" / part / "env" / name
            if value is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(f"{value}\n")


def _aside(work):
    return asyncio.get_running_loop().run_in_executor(None, work)
