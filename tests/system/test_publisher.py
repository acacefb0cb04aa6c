# SPDX-License-Identifier: MIT
"""The publisher, and the effects of other services, clocks and processes on it."""

import os
import signal
import uuid
from collections import Counter

import pika
import pytest

from lib.wait import eventually
from test_accounts import management
from test_metrics import scrape, total
from test_prefix_rule import publisher_pid


@pytest.fixture
def refusing(stack):
    """Another service's queue that is full and made to reject: the broker does not confirm what it gets."""
    connection = pika.BlockingConnection(pika.URLParameters(stack.amqp))
    channel = connection.channel()
    name = f"refuses {uuid.uuid4().hex}"
    channel.queue_declare(name, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.queue_bind(name, "tasks", "#")
    yield name
    channel.queue_delete(name)
    connection.close()


def test_a_queue_of_another_service_that_refuses(stack, http, refusing, sockets, stream):
    """It costs one more message for each, no connection, and one line."""
    users = stack.new_users(2)
    tasks = stack.new_tasks(users)
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    marks, connects = stack.log_marks(), total(scrape(http), "carillon_api_broker_connects_total")
    for number in range(25):
        for task in tasks:
            assert http.patch(f"/tasks/{task}", {"content": f"n{number}"}).status == 200
    heard = Counter(socket.notification(60)["task"]["user_id"] for _ in range(50))
    assert heard == {user: 25 for user in users}
    stack.outbox_empty()
    published = Counter((message.user, message.seq) for message in stream.sync().events() if message.user in users)
    assert len(published) == 50 and max(published.values()) <= 3, published
    assert total(scrape(http), "carillon_api_broker_connects_total") == connects
    assert stack.logs_since(marks, "fcgi-api").count("refuses messages") <= 1


@pytest.mark.disturbs
def test_an_event_from_the_future(stack, http, stream):
    """Its worker's clock was ahead and is right again, and the worker died before it could tell: it waits, its age shows,
    and it is found."""
    [user] = stack.new_users(1)
    broker = stack.broker()
    stack.outbox_empty()
    broker.kill(signal.SIGSTOP)
    try:
        stack.sql(
            f"UPDATE users SET event_seq = 1 WHERE id = {user};"
            "INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
            f" VALUES ({user}, 1, 'task.updated', 1, '{{}}', UTC_TIMESTAMP(3) + INTERVAL 10 MINUTE);"
            f"INSERT INTO outbox (user_id, seq, created_at) VALUES ({user}, 1, UTC_TIMESTAMP(3) + INTERVAL 10 MINUTE)"
        )
        eventually(lambda: total(scrape(http), "carillon_api_outbox_oldest_seconds") > 0, 60, "its age shows")
    finally:
        broker.kill(signal.SIGCONT)
    stream.wait_for(user, 1)
    stack.outbox_empty()


def publishers(stack):
    try:
        connections = management(stack, "connections")
    except OSError as error:
        raise AssertionError(repr(error)) from None
    return [c for c in connections if "publisher" in c.get("client_properties", {}).get("connection_name", "")]


@pytest.mark.disturbs
def test_a_stand_in_goes_when_the_publisher_moves_again(stack, http):
    """Two publishers cost work, so not for longer than necessary."""
    pid = eventually(lambda: publisher_pid(stack), 60, "a worker publishes")
    alone = lambda: found if len(found := publishers(stack)) == 1 else None
    [before] = eventually(alone, 60, "one is connected", interval=0.5)
    marks = stack.log_marks()
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: "publishing in its place" in stack.logs_since(marks, "fcgi-api"), 120, "another one stands in")
        # The broker drops the one that says nothing any more.
        another = lambda: [c for c in publishers(stack) if c["name"] != before["name"]]
        eventually(another, 60, "the stand-in is connected", interval=0.5)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: "moves again" in stack.logs_since(marks, "fcgi-api"), 90, "the stand-in goes")
    eventually(lambda: len(publishers(stack)) == 1, 90, "one is connected", interval=0.5)
    assert publisher_pid(stack) == pid
