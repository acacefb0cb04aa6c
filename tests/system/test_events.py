# SPDX-License-Identifier: MIT
"""Events: the journal over HTTP, the messages in the stream, the frames in the browser are one text."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.http import assert_problem
from lib.wait import eventually


@pytest.fixture
def busy(http, task):
    """A task whose user has five events."""
    for body in ({"status": 1}, {"content": "y"}, {"status": 0}):
        http.patch(f"/tasks/{task['id']}", body)
    http.delete(f"/tasks/{task['id']}")
    return task


KINDS = ["task.created", "task.completed", "task.updated", "task.reopened", "task.deleted"]
VERBS = ["created", "completed", "updated", "reopened", "deleted"]


def test_message_as_the_contract_says(stack, busy, stream):
    user, epoch = busy["user_id"], stack.epoch()
    stream.wait_for(user, 5)
    first = {}
    for message in stream.events(user):
        first.setdefault(message.seq, message)
    assert sorted(first) == [1, 2, 3, 4, 5]
    for seq, kind, payload in stack.journal(user):
        message = first[seq]
        assert message.body.decode() == payload
        assert message.type == kind == message.routing_key == KINDS[seq - 1]
        assert message.message_id == f"{epoch}:{user}:{seq}"
        assert message.content_type == "application/json"
        assert message.delivery_mode == 2
        assert message.timestamp > 1_600_000_000
        assert message.correlation_id
        assert message.headers["epoch"] == epoch


def test_frame_as_the_contract_says(stack, busy):
    user, epoch = busy["user_id"], stack.epoch()
    for seq, kind, payload in stack.journal(user):
        frame = json.loads(payload)
        assert list(frame) == ["type", "event", "cursor", "message", "task"]
        assert frame["type"] == "notification" and frame["event"] == kind
        assert frame["cursor"] == f"{epoch}:{seq}"
        assert re.match(rf"task {busy['id']} has been {VERBS[seq - 1]} at ", frame["message"])
        assert frame["task"]["id"] == busy["id"]
        assert payload == json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def test_browser_gets_the_same_bytes(stack, http, ws, user):
    ws.subscribe(user)
    made = http.post("/tasks", {"user_id": user, "content": "🥖 \"quoted\" \\ \n é"}).json()
    http.patch(f"/tasks/{made['id']}", {"status": 1})
    ws.notification()
    ws.notification()
    assert [text for text in ws.texts if '"notification"' in text] == [payload for _, _, payload in stack.journal(user)]


def test_events_over_http(stack, http, busy):
    user, epoch = busy["user_id"], stack.epoch()
    answer = http.get(f"/users/{user}/events?since={epoch}:2")
    assert answer.status == 200
    assert [event["event"] for event in answer.json()] == KINDS[2:]
    assert [event["cursor"] for event in answer.json()] == [f"{epoch}:{seq}" for seq in (3, 4, 5)]
    assert answer.header("Event-Cursor").split(":")[:2] == [epoch, "5"]
    journal = [payload for _, _, payload in stack.journal(user)]
    assert all(payload in answer.text for payload in journal[2:]), "not the exact payloads"


def test_events_in_pages(stack, http, busy):
    user, epoch = busy["user_id"], stack.epoch()
    answer = http.get(f"/users/{user}/events?since={epoch}:0&limit=2")
    assert [event["cursor"] for event in answer.json()] == [f"{epoch}:1", f"{epoch}:2"]
    assert answer.header("Event-Cursor").split(":")[:2] == [epoch, "2"]
    link = answer.header("Link")
    assert 'rel="next"' in link
    path = re.search(r"<([^>]+)>", link)[1]
    rest = http.get(path).json()
    assert rest[0]["cursor"] == f"{epoch}:3"


def test_events_from_the_cursor_of_a_list(http, busy):
    user = busy["user_id"]
    cursor = http.get(f"/tasks?user_id={user}").header("Event-Cursor")
    assert http.get(f"/users/{user}/events?since={cursor}").json() == []
    made = http.post("/tasks", {"user_id": user, "content": "z"}).json()
    [event] = http.get(f"/users/{user}/events?since={cursor}").json()
    assert event["task"] == made


def test_events_at_the_end(stack, http, busy):
    answer = http.get(f"/users/{busy['user_id']}/events?since={stack.epoch()}:5")
    assert answer.json() == [] and answer.header("Link") is None


def test_cursor_of_another_life(http, busy):
    assert_problem(http.get(f"/users/{busy['user_id']}/events?since=00000000:1"), 410, "cursor-gone")


def test_cursor_older_than_the_journal(stack, http, busy):
    user, epoch = busy["user_id"], stack.epoch()
    stack.outbox_empty()
    stack.sql(f"DELETE FROM outbox WHERE user_id = {user}; DELETE FROM events WHERE user_id = {user} AND seq <= 2")
    assert_problem(http.get(f"/users/{user}/events?since={epoch}:1"), 410, "cursor-gone")
    assert len(http.get(f"/users/{user}/events?since={epoch}:2").json()) == 3


@pytest.mark.parametrize("since", ["", "x", ":", "abc:-1", "abc:01", "abc:1:2:3", "abc:99999999999999999999", "a b:1", "é:1"])
def test_malformed_cursor(http, busy, since):
    import urllib.parse

    answer = http.get(f"/users/{busy['user_id']}/events?since={urllib.parse.quote(since)}")
    assert_problem(answer, 422, "validation", field="since")


def test_events_of_an_unknown_user(stack, http):
    assert_problem(http.get(f"/users/2147483647/events?since={stack.epoch()}:0"), 404, "not-found")


def test_several_sockets_and_several_users(stack, http, sockets):
    one, two, three = stack.new_users(3)
    tasks = stack.new_tasks([one, two, three])
    first, second, both = sockets(), sockets(), sockets()
    first.subscribe(one)
    second.subscribe(one)
    both.subscribe(one)
    both.subscribe(two)
    http.patch(f"/tasks/{tasks[2]}", {"status": 1})  # no socket listens to the third
    http.patch(f"/tasks/{tasks[0]}", {"status": 1})
    for socket in (first, second, both):
        assert socket.notification()["task"]["user_id"] == one
    http.patch(f"/tasks/{tasks[1]}", {"status": 1})
    assert both.notification()["task"]["user_id"] == two
    for socket in (first, second, both):
        socket.nothing_before_answer()


def test_subscribing_twice_is_hearing_once(stack, http, ws, task):
    user = task["user_id"]
    stack.outbox_empty()
    ws.subscribe(user)
    ws.subscribe(user)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    frames = [ws.recv_until(lambda frame: frame.get("event") == "task.completed")]  # the first may be task.created, late
    ws.send({"type": "unsubscribe", "user_id": user})
    answer = ws.recv_until(lambda frame: frames.append(frame) or frame["type"] == "unsubscribe")
    assert answer == {"type": "unsubscribe", "user_id": user}
    completed = [frame for frame in frames if frame.get("event") == "task.completed"]
    assert len(completed) == 1


def test_unsubscribe(stack, http, sockets):
    users = stack.new_users(1)
    [task] = stack.new_tasks(users)
    leaving, staying = sockets(), sockets()
    for socket in (leaving, staying):
        socket.subscribe(users[0])
    leaving.send({"type": "unsubscribe", "user_id": users[0]})
    assert leaving.recv_text() == f'{{"type":"unsubscribe","user_id":{users[0]}}}'
    http.patch(f"/tasks/{task}", {"status": 1})
    staying.notification()
    leaving.nothing_before_answer()


def test_order_per_user(stack, http, ws, user):
    ws.subscribe(user)
    [task] = stack.new_tasks([user])
    for number in range(60):
        http.patch(f"/tasks/{task}", {"content": f"n{number}"})
    assert [ws.notification()["task"]["content"] for _ in range(60)] == [f"n{number}" for number in range(60)]


def test_subscribe_answers_exactly_that_object(sockets):
    socket = sockets()
    for text in ('{"type":"subscribe","user_id":1}', '{"type":"subscribe","user_id":2147483647}'):
        socket.send(text)
        assert socket.recv_text() == text


def test_a_ping_is_answered(ws):
    """A page cannot see the protocol's own pings, and after a sleep it wants to know at once."""
    ws.send('{"type":"ping"}')
    assert ws.recv_text() == '{"type":"pong"}'


