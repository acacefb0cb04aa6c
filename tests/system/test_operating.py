# SPDX-License-Identifier: MIT
"""scripts/status, scripts/events and scripts/restart."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lib.load import Load
from lib.stack import ROOT, Stack
from lib.wait import eventually

# ---- scripts/status ------------------------------------------------------------------------------


def worker_restarts(stack):
    found = stack.status()["parts"]["fcgi-api"]["worker_restarts"]
    assert isinstance(found, int), "no worker answered in time"
    return found


@pytest.mark.disturbs
def test_workers_that_die_are_counted(stack, http):
    [before] = eventually(lambda: [worker_restarts(stack)], 60, "a worker answers")
    victim = stack.workers()[0]
    os.kill(victim.pid, signal.SIGKILL)
    eventually(lambda: worker_restarts(stack) == before + 1, 60, "the worker's end is counted")
    table = lambda: re.search(rf"^fcgi-api .* \+ {before + 1}$", stack.script("status").stdout, re.M)
    eventually(table, 60, "it is in the table")


# ---- scripts/events ------------------------------------------------------------------------------


@pytest.fixture
def look(stack):
    """look("--json") begins to look; nothing is missed that comes after it returns."""
    started = []

    def begin(*options):
        running = subprocess.Popen(
            [ROOT / "scripts" / "events", *options], env=stack.environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        started.append(running)
        assert "looking at the exchange tasks" in running.stderr.readline()
        return running

    yield begin
    for running in started:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)
        running.communicate(timeout=60)


def test_events_shows_what_passes_the_broker(stack, http, user, look):
    stack.outbox_empty()  # of what tests before have done nothing comes any more
    running = look("--count", "2")
    made = http.post("/tasks", {"user_id": user, "content": "\u0080beep é"}).json()
    http.patch(f"/tasks/{made['id']}", {"status": 1})
    first, second = (running.stdout.readline() for _ in range(2))
    assert first.split()[:2] == ["task.created", f"{stack.epoch()}:{user}:1"]
    assert second.split()[:2] == ["task.completed", f"{stack.epoch()}:{user}:2"]
    assert "\u0080" not in first and "\\x80beep é" in first, "a task's content plays with the terminal"
    assert running.wait(60) == 0


def test_events_leaves_nothing_behind(stack, http, task, look):
    running = look("--json")
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    ours = None
    while ours != ("task.completed", task["user_id"]):  # others may pass late, its own task.created among them
        message = json.loads(running.stdout.readline())
        ours = message["routing_key"], message["properties"].get("headers", {}).get("user_id")
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=60)
    gone = lambda: not [name for (name,) in queues(stack) if name.startswith("look.")]
    eventually(gone, 30, "its queue is gone")


def queues(stack):
    management, curl = stack.endpoints["management"], stack.run_dir / "etc" / "rabbitmq" / "admin.curl"
    done = subprocess.run(["curl", "-sS", "--config", curl, f"{management}/api/queues"], capture_output=True, text=True, check=True)
    return [(queue["name"],) for queue in json.loads(done.stdout)]


# ---- scripts/restart -----------------------------------------------------------------------------


def restart(stack, *parts, check=True, **settings):
    before = dict(stack.environment)
    stack.environment.update({name: str(value) for name, value in settings.items()})
    try:
        return stack.script("restart", *parts, check=check, timeout=400)  # the script's own patience is less
    finally:
        stack.environment.clear()
        stack.environment.update(before)


def is_up(stack):
    """scripts/status asks it, and waits for a few seconds only."""
    eventually(lambda: stack.part("ws-notifier").state == "up", 60, "the notifier is up")


def setting(stack, part, name):
    lines = Path(f"/proc/{stack.part(part).pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line).get(name)


@pytest.mark.disturbs
def test_restart_with_a_new_setting(stack, http, task):
    before = stack.part("ws-notifier").pid
    kept = setting(stack, "ws-notifier", "AMQP_USER")
    try:
        restart(stack, "ws-notifier", LOG_FORMAT="json")
        assert stack.part("ws-notifier").pid != before
        is_up(stack)
        assert setting(stack, "ws-notifier", "LOG_FORMAT") == "json" and setting(stack, "ws-notifier", "AMQP_USER") == kept
        assert setting(stack, "fcgi-api", "LOG_FORMAT") != "json", "no other part was asked for"
    finally:
        restart(stack, "ws-notifier", LOG_FORMAT="text")
    assert setting(stack, "ws-notifier", "LOG_FORMAT") == "text"


@pytest.mark.disturbs
def test_restart_with_a_setting_that_cannot_be(stack):
    before = setting(stack, "ws-notifier", "RING_BYTES")
    done = restart(stack, "ws-notifier", check=False, RING_BYTES=1)
    assert done.returncode == 1 and "RING_BYTES" in done.stderr and "runs with those that it had" in done.stderr
    assert setting(stack, "ws-notifier", "RING_BYTES") == before
    is_up(stack)


@pytest.mark.disturbs
def test_a_restart_of_the_pool_fails_no_request(stack, user):
    tasks = stack.new_tasks([user] * 4)
    load = Load(stack.http, lambda n: ("PATCH", f"/tasks/{tasks[n % 4]}", {"content": f"n{n}"}), 50)
    load.start()
    try:
        restart(stack, "fcgi-api")
    finally:
        load.stop()
    load.assert_none_failed()


def test_restart_names_what_there_is(stack):
    done = restart(stack, "nonsense", check=False)
    assert done.returncode == 1 and "nonsense" in done.stderr and "ws-notifier" in done.stderr


# ---- what scripts/run says -----------------------------------------------------------------------


@pytest.mark.long
def test_what_to_try_with_a_key_of_ones_own():
    """scripts/token has no such key, and without a token every call is 401."""
    stack = Stack.prepare(JWT_SECRET="x" * 32, ADMINER_PORT="off")
    try:
        said = stack.run().stdout
        assert "a token that your key has signed" in said and "Bearer $TOKEN" in said
        assert "scripts/token" not in said and "--data '{\"status\":1}'" not in said
    finally:
        stack.script("stop", check=False)
        stack.stop()
