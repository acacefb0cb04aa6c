# SPDX-License-Identifier: MIT
"""The broker's data as a power cut may leave it: copied at one moment, put back at a later one."""

import shutil
import signal
import subprocess

from .wait import eventually

SETTLED_S = 15


class BrokerData:
    def __init__(self, stack, directory):
        self._stack = stack
        self._data = stack.run_dir / "rabbitmq" / "carillon@localhost"
        self._copy = directory / "copy"

    def stop(self):
        self.settle()
        self._stack.s6("-wD", "-T", "20000", "-d", "rabbitmq")

    def settle(self):
        """RabbitMQ 3.10 can lose a stream when it ends just after its start."""
        eventually(lambda: self._seconds_up() >= SETTLED_S, 2 * SETTLED_S, "the broker has been up for a while", interval=0.2)

    def _seconds_up(self):
        status = ["s6-svstat", "-o", "up,updownfor", self._stack.run_dir / "service" / "rabbitmq"]
        up, seconds = subprocess.run(status, check=True, capture_output=True, text=True).stdout.split()
        return int(seconds) if up == "true" else 0

    def start(self):
        self._stack.s6("-u", "rabbitmq")

    def copy(self):
        """Copies the data of a stopped broker."""
        shutil.copytree(self._data, self._copy)

    def wipe(self):
        shutil.rmtree(self._data)

    def cut(self):
        """All that came after copy() was never written; then the broker starts again."""
        self._stack.s6("-O", "rabbitmq")  # not to be started again by itself
        self._stack.broker().kill(signal.SIGKILL)
        subprocess.run(["s6-svwait", "-D", "-t", "20000", self._stack.run_dir / "service" / "rabbitmq"], check=True)
        self.wipe()
        shutil.copytree(self._copy, self._data)
        self.start()
