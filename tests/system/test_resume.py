# SPDX-License-Identifier: MIT
"""Coming back with a cursor: exactly the missed events, in order, or `recovered:false`."""

import json

import pytest

from lib.http import Http
from lib.wait import eventually


@pytest.fixture
def busy(stack):
    """A user with a task, and a way to make events."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    http = stack.client(keep=True)

    def change(*contents):
        for content in contents:
            assert http.patch(f"/tasks/{task}", {"content": content}).status == 200

    return user, change


def contents(socket, count):
    return [socket.notification()["task"]["content"] for _ in range(count)]


def test_subscribe_with_null(stack, sockets, busy):
    user, change = busy
    change("before")
    socket = sockets()
    answer = socket.subscribe(user, since=None)
    assert answer["cursor"].startswith(f"{stack.epoch()}:")
    change("after")
    assert socket.recv_until(lambda frame: frame.get("task", {}).get("content") == "after")


def test_missed_events_are_replayed(stack, sockets, busy):
    user, change = busy
    first = sockets()
    first.subscribe(user, since=None)
    change("a", "b")
    cursor = [first.notification() for _ in range(2)][-1]["cursor"]
    first.close()

    change("c", "d", "e")
    second = sockets()
    answer = second.subscribe(user, since=cursor)
    assert answer["recovered"] is True
    change("f")
    assert contents(second, 4) == ["c", "d", "e", "f"]
    second.nothing_before_answer()


def test_from_the_cursor_of_a_list_nothing_falls_between(stack, http, sockets, busy):
    user, change = busy
    change("a")
    answer = http.get(f"/tasks?user_id={user}")
    change("b", "c")
    socket = sockets()
    assert socket.subscribe(user, since=answer.header("Event-Cursor"))["recovered"] is True
    assert contents(socket, 2) == ["b", "c"]


@pytest.mark.parametrize("heard", [0, 1, 7, 19])
def test_cut_in_the_middle_of_a_replay(sockets, busy, heard):
    """It keeps the cursor of every frame it is given, the answer's too, and gets exactly the rest."""
    user, change = busy
    first = sockets()
    first.subscribe(user, since=None)
    change("seen")
    cursor = first.notification()["cursor"]
    missed = [f"n{number}" for number in range(20)]
    change(*missed)
    contents(first, 20)
    first.close()

    cut = sockets()
    answer = cut.subscribe(user, since=cursor)
    frames = [cut.notification() for _ in range(heard)]
    cut.close()
    kept = [answer, *frames][-1]["cursor"]
    again = sockets()
    answer = again.subscribe(user, since=kept)
    assert answer["recovered"] is True and answer["replayed"] == 20 - heard, answer
    change("live")
    rest = [again.notification() for _ in range(21 - heard)]
    assert [frame["task"]["content"] for frame in rest] == missed[heard:] + ["live"]
    assert rest[-2]["cursor"] == answer["until"]


def test_a_cursor_fresh_from_http_may_be_ahead(stack, http, sockets, busy):
    """The list has the event already, the notifier perhaps not yet: it must not come a second time."""
    user, change = busy
    socket = sockets()
    for number in range(20):
        change(f"n{number}")
        cursor = http.get(f"/tasks?user_id={user}").header("Event-Cursor")
        assert socket.subscribe(user, since=cursor)["recovered"] is True
    change("last")
    assert socket.notification()["task"]["content"] == "last"


def test_cursor_of_another_life(sockets, busy):
    user, _ = busy
    answer = sockets().subscribe(user, since="00000000:1")
    assert answer["recovered"] is False and answer["reason"] == "epoch"


def test_two_who_come_back_to_different_places(sockets, busy):
    user, change = busy
    watcher = sockets()
    watcher.subscribe(user, since=None)
    change(*"abcd")
    cursors = [watcher.notification()["cursor"] for _ in range(4)]
    early, late = sockets(), sockets()
    early.subscribe(user, since=cursors[0])
    late.subscribe(user, since=cursors[2])
    assert contents(early, 3) == ["b", "c", "d"]
    assert contents(late, 1) == ["d"]


def test_heartbeats_carry_a_cursor_to_come_back_with(small_stack):
    [user] = small_stack.new_users(1)
    [task] = small_stack.new_tasks([user])
    socket = small_stack.socket()
    socket.subscribe(user, since=None)
    beat = socket.recv_until(lambda frame: frame["type"] == "heartbeat")
    assert beat["user_id"] == user and len(beat["cursor"].split(":")) == 3
    socket.close()
    assert small_stack.client().patch(f"/tasks/{task}", {"content": "missed"}).status == 200
    again = small_stack.socket()
    assert again.subscribe(user, since=beat["cursor"])["recovered"] is True
    assert again.notification()["task"]["content"] == "missed"
    again.close()


@pytest.mark.disturbs
def test_after_the_notifier_was_killed(stack, sockets, busy):
    """A new process has read the stream again: the old cursor still serves."""
    user, change = busy
    first = sockets()
    first.subscribe(user, since=None)
    change("a")
    cursor = first.notification()["cursor"]
    stack.notifier().kill()
    first.wait_closed()
    change("b", "c")

    def again():
        try:
            socket = sockets()
            return socket, socket.subscribe(user, since=cursor)
        except Exception as error:
            raise AssertionError(repr(error)) from None

    socket, answer = eventually(again, 90, "a browser can come back")
    assert answer["recovered"] is True
    assert contents(socket, 2) == ["b", "c"]
    stack.ready()


def read_events(stack, path, headers=""):
    """Opens a stream of Server-Sent Events; returns a function that reads one event as a dictionary."""
    sock = Http(stack.http).connect()
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{headers}\r\n".encode())
    source = sock.makefile("rb")
    status = int(source.readline().split()[1])
    kinds = {}
    while (line := source.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        kinds[name.lower()] = value.strip()

    def one():
        event = {}
        while True:
            line = source.readline().rstrip(b"\r\n").decode()
            name, _, value = line.partition(":")
            if line == "" and "data" in event:  # and not the end of a chunk, in which there may be `retry` alone
                return event
            if name in ("data", "id", "event", "retry"):
                event[name] = value.strip()

    return status, kinds, one, sock


def test_server_sent_events(stack, busy):
    user, change = busy
    marks = stack.log_marks()
    status, kinds, one, sock = read_events(stack, f"/events?user_id={user}")
    assert status == 200 and kinds["content-type"].startswith("text/event-stream")
    change("a", "b")
    seen = []
    while len(seen) < 2:
        event = one()
        if '"notification"' in event.get("data", ""):
            seen.append((json.loads(event["data"])["task"]["content"], event["id"]))
    assert [content for content, _ in seen] == ["a", "b"]
    sock.close()

    change("c")
    _, _, one, sock = read_events(stack, f"/events?user_id={user}", f"Last-Event-ID: {seen[0][1]}\r\n")
    answer = one()  # and then the connection breaks: its id is kept
    sock.close()
    assert (answer["event"], answer["id"]) == ("subscribe", seen[0][1])

    _, _, one, sock = read_events(stack, f"/events?user_id={user}", f"Last-Event-ID: {answer['id']}\r\n")
    missed = []
    while len(missed) < 2:
        event = one()
        if '"notification"' in event.get("data", ""):
            missed.append(json.loads(event["data"])["task"]["content"])
    assert missed == ["b", "c"]
    sock.close()
    lines = stack.logs_since(marks, "ws-notifier").splitlines()
    assert not [line for line in lines if "libwebsockets:" in line], "the library complains of each of them"
