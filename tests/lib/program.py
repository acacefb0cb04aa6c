# SPDX-License-Identifier: MIT
"""A program beside a stack's own, started by a test with other settings."""

import json
import os
import random
import re
import socket
import subprocess
import threading
import time

from .http import Http
from .stack import BUILD_DIR, REFUSAL
from .wait import eventually, patience


class Program:
    """One of the two, with its part's settings and others; its log line by line. `inside` is a command that starts
    another one; `build` is the folder of other programs."""

    def __init__(self, stack, name, directory, inside=(), build=BUILD_DIR, **settings):
        folder = stack.run_dir / "service" / name / "env"
        environment = {path.name: path.read_text().rstrip("\n") for path in folder.iterdir()}
        environment.update(PATH=os.environ["PATH"], API_STATS_FILE=str(directory / "stats"), WS_PORT=str(free_port()))
        environment.update({key: str(value) for key, value in settings.items()})
        self._socket = socket.socket(socket.AF_UNIX)
        self.address, self.ws_port = str(directory / "fcgi.sock"), environment["WS_PORT"]
        self._socket.bind(self.address)
        self._socket.listen(16)
        self.lines = []
        self._process = subprocess.Popen(
            [*inside, build / name],
            env=environment,
            stdin=self._socket.fileno(),
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stderr:
            self.lines.append(line.rstrip("\n"))

    def log(self):
        return "\n".join(self.lines)

    def says(self, words, deadline=20):
        return eventually(lambda: next((line for line in list(self.lines) if words in line), None), deadline, f"{words!r} in the log")

    def ask(self, path, method="GET", body=""):
        """(status, seconds) of a request past nginx."""
        began = time.monotonic()
        said = self._request(path, method, body)
        return int(re.match(r"Status: (\d+)", said)[1]), time.monotonic() - began

    def read(self, path):
        """What is there, of JSON."""
        said = self._request(path, "GET", "")
        assert said.startswith("Status: 200"), said
        return json.loads(said.partition("\n\n")[2])

    def _request(self, path, method, body):
        question = {"REQUEST_METHOD": method, "REQUEST_URI": path, "SCRIPT_NAME": path.partition("?")[0], "REQUEST_ID": "test"}
        question |= {"QUERY_STRING": path.partition("?")[2], "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": str(len(body) or "")}
        done = subprocess.run(
            ["cgi-fcgi", "-bind", "-connect", self.address],
            env={"PATH": os.environ["PATH"], **question},
            input=body,
            capture_output=True,
            text=True,
            timeout=90,
        )
        return done.stdout

    def ready(self):
        """Of the notifier: its page says so when it has read the stream."""
        return self._page("/readyz")

    def alive(self):
        """Of the notifier: it answers at all."""
        return self._page("/healthz")

    def _page(self, path):
        try:
            return Http(f"http://127.0.0.1:{self.ws_port}").get(path).status == 200
        except OSError:
            return False

    def end(self):
        self._process.terminate()
        try:
            self._process.wait(patience(15))
        finally:
            self._process.kill()
            self._socket.close()
        assert not REFUSAL.search(self.log()), "the sandbox keeps it from what it needs"


def free_port():
    """One below those that stacks have (lib.ports). The kernel takes none there for an outgoing connection, which could
    have it before its user listens."""
    while True:
        try:
            with socket.create_server(("127.0.0.1", random.randrange(14000, 20000))) as found:
                return found.getsockname()[1]
        except OSError:
            pass
