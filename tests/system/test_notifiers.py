# SPDX-License-Identifier: MIT
"""Two notifiers on one stream behind nginx: a browser may come back to another one, and one of them may be restarted
while the other serves on. Their ring is small, so that it can be outrun."""

import asyncio
import json
import signal
import subprocess
import urllib.parse

import pytest

from drill.listeners import STEADY, Listener
from lib.http import Http
from lib.load import Load
from lib.stack import ROOT
from lib.wait import eventually
from lib.ws import shared_loop

RING_BYTES = 4_000_000  # a minute of the load below
PARTS = ("ws-notifier", "ws-notifier-2")


@pytest.fixture(scope="module")
def doors(pair):
    """The notifiers' own ports."""
    ports = pair.port("NOTIFIER_PORT"), pair.port("PORT") + 11
    return [f"ws://127.0.0.1:{port}/ws" for port in ports]


@pytest.fixture
def busy(pair):
    [user] = pair.new_users(1)
    [task] = pair.new_tasks([user])
    http = pair.client(keep=True)

    def change(*contents):
        for content in contents:
            assert http.patch(f"/tasks/{task}", {"content": content}).status == 200

    return user, change


def heard(socket, count):
    return [socket.notification() for _ in range(count)]


def test_both_say_the_same(pair, doors, busy):
    user, change = busy
    sockets = [pair.socket(door) for door in doors]
    for socket in sockets:
        socket.subscribe(user)
    change("a", "b", "c")
    for socket in sockets:
        heard(socket, 3)
    one, two = ([text for text in socket.texts if '"notification"' in text] for socket in sockets)
    assert one == two and len(one) == 3


def test_come_back_to_the_other(pair, doors, busy):
    """To and fro, each time with the cursor of the last one."""
    user, change = busy
    first, other = (pair.socket(door) for door in doors)
    for socket in (first, other):
        socket.subscribe(user, since=None)
    change("0")
    cursor = heard(first, 1)[0]["cursor"]
    heard(other, 1)  # of a user of whom it knew nothing yet it could not say that nothing is missing
    first.close()
    other.close()
    for turn in range(1, 6):
        change(f"{turn}a", f"{turn}b")
        socket = pair.socket(doors[turn % 2])
        answer = socket.subscribe(user, since=cursor)
        assert answer["recovered"] is True, answer
        frames = heard(socket, 2)
        assert [frame["task"]["content"] for frame in frames] == [f"{turn}a", f"{turn}b"]
        socket.nothing_before_answer()
        cursor = frames[-1]["cursor"]
        socket.close()


