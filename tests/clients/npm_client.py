# SPDX-License-Identifier: MIT
"""Clients from npm as processes that report each event as a line of JSON."""

import json
import os
import subprocess
import threading
from pathlib import Path

from lib.npm import installed

HERE = Path(__file__).resolve().parent


def modules():
    return installed("clients", HERE, "the clients from npm")


class Client:
    def __init__(self, script, *arguments, cwd=None, parse=json.loads):
        self.name, self.lines, self._parse = " ".join(map(str, [script, *arguments])), [], parse
        self._process = subprocess.Popen(
            ["node", HERE / script, *arguments],
            env={**os.environ, "NODE_MODULES": str(modules())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(self._parse(line))

    def seen(self, what):
        """The first line with this; None when there is none yet."""
        return next((line for line in list(self.lines) if line["what"] == what), None)

    def contents(self):
        """The tasks that it was notified of."""
        frames = [line["frame"] for line in list(self.lines) if line["what"] == "message"]
        return [frame["task"]["content"] for frame in frames if frame["type"] == "notification"]

    def kill(self):
        self._process.kill()
        self.stop()

    def stop(self):
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(timeout=10)
        self._process.stdout.close()
