"""RabbitMQ killed, frozen or stopped: writes go on as if nothing were, and every event arrives after."""

import signal
import time

import pytest

from lib.amqp import first_appearances
from lib.wait import eventually

pytestmark = pytest.mark.disturbs


@pytest.fixture
def some(stack):
    users = stack.new_users(5)
    return users, stack.new_tasks(users)


def write_some(http, tasks, rounds, limit=2.0):
    """PATCHes every task `rounds` times; each must be accepted soon."""
    for number in range(rounds):
        for task in tasks:
            start = time.monotonic()
            answer = http.patch(f"/tasks/{task}", {"content": f"n{number}"}, timeout=10)
            taken = time.monotonic() - start
            assert answer.status == 200, answer
            assert taken < limit, f"a PATCH took {taken:.2f} s"


def heard_all(socket, users, expected, deadline):
    """Until each user's notifications, doubles aside, are `expected` in order."""
    heard = {user: [] for user in users}

    def take():
        frame = socket.notification(deadline)
        heard[frame["task"]["user_id"]].append(frame["task"]["content"])

    while any(len(contents) < len(expected) for contents in heard.values()):
        take()
    assert heard == {user: expected for user in users}


def in_stream(stack, users, count):
    reader = stack.stream()
    try:
        reader.sync()
        seen = first_appearances(m for m in reader.events() if m.user in users)
        assert seen == {user: list(range(1, count + 1)) for user in users}
    finally:
        reader.close()


def test_broker_frozen(stack, http, some, sockets):
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:
        write_some(http, tasks, 20)
        assert http.get("/healthz").status == 200
        assert socket.is_open
        socket.send({"type": "subscribe", "user_id": 1})  # browsers are answered meanwhile
        assert socket.recv(5)["type"] == "subscribe"
    finally:
        broker.kill(signal.SIGCONT)
    stack.outbox_empty(40)
    in_stream(stack, users, 20)
    heard_all(socket, users, [f"n{n}" for n in range(20)], 30)
    stack.ready()


@pytest.mark.long
def test_broker_frozen_until_heartbeats_are_missed(stack, http, some, sockets):
    """Longer than two AMQP heartbeats: both programs must notice, let go and come back."""
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:

        def noticed():
            answer = http.get("/readyz", timeout=10)
            assert answer.status == 200, answer
            assert answer.json()["broker"] == "down" and answer.json()["status"] == "degraded", answer
            return True

        write_some(http, tasks, 5)
        eventually(noticed, 45, "the API notices the frozen broker", interval=0.5)
        write_some(http, tasks, 5)
    finally:
        broker.kill(signal.SIGCONT)
    stack.ready(60)
    stack.outbox_empty(40)
    in_stream(stack, users, 10)
    heard_all(socket, users, [f"n{n}" for n in list(range(5)) * 2], 40)


def test_broker_killed(stack, http, some, sockets):
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    write_some(http, tasks, 5)
    before = stack.part("rabbitmq")
    stack.broker().kill(signal.SIGKILL)
    for number in range(40):
        write_some(http, tasks, 1)
    assert socket.is_open
    eventually(lambda: stack.part("rabbitmq").restarts > before.restarts, 30, "the supervisor starts the broker again")
    stack.ready(60)
    stack.outbox_empty(40)
    in_stream(stack, users, 45)
    heard_all(socket, users, [f"n{n}" for n in range(5)] + ["n0"] * 40, 40)


def test_writes_while_away_say_degraded_and_log_little(stack, http, some):
    """One line a change of state, not one a try."""
    marks = stack.log_marks()
    stack.broker().kill(signal.SIGKILL)
    _, tasks = some
    write_some(http, tasks, 10)
    stack.ready(60)
    stack.outbox_empty(40)
    for part, most in (("fcgi-api", 12 * len(stack.workers())), ("ws-notifier", 20)):
        lines = [
            line
            for line in stack.logs_since(marks, part).splitlines()
            if any(word in line.lower() for word in ("broker", "rabbitmq", "amqp")) and "published" not in line
        ]
        assert len(lines) <= most, f"{len(lines)} lines:\n" + "\n".join(lines[:60])
