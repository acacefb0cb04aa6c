# SPDX-License-Identifier: MIT
"""Makes the plan happen: finds the processes, strikes, and waits for the recovery."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass

from lib import proc

from .plan import FREEZE, HANG, KILL, RESTART

GIVE_UP_S = 240  # late is what the limits say (report.py); a broker that lost its stream is started again after a minute
LEAVE_S = 5  # a process that is told to stop ends within
LEAVING = ("api-worker", "api-pool", "notifier")  # our own programs


@dataclass
class Outcome:
    strike: object
    recovery: float = None  # seconds; None: not within GIVE_UP_S
    overlapped: bool = False  # others were down meanwhile
    left_after: float = None  # a restart: seconds until the process was gone
    stretch: float = 1.0  # of the limits, because of other load on this machine


def running(pid):
    process = proc.read(pid)
    return process is not None and process.state not in "ZX"


class Targets:
    """The stack's processes by the plan's names. `processes` is how many of each there should be."""

    def __init__(self, stack, processes, notifiers):
        self._stack, self._expected, self._notifiers = stack, processes, notifiers

    def _named(self, part, name):
        return sorted((p for p in self._stack.processes(part) if p.name == name), key=lambda p: p.pid)

    def find(self, name, pick):
        """(pid, the supervisor's name of it, or None); None while it is not there."""
        services = {"api-pool": "fcgi-api", "notifier": self._notifiers[int(pick * len(self._notifiers))]}
        if name in ("api-worker", "nginx-worker"):
            service, command = ("fcgi-api", "fcgi-api") if name == "api-worker" else ("nginx", "nginx")
            found = [p for p in self._named(service, command) if p.pid != self._stack.pids().get(service)]
            return (found[int(pick * len(found))].pid, None) if found else None
        service = services.get(name, name)
        pid = self._stack.pids().get(service)
        return (pid, service) if pid and running(pid) else None

    def can_be_told_to_go(self, name):
        """MariaDB 10.11, told to stop while it starts, may hang for ever: it waits for a thread of its own
        (init_slave) that has ended already. Once it greets connections it does not. It may be killed and frozen at
        any time."""
        if name != "mariadb":
            return True
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.5)
            try:
                client.connect(str(self._stack.run_dir / "sock" / "mariadb.sock"))
                return client.recv(1) != b""
            except OSError:
                return False

    def whole(self, name):
        """Whether the part has all its processes (that they answer is what the probe tells)."""
        if name in ("api-worker", "api-pool"):
            return len(self._named("fcgi-api", "fcgi-api")) == self._expected["fcgi-api"]
        if name in ("nginx", "nginx-worker"):
            # Workers that a reload has replaced finish their connections, and do not count.
            serving = [process for process in self._named("nginx", "nginx") if not process.command.endswith("shutting down")]
            return len(serving) == self._expected["nginx"]
        if name == "notifier":
            return all(self._named(part, "ws-notifier") for part in self._notifiers)
        return self.find(name, 0) is not None


class Chaos:
    def __init__(self, stack, targets, probe, crowd, say):
        self._stack, self._targets, self._probe, self._crowd, self._say = stack, targets, probe, crowd, say
        self.outcomes = []
        self._under_way = {}  # Outcome -> the task that waits for its recovery
        self._frozen = set()

    async def strike(self, strike):
        await asyncio.sleep(strike.pause)
        pid, service = await self._find(strike)
        outcome = Outcome(strike)
        self.outcomes.append(outcome)
        if self._under_way:
            for other in (outcome, *(self.outcomes[index] for index in self._under_way)):
                other.overlapped = True
        index = len(self.outcomes) - 1
        t0 = await self._hit(strike, pid, service)
        self._under_way[index] = asyncio.create_task(self._wait(index, pid, t0))
        if not strike.overlap:
            await self.settle()

    async def settle(self):
        while self._under_way:
            await asyncio.gather(*self._under_way.values())

    async def _find(self, strike):
        for _ in range(GIVE_UP_S * 10):
            found = self._targets.find(strike.part.name, strike.pick)
            if found and (strike.way != RESTART or self._targets.can_be_told_to_go(strike.part.name)):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"{strike}: there is no {strike.part.name}")

    async def _hit(self, strike, pid, service):
        """Returns the moment from which the recovery counts."""
        t0 = time.time()
        try:
            if strike.way == KILL:
                os.kill(pid, signal.SIGKILL)
            elif strike.way in (HANG, FREEZE):
                self._frozen.add(pid)
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(strike.hold)
                t0 = time.time()
                self._frozen.discard(pid)
                os.kill(pid, signal.SIGKILL if strike.way == HANG else signal.SIGCONT)
            elif strike.part.name == "nginx":
                os.kill(pid, signal.SIGHUP)  # how its operator restarts it
            elif service:
                subprocess.run(["s6-svc", "-r", self._stack.run_dir / "service" / service], check=True)
            else:
                os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass  # something else has ended it meanwhile
        return t0

    async def _wait(self, index, pid, t0):
        outcome = self.outcomes[index]
        part = outcome.strike.part.name
        stays = outcome.strike.way == FREEZE or (outcome.strike.way == RESTART and part == "nginx")

        def whole():
            if not stays and running(pid):
                return False
            if outcome.left_after is None:
                outcome.left_after = time.time() - t0
            return self._targets.whole(part)

        outcome.recovery = await self._probe.recovered(t0, whole, GIVE_UP_S)
        outcome.stretch = self._crowd.stretch(t0)
        del self._under_way[index]
        result = "NOT RECOVERED" if outcome.recovery is None else f"{outcome.recovery:.2f} s"
        self._say(f"{outcome.strike}: {result}{' (with others)' if outcome.overlapped else ''}")

    def thaw(self):
        """However the drill ends, no process stays frozen."""
        for pid in self._frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass


def lingering(outcomes):
    """Our programs that were told to stop and did not in time. A frozen neighbour is no excuse."""
    return [
        f"{outcome.strike} was gone only after {outcome.left_after:.1f} s"
        for outcome in outcomes
        if outcome.strike.part.name in LEAVING
        and outcome.strike.way == RESTART
        and outcome.left_after is not None
        and outcome.left_after > (LEAVE_S + 0.5) * outcome.stretch
    ]
