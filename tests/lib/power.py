# SPDX-License-Identifier: MIT
"""The broker's data as a power cut may leave it: copied at one moment, put back at a later one."""

import re
import shutil
import signal
import subprocess
from datetime import datetime, timezone

from .wait import eventually

SETTLED_S = 15  # of which a quiet machine takes the first half to start it
STARTED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d).*Server startup complete", re.M)


def settle(stack):
    """RabbitMQ 3.10 can lose a stream when it ends just after its start."""

    def settled():
        up = _seconds_up(stack)
        started = STARTED.findall(stack.logs("rabbitmq"))
        if not started or up < SETTLED_S:
            return up >= SETTLED_S
        began = datetime.fromisoformat(started[-1]).replace(tzinfo=timezone.utc)
        ago = (datetime.now(timezone.utc) - began).total_seconds()
        return SETTLED_S / 2 <= ago <= up + 2  # an older one is of a start before

    eventually(settled, 2 * SETTLED_S, "the broker has been up for a while", interval=0.2)


def _seconds_up(stack):
    status = ["s6-svstat", "-o", "up,updownfor", stack.run_dir / "service" / "rabbitmq"]
    up, seconds = subprocess.run(status, check=True, capture_output=True, text=True).stdout.split()
    return int(seconds) if up == "true" else 0


class BrokerData:
    def __init__(self, stack, directory):
        self._stack = stack
        self.folder = stack.run_dir / "rabbitmq" / "carillon@localhost"
        self._copy = directory / "copy"

    def stop(self):
        self.settle()
        self._stack.s6("-wD", "-T", "60000", "-d", "rabbitmq")

    def settle(self):
        settle(self._stack)

    def start(self):
        self._stack.s6("-u", "rabbitmq")

    def die(self):
        """Killed, and not started again by itself."""
        self._stack.s6("-O", "rabbitmq")
        self._stack.broker().kill(signal.SIGKILL)
        subprocess.run(["s6-svwait", "-D", "-t", "60000", self._stack.run_dir / "service" / "rabbitmq"], check=True)

    def copy(self):
        """Copies the data of a broker that is stopped, or frozen."""
        shutil.copytree(self.folder, self._copy)

    def wipe(self):
        shutil.rmtree(self.folder)

    def cut(self):
        """All that came after copy() was never written; then the broker starts again."""
        self.lose()
        self.start()

    def lose(self):
        """The same, and it does not start."""
        self.die()
        self.wipe()
        shutil.copytree(self._copy, self.folder)
