# SPDX-License-Identifier: MIT
"""docs/consumers.md: its own account and its own program, taken from the page."""

import json
import os
import re
import signal
import sqlite3
import subprocess

import pytest

from lib.stack import ROOT
from lib.wait import eventually

PAGE = (ROOT / "docs" / "consumers.md").read_text()


def block(language, holding):
    [found] = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S) if holding in text]
    return found


@pytest.fixture
def account(stack):
    """As the page makes it, at this stack's address."""
    commands = block("sh", "put users/example").splitlines()
    assert commands[0].startswith("management=")
    commands[0] = f"management={stack.endpoints['management']} admin={stack.run_dir}/etc/rabbitmq/admin.curl password=try-it"
    eventually(lambda: management(stack, "whoami"), 30, "RabbitMQ's management, which comes up after all that the programs need")
    subprocess.run(["bash", "-euc", "\n".join(commands)], check=True, timeout=120)
    yield f"amqp://example:try-it@127.0.0.1:{stack.port('AMQP_PORT')}/%2F"
    for place in ("queues/%2F/example", "users/example"):
        management(stack, place, "--request", "DELETE")


def management(stack, place, *options):
    admin, base = stack.run_dir / "etc" / "rabbitmq" / "admin.curl", stack.endpoints["management"]
    done = subprocess.run(["curl", "-sS", "--config", admin, *options, f"{base}/api/{place}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")


def is_bound(stack):
    return any(binding["source"] == "tasks" for binding in management(stack, "bindings") if binding["destination"] == "example")


@pytest.fixture
def consumer(account, tmp_path):
    """consumer() starts the page's program (again); stop it with .kill()."""
    (tmp_path / "consumer.py").write_text(block("python", "import pika"))
    started = []

    def start():
        log = open(tmp_path / "said", "a")
        started.append(
            subprocess.Popen(
                ["/usr/bin/python3", "-B", "consumer.py"], cwd=tmp_path, env={**os.environ, "AMQP": account},
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        )
        return started[-1]

    start.said = lambda: (tmp_path / "said").read_text()
    start.database = tmp_path / "consumer.db"
    yield start
    for process in started:
        process.kill()
        process.wait()


def times(consumer, user):
    with sqlite3.connect(consumer.database, timeout=60) as database:
        found = database.execute("SELECT times FROM completed WHERE user_id = ?", (user,)).fetchone()
    return found[0] if found else 0


def complete(http, task, count):
    for _ in range(count):
        assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200


@pytest.mark.disturbs
def test_every_event_is_handled_once(stack, http, user, task, consumer):
    """Whichever process is killed: the program, or the pool that publishes, with its unconfirmed messages."""
    first = consumer()
    eventually(lambda: is_bound(stack), 20, "its queue is bound")
    complete(http, task, 20)
    eventually(lambda: times(consumer, user) > 0, 20, "it counts")
    first.kill()
    complete(http, task, 20)
    stack.signal("fcgi-api", signal.SIGTERM)
    stack.ready()
    complete(http, task, 5)
    consumer()
    eventually(lambda: times(consumer, user) >= 45, 30, "all of them are counted")
    stack.outbox_empty()
    complete(http, task, 1)
    eventually(lambda: times(consumer, user) >= 46, 20, "the last one is counted")
    assert times(consumer, user) == 46, consumer.said()


@pytest.mark.disturbs
def test_repeats_and_lives_that_are_over(stack, publisher, consumer, user):
    """What the page says of repeats and epochs, with messages made for it."""
    consumer()

    def publish(epoch, seq):
        publisher.publish(b'{"message":"made up"}', headers={"epoch": epoch, "user_id": user, "seq": seq})

    eventually(lambda: is_bound(stack), 20, "its queue is bound")
    for seq in (1, 1, 2, 1, 2, 3):
        publish("one", seq)
    eventually(lambda: times(consumer, user) == 3, 10, "each once")
    publish("two", 1)
    eventually(lambda: times(consumer, user) == 1, 10, "it begins anew")
    publish("one", 9)
    publish("two", 2)
    eventually(lambda: times(consumer, user) == 2, 10, "what is of a life that is over is dropped")
