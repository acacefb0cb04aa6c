# SPDX-License-Identifier: MIT
"""What the database and the stream hold in the end."""

import datetime
import time
import uuid
import zlib
from dataclasses import dataclass, field

import pika
import pymysql

from lib.amqp import QUEUE, Publisher


@dataclass
class Event:
    seq: int
    type: str
    task: int
    request_id: str
    payload: str

    @property
    def of_task(self):
        """An event of the API's own, not of another program."""
        return self.type.startswith("task.")


@dataclass
class Evidence:
    journal: dict = field(default_factory=dict)  # user -> [Event] by seq
    heads: dict = field(default_factory=dict)  # user -> users.event_seq
    tasks: dict = field(default_factory=dict)  # id -> (user, status, content)
    outbox: int = 0
    deeds: dict = field(default_factory=dict)  # rows of SQL writers: (writer, number, place) -> user
    stream: dict = field(default_factory=dict)  # user -> [(seq, checksum)] in the stream's order


class Database:
    """As the API's own account; connects when asked. Waits so many seconds for an answer."""

    def __init__(self, stack, patience=60):
        self.patience = patience
        self._socket = str(stack.run_dir / "sock" / "mariadb.sock")
        self._password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
        self._connection = None

    def rows(self, query, *values):
        if self._connection is None:
            self._connection = pymysql.connect(
                unix_socket=self._socket, user="carillon-api", password=self._password, database="carillon", charset="utf8mb4",
                autocommit=True, connect_timeout=self.patience, read_timeout=self.patience, init_command="SET time_zone = '+00:00'",
            )  # fmt: skip
        with self._connection.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall()

    def oldest_in_outbox(self):
        """Seconds since 1970, None when it is empty."""
        (oldest,) = self.rows("SELECT MIN(created_at) FROM outbox")[0]
        return oldest.replace(tzinfo=datetime.timezone.utc).timestamp() if oldest else None

    def close(self):
        if self._connection is not None:
            try:
                self._connection.close()
            except (pymysql.Error, OSError):
                pass
        self._connection = None


def from_database(database, users):
    evidence = Evidence()
    inside = f"IN ({','.join(map(str, users))})"
    evidence.heads = {user: seq for user, seq in database.rows(f"SELECT id, event_seq FROM users WHERE id {inside}")}
    evidence.journal = {user: [] for user in users}
    query = f"SELECT user_id, seq, type, task_id, request_id, payload FROM events WHERE user_id {inside} ORDER BY user_id, seq"
    for user, *rest in database.rows(query):
        evidence.journal[user].append(Event(*rest))
    for task, *rest in database.rows(f"SELECT id, user_id, status, content FROM tasks WHERE user_id {inside}"):
        evidence.tasks[task] = tuple(rest)
    evidence.outbox = database.rows("SELECT COUNT(*) FROM outbox")[0][0]
    return evidence


def read_stream(url, users, timeout=600):
    """{user: [(seq, checksum of the body), ...]}: every publication in the stream, from its first to one that
    is made now."""
    found = {user: [] for user in users}
    fence = f"drill:{uuid.uuid4().hex}"
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=2000)
    done, unacknowledged = [], [0]

    def take(channel, method, properties, body):
        headers = properties.headers or {}
        if properties.message_id == fence:
            done.append(True)
        user = headers.get("user_id")
        if user in found and "seq" in headers and not done:
            found[user].append((headers["seq"], zlib.crc32(body)))
        unacknowledged[0] += 1
        if unacknowledged[0] >= 500:
            channel.basic_ack(method.delivery_tag, multiple=True)
            unacknowledged[0] = 0

    channel.basic_consume(QUEUE, take, arguments={"x-stream-offset": "first"})
    publisher = Publisher(url)
    publisher.publish(b"", key=QUEUE, exchange="", type="carillon.marker", message_id=fence)
    publisher.close()
    end = time.monotonic() + timeout
    while not done and time.monotonic() < end:
        connection.process_data_events(time_limit=0.5)
    try:
        connection.close()
    except pika.exceptions.AMQPError:
        pass  # what has come since, pika gives back, and a stream refuses that
    assert done, f"the stream could not be read within {timeout} s"
    return found