@pytest.mark.long
def test_who_was_away_too_long_is_told(pair, doors, busy):
    """More has happened than the ring holds. After reading the list, its cursor serves."""
    user, change = busy
    first = pair.socket(doors[0])
    first.subscribe(user, since=None)
    change("seen")
    cursor = heard(first, 1)[0]["cursor"]
    first.close()
    change(*("\N{BELL}" * 1000 for _ in range(RING_BYTES // 4000)))  # four bytes each
    pair.outbox_empty()
    for door in doors:

        def told():
            """A notifier may read the last of them a moment after they are in the stream."""
            socket = pair.socket(door)
            answer = socket.subscribe(user, since=cursor)
            if answer["recovered"]:
                socket.close()
                raise AssertionError(answer)
            assert answer["reason"] == "truncated", answer
            return socket

        socket = eventually(told, 60, "it is told")
        fresh = pair.client().get(f"/tasks?user_id={user}").header("Event-Cursor")
        assert socket.subscribe(user, since=fresh)["recovered"] is True
        socket.close()


def test_rolling_restart_under_load(pair, doors):
    """First one, then the other: no request fails, and every browser, told 1012 and back with its cursor, hears each
    event once and in order."""
    pages = [Http(door.replace("ws:", "http:").removesuffix("/ws")) for door in doors]
    users = pair.new_users(10)
    tasks = pair.new_tasks(users)
    for task in tasks:  # a user with an event in the ring can be served, however new the ring's oldest event is
        assert pair.client().patch(f"/tasks/{task}", {"content": "first"}).status == 200
    for door in doors:
        eventually(lambda: knows(pair, door, users), 60, "both have read them")
    endpoint = urllib.parse.urlsplit(pair.http)
    place = endpoint.hostname, endpoint.port
    listeners = [Listener(f"page {n}", STEADY, [user], {"nginx": pair.ws}, place, 1) for n, user in enumerate(users * 2)]
    running = [asyncio.run_coroutine_threadsafe(listener.run(), shared_loop().loop) for listener in listeners]
    load = Load(pair.http, lambda index: ("PATCH", f"/tasks/{tasks[index % 10]}", {"status": index // 10 % 2}), 150)
    load.start()
    try:
        readers = [reader for listener in listeners for reader in listener.readers.values()]
        eventually(lambda: all(reader.answered for reader in readers), 60, "all readers are there")
        for part in PARTS:
            restart(pair, pages, part)
            goal = len(load.accepted) + 150
            eventually(lambda: len(load.accepted) >= goal, 90, "the load goes on")
        load.stop()
        load.assert_none_failed()
        heads = {int(user): int(seq) for user, seq in pair.sql("SELECT id, event_seq FROM users")}
        assert sum(heads[user] for user in users) == len(users) + len(load.accepted)
        eventually(lambda: all(r.answered and r.last == heads[r.user] for r in readers), 90, "all readers have everything")
    finally:
        load.stop()
        for task in running:
            task.cancel()
    assert [reader.violations for reader in readers if reader.violations] == []
    assert not any(reader.refusals for reader in readers), [dict(reader.refusals) for reader in readers]
    assert {code for listener in listeners for code in listener.closes} == {1012}


def knows(pair, door, users):
    """Whether that notifier has the users' first events."""
    socket = pair.socket(door)
    try:
        return all(socket.subscribe(user, since=f"{pair.epoch()}:0")["recovered"] for user in users)
    finally:
        socket.close()


def restart(pair, pages, part):
    notifier = pair.process(part, "ws-notifier")
    notifier.kill(signal.SIGTERM)
    eventually(lambda: not notifier.alive(), 20, f"{part} leaves")  # five seconds are its own limit; it may stall

    def another():
        return [p for p in pair.processes(part) if p.name == "ws-notifier" and p.pid != notifier.pid]

    eventually(another, 60, f"{part} comes back")
    pair.ready()
    # nginx asks either of them; the other one must not be restarted before this one has read the stream.
    eventually(lambda: is_ready(pages[PARTS.index(part)]), 60, f"{part} is ready")


def is_ready(page):
    try:
        return page.get("/readyz").status == 200
    except OSError:
        return False


@pytest.mark.long
def test_a_crowd_is_measured(pair, tmp_path):
    """scripts/scale, briefly: it counts each delivery, and the clients of the notifier that it restarts come back."""
    subprocess.run(["make", "-C", ROOT, "BUILD=build", "build/bench/crowd", "build/bench/pump"], check=True, capture_output=True, timeout=600)
    told = tmp_path / "told.json"
    done = pair.script("scale", "--stack", pair.run_dir, "--sockets", "300", "--seconds", "1", "--rate", "50", "--output", told,
                       env={**pair.environment, "BUILD_DIR": str(ROOT / "build")}, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["what"]: row["value"] for row in json.loads(told.read_text())["rows"]}
    assert rows["restart of one notifier: sockets that came back"] == 150


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--sockets", "many"], "argument --sockets: must be a whole number from 1 to 1,000,000, not 'many'; see scripts/scale --help"),
        (["--stack", "/nowhere"], "/nowhere is no directory of scripts/run"),
    ],
)
def test_what_it_cannot_measure_is_one_line(pair, arguments, said):
    done = pair.script("scale", *arguments, env={**pair.environment, "BUILD_DIR": str(ROOT / "build")}, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"scale: {said}\n")
