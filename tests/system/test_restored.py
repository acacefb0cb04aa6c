# SPDX-License-Identifier: MIT
"""A backup restored while the programs run: every client is told to read anew, and misses nothing afterwards."""

import json

import pytest

from conftest import PATIENT
from lib.stack import Stack


@pytest.fixture
def own_stack():
    stack = Stack.start(API_WORKERS=2, **PATIENT)
    yield stack
    stack.stop()


def test_the_first_event_of_another_epoch_is_announced(own_stack):
    [user] = own_stack.new_users(1)
    [task] = own_stack.new_tasks([user])
    http, socket, plain = own_stack.client(), own_stack.socket(), own_stack.socket()
    socket.subscribe(user, since=None)
    plain.subscribe(user)
    for epoch in ("restored1", "restored2"):
        assert http.patch(f"/tasks/{task}", {"content": "before"}).status == 200
        assert socket.notification()["task"]["content"] == "before"
        own_stack.sql(f"UPDATE epoch SET value = '{epoch}'")
        texts = [f"{epoch} {number}" for number in range(10)]
        for text in texts:
            assert http.patch(f"/tasks/{task}", {"content": text}).status == 200
        reset = socket.recv_until(lambda frame: frame["type"] != "heartbeat")
        assert (reset["type"], reset["reason"]) == ("reset", "epoch")
        frames = [socket.notification() for _ in texts]
        assert [frame["task"]["content"] for frame in frames] == texts
        assert all(frame["cursor"].startswith(epoch + ":") for frame in frames)
        heard = [plain.recv_until(lambda frame: frame.get("task"))["task"]["content"] for _ in range(11)]
        assert heard == ["before", *texts]


def test_what_is_kept_speaks_of_the_epoch_of_now(stack, http, user, sockets):
    """The texts of a restored journal and outbox are of the epoch before; the cursors they carry to readers are not."""
    socket = sockets()
    socket.subscribe(user, since=None)
    task = '{"id":1,"user_id":1,"status":0,"content":"kept","createdAt":"2024-01-02T17:00:00.000Z","completedAt":null}'
    body = f'{{"type":"notification","event":"task.updated","cursor":"before1:1","message":"kept","task":{task}}}'
    stack.sql(
        f"UPDATE users SET event_seq = 1 WHERE id = {user};"
        "INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
        f" VALUES ({user}, 1, 'task.updated', 1, '{body}', UTC_TIMESTAMP(3));"
        f"INSERT INTO outbox (user_id, seq, created_at) VALUES ({user}, 1, UTC_TIMESTAMP(3))"
    )
    cursor = f"{stack.epoch()}:1"
    assert socket.notification(60)["cursor"] == cursor
    [listed] = http.get(f"/users/{user}/events?since={stack.epoch()}:0").json()
    assert listed == {**json.loads(body), "cursor": cursor}
    assert http.get(f"/users/{user}/events?since={cursor}").status == 200
