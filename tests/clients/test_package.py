# SPDX-License-Identifier: MIT
"""carillon-client as a new user gets it: from its tarball in an empty folder, by its README, with the notifier killed."""

import json
import re
import signal
import subprocess

import pytest

from lib.stack import ROOT
from lib.wait import eventually
from npm_client import HERE, Client, modules

README = (ROOT / "client" / "README.md").read_text()
VERSION = (ROOT / "VERSION").read_text().strip()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder with only the package."""
    empty = tmp_path_factory.mktemp("application")
    subprocess.run(["make", "-s", "client-package", f"BUILD={empty}"], cwd=ROOT, check=True)
    [tarball] = empty.glob("*.tgz")
    assert tarball.name == f"carillon-client-{VERSION}.tgz"
    command = ["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", tarball]
    subprocess.run(command, cwd=empty, check=True, stdin=subprocess.DEVNULL, timeout=300)
    return empty


def test_what_is_in_it(folder):
    """All of client/, so that a new user lacks nothing that the tree has."""
    installed = folder / "node_modules" / "carillon-client"
    assert {path.name for path in installed.iterdir()} == {path.name for path in (ROOT / "client").iterdir()}
    manifest = json.loads((installed / "package.json").read_text())
    assert manifest["version"] == VERSION and manifest["private"] and not manifest.get("dependencies")
    assert f"'carillon-client {VERSION}'" in (installed / "tabs.js").read_text()
    assert f"carillon-client-{VERSION}.tgz" in README


def test_its_types(folder):
    """As an application in TypeScript sees them; and each name exists when it runs."""
    (folder / "use.mts").write_text((HERE / "types" / "use.ts").read_text())
    (folder / "tsconfig.json").write_text((HERE / "types" / "tsconfig.json").read_text())
    done = subprocess.run(["node", modules() / "typescript" / "bin" / "tsc", "-p", folder], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    names = "import('carillon-client').then((it) => console.log(Object.keys(it).sort().join(' ')))"
    there = subprocess.run(["node", "-e", names], cwd=folder, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    declared = re.findall(r"^export (?:declare )?(?:function|class) (\w+)", (ROOT / "client" / "index.d.ts").read_text(), re.M)
    assert there == sorted(declared)


@pytest.mark.disturbs
def test_the_example_of_its_readme(stack, http, user, folder):
    """Word for word, at this stack's address: it prints each event once and in order, also those of an outage."""
    example = re.search(r"```js\n(import.*?)```", README, re.S)[1]
    for said, here in (("url: 'http://localhost/'", f"url: '{stack.http}/'"), ("user: 1,", f"user: {user},"), ("user_id=1'", f"user_id={user}'")):
        assert example.count(said) == 1, said
        example = example.replace(said, here)
    (folder / "example.mjs").write_text(example)

    def create():
        assert http.post("/tasks", {"user_id": user, "content": "Acheter du pain"}).status == 201

    program = Client(folder / "example.mjs", cwd=folder, parse=lambda line: line.rstrip("\n"))
    try:
        eventually(lambda: create() or program.lines, 90, "it hears an event: it does not tell when it has begun to listen", interval=0.3)
        stack.notifier().kill(signal.SIGKILL)
        for _ in range(3):
            create()
        messages = [json.loads(payload)["message"] for _, _, payload in stack.journal(user)]
        expected = messages[messages.index(program.lines[0]) :]
        eventually(lambda: len(program.lines) >= len(expected), 120, "it hears of what happened meanwhile")
    finally:
        program.stop()
    assert program.lines == expected


class Listener(Client):
    """listener.mjs for a user of a stack, on one of the ways."""

    def __init__(self, folder, stack, user, way, tmp_path):
        super().__init__(HERE / "listener.mjs", stack.http, str(user), str(tmp_path / f"{way}.cursor"), way, cwd=folder)

    def live(self):
        eventually(lambda: self.seen_state("live"), 90, f"{self.name} is live: {self.lines[-5:]}")
        return self

    def seen_state(self, name):
        return [line for line in self.lines if line["what"] == "state" and line["name"] == name]

    def heard(self, contents, deadline=120):
        eventually(lambda: self.contents()[-len(contents) :] == contents, deadline, f"{self.name}: {self.lines[-5:]}")

    def said(self, what):
        return [line for line in self.lines if line["what"] == what]


@pytest.mark.disturbs
@pytest.mark.parametrize("way", ["ws", "stream"])
def test_nothing_is_missing_whoever_is_killed(stack, http, user, folder, tmp_path, way):
    """Kills the notifier, then the program itself, which goes on from the cursor that it kept."""
    contents = iter(range(1000))

    def say(count):
        said = [f"n{next(contents)}" for _ in range(count)]
        for content in said:
            assert http.post("/tasks", {"user_id": user, "content": content}).status == 201
        return said

    before = say(2)
    program = Listener(folder, stack, user, way, tmp_path).live()
    try:
        assert program.seen("start") == {"what": "start", "reason": None, "tasks": before}
        expected = say(3)
        program.heard(expected)
        stack.notifier().kill(signal.SIGKILL)
        expected += say(3)
        program.heard(expected)
    finally:
        program.kill()
    assert program.contents() == expected
    missed = say(3)
    again = Listener(folder, stack, user, way, tmp_path).live()
    try:
        again.heard(missed)
        assert again.contents() in (missed, [expected[-1], *missed]), "the last may have come just before its cursor was kept"
        assert not again.said("start"), "it need not start over"
    finally:
        again.stop()


@pytest.mark.disturbs
def test_the_journal_has_what_the_notifier_has_forgotten(stack, http, user, folder, tmp_path):
    """`recovered:false` is no reason to start over; a journal that does not reach back is."""
    restart_notifier(stack, 65536)
    try:
        Listener(folder, stack, user, "ws", tmp_path).live().stop()
        contents = [f"{number:0200}" for number in range(250)]
        for content in contents:
            assert http.post("/tasks", {"user_id": user, "content": content}).status == 201
        stack.outbox_empty()
        program = Listener(folder, stack, user, "ws", tmp_path)
        try:
            program.heard(contents)
            program.live()
            assert program.contents() == contents and not program.said("start")
            pages = [line["path"] for line in program.said("fetch")]
            assert pages == [f"/users/{user}/events"] * 2, "the journal, in two pages, and nothing else"
        finally:
            program.stop()
        for content in ("lost", *contents[:200]):
            http.post("/tasks", {"user_id": user, "content": content})
        stack.outbox_empty()
        stack.sql(f"DELETE FROM events WHERE user_id = {user} AND seq <= 300")
        program = Listener(folder, stack, user, "ws", tmp_path).live()
        try:
            assert [line["reason"] for line in program.said("start")] == ["truncated"]
            assert len(program.seen("start")["tasks"]) == 451
        finally:
            program.stop()
    finally:
        restart_notifier(stack, 134217728)


def restart_notifier(stack, ring_bytes):
    stack.script("restart", "ws-notifier", env={**stack.environment, "RING_BYTES": str(ring_bytes)})
