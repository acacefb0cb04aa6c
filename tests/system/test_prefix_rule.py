# SPDX-License-Identifier: MIT
"""The prefix rule, looked at in the stream: per user, an event's first appearance comes after all the
first appearances of lower ones, whichever worker published them and whatever died meanwhile."""

import os
import signal
from pathlib import Path

import pytest

from lib.amqp import first_appearances
from lib.load import Load
from lib.power import BrokerData
from lib.wait import eventually


def journal_heads(stack, users):
    rows = stack.sql(f"SELECT user_id, COUNT(*), MAX(seq) FROM events WHERE user_id IN ({','.join(map(str, users))}) GROUP BY user_id")
    heads = {int(user): int(last) for user, _, last in rows}
    assert all(int(count) == int(last) for _, count, last in rows), "the journal itself has gaps"
    return heads


def stream_keeps_the_rule(stack, users):
    stack.outbox_empty(120)
    heads = journal_heads(stack, users)
    reader = stack.stream()
    try:
        reader.sync()
        events = [message for message in reader.events() if message.user in heads]
        assert first_appearances(events) == {user: list(range(1, last + 1)) for user, last in heads.items()}
        offsets = [message.offset for message in events]
        assert offsets == sorted(offsets)
        bodies = {}
        for message in events:
            assert bodies.setdefault((message.user, message.seq), message.body) == message.body, "one event, two bodies"
        return len(events), sum(heads.values())
    finally:
        reader.close()


def mixed(tasks, count):
    def request(index):
        task = tasks[index % len(tasks)]
        return "PATCH", f"/tasks/{task}", {"status": index % 2} if index % 3 else {"content": f"n{index}"}

    return request


def test_many_workers_on_few_users(stack):
    """All workers write for the same three users at once: the hardest case for the order."""
    users = stack.new_users(3)
    tasks = stack.new_tasks(users * 4)
    load = Load(stack.http, mixed(tasks, 1500), rate=500, total=1500, connections=16).start().finish()
    load.assert_none_failed()
    published, events = stream_keeps_the_rule(stack, users)
    assert events == 1500
    # One worker publishes for all; only when it is changed, or the broker is, some go there twice.
    print(f"{events} events, {published} publications")
    assert published <= 1.1 * events, "too many doubles"


@pytest.mark.disturbs
def test_with_workers_killed_meanwhile(stack):
    users = stack.new_users(5)
    tasks = stack.new_tasks(users * 3)
    load = Load(stack.http, mixed(tasks, 2000), rate=250, connections=12).start()
    for _ in range(6):
        goal = len(load.results) + 100
        eventually(lambda: len(load.results) >= goal, 90)
        stack.kill_a_worker()
    load.stop()
    assert len(load.failed) <= 6 * load.connections, "a killed worker takes what it has in hand, no more"
    _, events = stream_keeps_the_rule(stack, users)
    assert len(load.accepted) <= events <= len(load.accepted) + len(load.failed)


def publisher_pid(stack):
    """The pid of the worker that holds the lock for publishing; None: no worker holds it at the moment."""
    inode = next((stack.run_dir / "tmp").glob("api-stats.publisher-*")).stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


@pytest.mark.disturbs
def test_with_the_publisher_killed_meanwhile(stack):
    """Another worker takes over, and also publishes the events whose hints the dead one had."""
    users = stack.new_users(5)
    tasks = stack.new_tasks(users * 3)
    load = Load(stack.http, mixed(tasks, 4000), rate=250, connections=12).start()
    seen = set()
    for _ in range(6):
        goal = len(load.results) + 100
        eventually(lambda: len(load.results) >= goal, 90)
        pid = eventually(lambda: publisher_pid(stack), 60, "a worker publishes")
        assert pid not in seen and pid in {worker.pid for worker in stack.workers()}
        os.kill(pid, signal.SIGKILL)
        seen.add(pid)
        eventually(lambda: publisher_pid(stack) not in (None, pid), 60, "another one has taken over")
    load.stop()
    assert len(load.failed) <= 6 * load.connections, "a killed worker takes what it has in hand, no more"
    _, events = stream_keeps_the_rule(stack, users)
    assert len(load.accepted) <= events <= len(load.accepted) + len(load.failed)


@pytest.mark.long
@pytest.mark.disturbs
def test_with_the_broker_killed_meanwhile(stack, tmp_path):
    users = stack.new_users(5)
    tasks = stack.new_tasks(users * 3)
    load = Load(stack.http, mixed(tasks, 2000), rate=150, connections=12).start()
    eventually(lambda: len(load.results) >= 100, 90)
    BrokerData(stack, tmp_path).settle()
    stack.broker().kill(signal.SIGKILL)
    goal = len(load.results) + 500
    eventually(lambda: len(load.results) >= goal, 90)
    load.stop()
    load.assert_none_failed()
    stack.ready(180)
    _, events = stream_keeps_the_rule(stack, users)
    assert events == len(load.accepted)
