# SPDX-License-Identifier: MIT
"""Messages that another program may publish: delivered when they can be understood, otherwise logged and skipped; and
the next message is delivered all the same."""

import json

import pytest

from lib.wait import eventually


@pytest.fixture
def listener(stack, sockets, user):
    socket = sockets()
    socket.subscribe(user)
    return socket


def original(user, text="task 1 has been completed at some time"):
    return {
        "message": text,
        "task": {"id": 1, "user_id": user, "status": 1, "content": "x", "createdAt": "2024-01-02T17:00:00.000Z",
                 "completedAt": "2024-02-02T20:54:23.000Z"},
    }  # fmt: skip


def heard_after(publisher, listener, user, text="after"):
    publisher.publish(json.dumps(original(user, text)).encode())
    return listener.recv_until(lambda frame: frame.get("message") == text)


def test_the_originals_message_is_delivered(publisher, listener, user):
    body = original(user)
    publisher.publish(json.dumps(body).encode())
    frame = listener.notification()
    assert frame["message"] == body["message"] and frame["task"] == body["task"]
    assert "cursor" not in frame or frame["cursor"] is None


def test_the_originals_message_with_other_keys(publisher, listener, user):
    publisher.publish(json.dumps({**original(user), "more": [1, 2]}).encode(), key="task.whatever")
    assert listener.notification()["task"]["user_id"] == user


def test_straight_into_the_queue(publisher, listener, user):
    publisher.publish(json.dumps(original(user)).encode(), key="tasks_completed", exchange="")
    assert listener.notification()["task"]["user_id"] == user


BAD = {
    "not json": b"hello",
    "empty": b"",
    "half": b'{"message":"x","task":{"user_id":',
    "array": b"[]",
    "null": b"null",
    "no task": b'{"message":"x"}',
    "no user": b'{"message":"x","task":{"id":1}}',
    "user is text": b'{"message":"x","task":{"user_id":"1"}}',
    "user is negative": b'{"message":"x","task":{"user_id":-1}}',
    "user is huge": b'{"message":"x","task":{"user_id":1e300}}',
    "bad utf-8": b'{"message":"\xff","task":{"user_id":1}}',
    "nul": b'{"message":"a\\u0000b","task":{"user_id":1}}',
    "deep": b'{"task":' * 5000,
    "message is a number": b'{"message":1,"task":{"user_id":1}}',
    "10 MB of nothing": b"a" * 10_000_000,
}


@pytest.mark.parametrize("name", BAD)
def test_logged_and_skipped(stack, publisher, listener, user, name):
    marks = stack.log_marks()
    publisher.publish(BAD[name])
    heard_after(publisher, listener, user)
    eventually(
        lambda: any(
            word in stack.logs_since(marks, "ws-notifier").lower() for word in ("skip", "ignor", "not understood", "dropped")
        ),
        5,
        "a line about the skipped message",
    )


def test_10_mb_that_could_be_understood(publisher, listener, user):
    publisher.publish(json.dumps({**original(user), "more": "a" * 10_000_000}).encode())
    heard_after(publisher, listener, user)


@pytest.mark.parametrize(
    "headers",
    [
        {"user_id": "x", "seq": 1, "epoch": "abc"},
        {"user_id": -1, "seq": 1, "epoch": "abc"},
        {"user_id": 1, "seq": -5, "epoch": "abc"},
        {"user_id": 1, "seq": 1, "epoch": ""},
        {"user_id": 1, "seq": 1, "epoch": "x" * 500},
        {"user_id": 1, "seq": 1, "epoch": 7},
        {"user_id": None, "seq": None, "epoch": None},
        {"user_id": 1},
        {"seq": 1},
        {"user_id": {"a": 1}, "seq": [1], "epoch": True},
        {"user_id": 2**40, "seq": 2**62, "epoch": "abc"},
        {f"h{number}": "x" * 200 for number in range(200)},
    ],
    ids=lambda headers: str(headers)[:50],
)
def test_odd_headers(publisher, listener, user, headers):
    publisher.publish(json.dumps(original(2147483647)).encode(), headers=headers)
    heard_after(publisher, listener, user)


@pytest.mark.parametrize("kind", ["", "carillon.unknown", "carillon.marker", "carillon.epoch", "x" * 255, "task.exploded"])
def test_unknown_types(publisher, listener, user, kind):
    publisher.publish(b"not json", type=kind, key="task.odd")
    publisher.publish(b"not json", type=kind, key="tasks_completed", exchange="", message_id="nonsense")
    heard_after(publisher, listener, user)


def test_transient_message_with_every_property(publisher, listener, user):
    publisher.publish(
        json.dumps(original(user)).encode(),
        content_type="text/plain",
        content_encoding="gzip",
        correlation_id="c" * 255,
        reply_to="r" * 255,
        message_id="m" * 255,
        timestamp=1,
        type="t" * 255,
        app_id="a",
        priority=9,
        expiration="60000",
    )
    assert listener.notification()["task"]["user_id"] == user


def test_many_bad_messages_do_not_hold_up_the_rest(stack, http, publisher, sockets):
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    socket = sockets()
    socket.subscribe(user)
    for number in range(300):
        publisher.publish(b"\xff" * (number * 10))
    http.patch(f"/tasks/{task}", {"status": 1})
    assert socket.notification(10)["task"]["id"] == task


def test_the_notifier_still_reads(http):
    eventually(lambda: http.get("/notifier/readyz").status == 200, 20, "it is ready")
    eventually(lambda: "carillon_notifier_broker_up 1" in http.get("/notifier/metrics").text, 20, "it has its broker")
