# SPDX-License-Identifier: MIT
"""Clients that read less than they are sent: each takes bounded memory, all together take bounded memory, and a
client that comes back gets everything it missed, however much."""

import json
import socket
import time

import pika
import pytest

from conftest import PATIENT
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import OP_TEXT, RawWebSocket

MEMORY = 6_000_000
BODY = 300_000


class Api:
    """Publishes events as the API would, but many at once."""

    def __init__(self, stack):
        self.epoch = stack.epoch()
        self.connection = pika.BlockingConnection(pika.URLParameters(stack.amqp))
        self.channel = self.connection.channel()

    def publish(self, user, first, last, padding=0):
        for seq in range(first, last + 1):
            body = {"type": "notification", "event": "task.updated", "cursor": f"{self.epoch}:{seq}", "message": "x" * padding,
                    "task": {"id": 1, "user_id": user}}  # fmt: skip
            properties = pika.BasicProperties(
                headers={"user_id": user, "seq": seq, "epoch": self.epoch}, type="task.updated", delivery_mode=2,
                message_id=f"{self.epoch}:{user}:{seq}", timestamp=int(time.time()),
            )  # fmt: skip
            self.channel.basic_publish("tasks_completed.known", "", json.dumps(body).encode(), properties)

    def close(self):
        self.connection.close()


def metric(stack, name):
    for line in stack.client().get("/notifier/metrics").text.splitlines():
        if line.rpartition(" ")[0] == f"carillon_notifier_{name}":
            return int(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")


def newest(stack, user):
    """The last event the notifier has, asked by a socket of its own each time: one that stays would get what still comes,
    and be too slow."""
    asking = stack.socket()
    try:
        return int(asking.subscribe(user, since=None)["cursor"].split(":")[1])
    finally:
        asking.close()


def test_back_for_more_than_its_queue_holds(small_stack):
    """5,000 events missed, 64 frames or 64 KB of queue."""
    [user] = small_stack.new_users(1)
    api = Api(small_stack)
    api.publish(user, 1, 5000)
    api.close()
    eventually(lambda: newest(small_stack, user) == 5000, 60, "all events are read")
    resets = metric(small_stack, "resets_total")
    client = small_stack.socket()
    begin = time.monotonic()
    client.send({"type": "subscribe", "user_id": user, "since": f"{small_stack.epoch()}:0"})
    answer = client.recv_until(lambda frame: frame["type"] == "subscribe")
    assert answer["recovered"] is True and answer["replayed"] == 5000
    for seq in range(1, 5001):
        assert client.notification()["cursor"].split(":")[1] == str(seq)
    print(f"5,000 missed events in {1000 * (time.monotonic() - begin):.0f} ms")
    assert metric(small_stack, "resets_total") == resets
    assert metric(small_stack, "queue_bytes") < 65_536
    client.close()


@pytest.fixture(scope="module")
def short_stack():
    """With little memory: less than the queues may hold together."""
    stack = Stack.start(NOTIFIER_MEMORY_BYTES=MEMORY, WS_MAX_CLIENTS=500, WS_PING_S=60, API_WORKERS=2, **PATIENT)
    yield stack
    stack.stop()


def end_of(client):
    """The code with which it was closed; None: it was not."""
    try:
        return client.until_closed(10)
    except TimeoutError:
        return None


def test_memory_is_bounded(short_stack):
    """The oldest events are dropped, then clients that do not read are closed; a client that reads hears everything."""
    stack, api = short_stack, Api(short_stack)
    [user] = stack.new_users(1)
    good = stack.socket()
    good.subscribe(user, since=None)
    slow = []
    for _ in range(12):
        client = RawWebSocket(f"ws://127.0.0.1:{stack.port('NOTIFIER_PORT')}/")
        client.send_frame(OP_TEXT, json.dumps({"type": "subscribe", "user_id": user}).encode())
        client.recv_json()
        slow.append(client)
    before = stack.notifier().resident_kb()
    sent = 0
    while sent < 100 and metric(stack, "memory_closed_total") == 0:
        sent += 1
        api.publish(user, sent, sent, BODY)
        assert good.notification()["cursor"].split(":")[1] == str(sent)
        assert metric(stack, "memory_bytes") <= MEMORY
    grown = stack.notifier().resident_kb() - before
    print(f"after {sent} events of {BODY} bytes to 12 clients that do not read: {grown} KiB more")
    assert metric(stack, "memory_closed_total") >= 1
    assert metric(stack, "memory_events_total") >= 1
    assert any(end_of(client) in (4408, 1006) for client in slow)
    assert grown * 1024 < 4 * MEMORY, "what is counted is not what is taken"
    for client in slow:
        client.close()
    good.nothing_before_answer()
    good.close()
    api.close()


def test_event_stream_that_is_closed_and_does_not_read(short_stack):
    """It has ten seconds to read the waiting frames, as a WebSocket has, not as long as TCP would wait (70 s here)."""
    stack, api = short_stack, Api(short_stack)
    [user] = stack.new_users(1)
    eventually(lambda: metric(stack, "clients") == 0, 60, "the clients of the test before have left")
    slow = metric(stack, 'closed_total{reason="slow"}')
    with socket.socket() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.connect(("127.0.0.1", stack.port("NOTIFIER_PORT")))
        stream.sendall(f"GET /events?user_id={user} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: metric(stack, "clients") == 1, 60, "it listens")
        sent = 0
        while sent < 100 and metric(stack, 'closed_total{reason="slow"}') == slow:
            open_at = time.monotonic()
            sent += 1
            api.publish(user, sent, sent, BODY)
            eventually(lambda: newest(stack, user) == sent, 60, "the event is there")
        closed_at = time.monotonic()
        eventually(lambda: metric(stack, "clients") == 0, 60, "it is dropped")
        assert time.monotonic() - open_at > 8, "it was dropped at once"
        assert time.monotonic() - closed_at < 40, "it was dropped when TCP gave up"
    api.close()


def test_who_was_away_while_the_oldest_events_went(short_stack):
    """The client is told."""
    stack = short_stack
    [user] = stack.new_users(1)
    api = Api(stack)
    api.publish(user, 1, 60, BODY)
    api.close()
    eventually(lambda: newest(stack, user) == 60, 60, "all events are read")
    client = stack.socket()
    answer = client.subscribe(user, since=f"{stack.epoch()}:1")
    assert answer["recovered"] is False and answer["reason"] == "truncated"
    client.close()
