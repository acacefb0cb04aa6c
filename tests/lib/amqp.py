# SPDX-License-Identifier: MIT
"""The broker's side: put messages into the exchange, read the stream from its beginning."""

import logging
import threading
import time
import uuid
from dataclasses import dataclass, field

import pika

from .wait import patience

# Leaving a stream while it still delivers makes the broker end the connection: that is fine.
logging.getLogger("pika").setLevel(logging.CRITICAL)

EXCHANGE, QUEUE = "tasks", "tasks_completed"


@dataclass
class Message:
    offset: int
    type: str
    message_id: str
    correlation_id: str
    content_type: str
    delivery_mode: int
    timestamp: int
    routing_key: str
    headers: dict = field(default_factory=dict)
    account: str = ""
    body: bytes = b""

    @property
    def is_event(self):
        """Other tests publish messages with broken headers, and the stream keeps them."""
        numbers = (self.headers.get("user_id"), self.headers.get("seq"))
        return "epoch" in self.headers and all(isinstance(number, int) for number in numbers)

    @property
    def user(self):
        return int(self.headers["user_id"])

    @property
    def seq(self):
        return int(self.headers["seq"])


class Publisher:
    """Publishes with confirms on a connection of its own."""

    def __init__(self, url):
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def publish(self, body, key="task.completed", exchange=EXCHANGE, headers=None, **properties):
        self._channel.basic_publish(
            exchange, key, body, pika.BasicProperties(headers=headers, delivery_mode=2, **properties), mandatory=True
        )

    def close(self):
        self._connection.close()


class Stream:
    """Reads the whole stream on a thread, from its first message, and goes on reading.

    sync() returns once everything that was confirmed before the call has been read."""

    def __init__(self, url, offset="first"):
        self.messages = []
        self._url, self._offset = url, offset
        self._fences = {}
        self._error = None
        self._ready = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()
        assert self._ready.wait(patience(20)), "the stream cannot be read"
        assert self._error is None, self._error

    def _run(self):
        try:
            self._connection = pika.BlockingConnection(pika.URLParameters(self._url))
            channel = self._connection.channel()
            channel.basic_qos(prefetch_count=500)
            channel.basic_consume(QUEUE, self._on_message, arguments={"x-stream-offset": self._offset})
            self._ready.set()
            while not self._stopping:
                self._connection.process_data_events(time_limit=0.2)
            self._connection.close()
        except Exception as error:  # raised in the test that waits for the stream
            self._error = error
            self._ready.set()
            for fence in self._fences.values():
                fence.set()

    def _on_message(self, channel, method, properties, body):
        headers = dict(properties.headers or {})
        offset = headers.pop("x-stream-offset", -1)
        self.messages.append(
            Message(
                offset,
                properties.type or "",
                properties.message_id or "",
                properties.correlation_id or "",
                properties.content_type or "",
                properties.delivery_mode or 0,
                properties.timestamp or 0,
                method.routing_key,
                headers,
                properties.user_id or "",
                body,
            )
        )
        channel.basic_ack(method.delivery_tag)
        fence = self._fences.get(properties.message_id)
        if fence:
            fence.set()

    def sync(self, timeout=60):
        timeout = patience(timeout)
        name = f"test:{uuid.uuid4().hex}"
        fence = self._fences[name] = threading.Event()
        publisher = Publisher(self._url)
        publisher.publish(b"", key=QUEUE, exchange="", type="carillon.marker", message_id=name)
        publisher.close()
        assert fence.wait(timeout), f"a marker did not come back within {timeout} s"
        assert self._error is None, self._error
        return self

    def events(self, user=None):
        return [m for m in list(self.messages) if m.is_event and (user is None or m.user == user)]

    def wait_for(self, user, seq, timeout=15):
        """The first appearance of one event."""
        timeout = patience(timeout)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for message in self.events(user):
                if message.seq == seq:
                    return message
            assert self._error is None, self._error
            time.sleep(0.02)
        raise AssertionError(f"event {seq} of user {user} is not in the stream after {timeout} s")

    def close(self):
        self._stopping = True
        self._thread.join(10)


def first_appearances(messages):
    """{user: [seq, ...]} of a reader that drops each event not newer than its last: disorder shows as a gap; doubles
    are normal and disappear."""
    kept = {}
    for message in messages:
        seen = kept.setdefault(message.user, [])
        if not seen or message.seq > seen[-1]:
            seen.append(message.seq)
    return kept
