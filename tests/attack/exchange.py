# SPDX-License-Identifier: MIT
"""A publisher with access to the broker sends garbage to the exchange and straight into the queue: mutated bodies and
headers of events, and events that the API might have sent next. Listeners hear their own events, each once and in
order, and none with a number that is not the API's."""

from decimal import Decimal

import pika

from . import seeds
from .mutator import Mutator

TYPES = ["task.completed", "task.created", "task.deleted", "carillon.marker", "carillon.epoch", "", "x" * 200, "nonsense"]
KEYS = ["task.completed", "task.", "task", "task.x.y", "other", "task." + "k" * 240]
EVENT = (
    b'{"type":"notification","event":"task.completed","cursor":"k3:42","message":"task 1 has been completed","task":{"id":1,'
    b'"user_id":7,"status":1,"content":"x","createdAt":"2024-01-02T17:00:00.000Z","completedAt":"2024-02-02T20:54:23.000Z"}}'
)
FOREIGN = b'{"message":"task 1 has been completed","task":{"id":1,"user_id":7,"status":1,"content":"x"}}'


def value(chance):
    """A header's value: of any type that AMQP has."""
    return chance.choice(
        (0, 1, 7, -1, 2**31, 2**63 - 1, -(2**63), Decimal("1.5"), True, None, "", "7", "k3", "x" * 300, "\0", "é", [1, "a"], {"a": {"b": 1}}, b"\xff")
    )


def properties(chance, epoch, user):
    headers = {name: value(chance) for name in ("user_id", "seq", "epoch", "traceparent", "x-other") if chance.random() < 0.7}
    if chance.random() < 0.3:  # all that an event has, except the account
        headers |= {"user_id": chance.choice((user, chance.randrange(1, 1000))), "seq": chance.choice((0, 1, 2, 3, 10**9, 2**52, 2**62)), "epoch": epoch}
    return pika.BasicProperties(
        content_type=chance.choice((None, "application/json", "text/plain", "\xff")),
        type=chance.choice(TYPES),
        message_id=chance.choice((None, "", "k3:7:1", "x" * 255, "carillon:1")),
        correlation_id=chance.choice((None, "r" * 255, "\r\nX: y")),
        timestamp=chance.choice((None, 0, 2**62)),
        delivery_mode=chance.choice((1, 2)),
        headers=headers if chance.random() < 0.9 else None,
    )


class Intruder:
    """Publishes until the end: a message that the broker itself refuses costs a connection."""

    def __init__(self, url, judge):
        self.url, self.judge, self.connection = pika.URLParameters(url), judge, None

    def publish(self, *message):
        try:
            if self.connection is None:
                self.connection = pika.BlockingConnection(self.url)
                self.channel = self.connection.channel()
            self.channel.basic_publish(*message)
            self.judge.happened("messages")
        except pika.exceptions.AMQPError:
            self.judge.happened("refused by the broker")
            self.connection = None

    def close(self):
        try:
            if self.connection is not None:
                self.connection.close()
        except pika.exceptions.AMQPError:  # the last one was refused
            self.judge.happened("refused by the broker")


def run(ground, judge):
    mutator = Mutator([EVENT, FOREIGN, *seeds.messages(), *seeds.bodies()], seeds.words())
    epoch = ground.stack.epoch()
    user, task = ground.prey()
    listener = ground.stack.socket()
    listener.subscribe(user)
    intruder, written = Intruder(ground.stack.amqp, judge), 0
    for number in range(ground.count):
        exchange, key = ground.chance.choice((("tasks", ground.chance.choice(KEYS)), ("tasks", "task.updated"), ("", "tasks_completed")))
        intruder.publish(exchange, key, mutator.make(ground.chance)[:20_000], properties(ground.chance, epoch, user))
        if number % 500 == 499:  # a real event among them
            answer = ground.stack.client().patch(f"/tasks/{task}", {"status": 1})
            judge.check(answer.status == 200, f"a write among garbage: {answer}")
            written += 1
    intruder.close()
    frames = [listener.recv_until(lambda frame: frame.get("cursor") and frame["type"] == "notification", 60) for _ in range(written)]
    seqs = [int(frame["cursor"].split(":")[1]) for frame in frames]
    judge.check(seqs == list(range(1, written + 1)), f"a listener heard {seqs}")
    judge.check(not [text for text in listener.texts if '"type":"reset"' in text], "a listener was told to read anew")
    for text in listener.texts:
        judge.text(b"", text.encode())
    listener.close()
