# SPDX-License-Identifier: MIT
"""docs/clients.md: its two programs, word for word, at a stack's address, while they and the notifier are killed."""

import json
import os
import re
import signal
import subprocess

import pytest

from lib.stack import ROOT
from lib.wait import eventually

PAGE = (ROOT / "docs" / "clients.md").read_text()


class Program:
    """One of the page's programs, in a folder of its own. Its output goes to one file, across restarts."""

    def __init__(self, stack, user, folder, language, *command):
        [text] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
        self._name = f"listen.{language}"
        (folder / self._name).write_text(text)
        self._said, self._command, self._folder = folder / "said", command, folder
        self._environment = {**os.environ, "CARILLON_URL": stack.http, "CARILLON_USER": str(user)}
        self._process = None

    def start(self):
        with open(self._said, "a") as said:
            self._process = subprocess.Popen(
                [*self._command, self._name], cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        eventually(lambda: (self._folder / "cursor").exists(), 90, f"it has begun: {self.text()}")

    def kill(self):
        """With its children: the shell's curl."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def text(self):
        return self._said.read_text() if self._said.exists() else ""


def python_heard(text):
    return [line for line in text.splitlines() if line.startswith("task ")]


def curl_heard(text):
    """Lines with one event, and lists of missed events."""
    found = []
    for line in text.split("\n")[:-1]:  # without one that is being written
        if line.startswith(("{", "[")):
            said = json.loads(line)
            found += said if isinstance(said, list) else [said]
    return [event["message"] for event in found if event.get("type") == "notification"]


@pytest.mark.disturbs
@pytest.mark.parametrize(
    "language, command, heard", [("python", ["/usr/bin/python3", "-B"], python_heard), ("sh", ["sh"], curl_heard)], ids=["python", "curl"]
)
def test_it_hears_each_event_once(stack, http, user, tmp_path, language, command, heard):
    program = Program(stack, user, tmp_path, language, *command)

    def say(count):
        for _ in range(count):
            assert http.post("/tasks", {"user_id": user, "content": "Acheter du pain"}).status == 201

    def has_all():
        expected = [json.loads(payload)["message"] for _, _, payload in stack.journal(user)]

        def all_heard():
            assert heard(program.text()) == expected, f"{heard(program.text())} instead of {expected}"
            return True

        eventually(all_heard, 120)

    def kept():
        """The number in its cursor."""
        return (tmp_path / "cursor").read_text().split(":")[1]

    def has_kept_all():
        """One that is killed between an event and its cursor has that event again."""
        seq = str(stack.journal(user)[-1][0])
        eventually(lambda: kept() == seq, 60, "it has kept its cursor")

    try:
        program.start()
        say(3)
        has_all()
        stack.notifier().kill(signal.SIGKILL)
        say(3)
        has_all()
        has_kept_all()
        program.kill()
        say(3)
        program.start()
        has_all()
        say(1)
        has_all()
        # The journal no longer reaches back: the program begins again, and goes on.
        has_kept_all()
        program.kill()
        say(2)
        stack.outbox_empty()
        stack.sql(f"DELETE FROM events WHERE user_id = {user} AND seq <= 11")
        program.start()
        eventually(lambda: kept() == "12", 60, "it has begun again")
        before = heard(program.text())
        say(1)
        last = json.loads(stack.journal(user)[-1][2])["message"]
        eventually(lambda: heard(program.text()) == [*before, last], 120, "and goes on")
    finally:
        program.kill()