def test_event_arrives_within_milliseconds(stack, http, ws, task):
    """Loose on purpose: it finds a poll where there should be a wake-up. Without one the sweeper finds each event, a
    second after the one before; on a busy machine only some of them come at once."""
    import time

    ws.subscribe(task["user_id"])
    taken = []
    for number in range(20):
        start = time.monotonic()
        http.patch(f"/tasks/{task['id']}", {"content": f"{number}"})
        ws.recv_until(lambda frame: frame.get("task", {}).get("content") == f"{number}")
        taken.append(time.monotonic() - start)
    assert sorted(taken)[4] < 0.5, taken


def test_purged_users_outbox_is_empty_in_the_end(stack, busy):
    eventually(lambda: stack.sql_number(f"SELECT COUNT(*) FROM outbox WHERE user_id = {busy['user_id']}") == 0, 10)


def test_a_list_and_its_cursor_are_of_one_moment(stack, http, user, task):
    """A writer puts the number of its event into the task; each concurrent read of the list finds both the same."""
    seen, over = set(), threading.Event()

    def write():
        """400 times, and until the reader has met enough of them."""
        writer = stack.client()
        for seq in range(2, 4002):
            assert writer.patch(f"/tasks/{task['id']}", {"content": str(seq)}).status == 200
            if over.is_set() or (seq > 400 and len(seen) > 20):
                break

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            while not writing.done():
                answer = http.get(f"/tasks?user_id={user}")
                [listed] = answer.json()
                seq = answer.header("Event-Cursor").split(":")[1]
                assert listed["content"] in (seq, task["content"]), (listed, seq)
                seen.add(seq)
        finally:
            over.set()
        writing.result()
    assert len(seen) > 20, "the two never met"
