# SPDX-License-Identifier: MIT
"""Changes that wait together share a transaction: each has its own answer, and an error in one does not affect the others.

A group is made by stopping MariaDB for a moment: the first change leads and waits there, the next ones gather behind it,
in the order in which they arrive."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from conftest import PATIENT, finish
from lib import proc
from lib.http import assert_problem
from lib.stack import Stack
from lib.wait import eventually

pytestmark = pytest.mark.disturbs


@pytest.fixture(scope="module")
def stack():
    """One process, so that concurrent changes meet in one group. They wait for as long as it takes to send them all."""
    own = Stack.start(API_WORKERS=1, API_THREADS=16, DB_CONNECTIONS=4, ADMINER_PORT="off", DB_TIMEOUT_MS=20000, REQUEST_MAX_AGE_MS=25000)
    own.s6("-d", "watch")  # its questions would be requests in hand, too
    yield own
    finish(own, "groups")


@pytest.fixture
def first(stack):
    """The task whose change leads the group before."""
    [task] = stack.new_tasks(stack.new_users(1))
    return task


def commits(stack):
    text = stack.client().get("/metrics").text
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("carillon_api_commits_total ")))


def in_hand(stack, worker):
    """How many requests the worker has: its connections to nginx, which bear the address that it listens at."""
    ours = set()
    for descriptor in os.scandir(f"/proc/{worker.pid}/fd"):
        with suppress(FileNotFoundError):
            ours.add(os.readlink(descriptor.path))
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    connected = [line for line in lines if line[-1] == str(stack.run_dir / "sock" / "fcgi.sock") and line[5] == "03"]
    return sum(f"socket:[{line[6]}]" in ours for line in connected)


def all_wait(worker):
    """No thread of it runs or would like to: each request has come to where it waits."""
    threads = [proc.read(f"{worker.pid}/task/{thread}") for thread in os.listdir(f"/proc/{worker.pid}/task")]
    return all(thread.state == "S" for thread in threads if thread)


def together(stack, first, calls, held=0):
    """Sends the calls (method, path, body, headers) so that they become one group, in this order; their answers. So many
    requests before them are `held` somewhere."""
    http = stack.client(timeout=90)

    def arrived(count):
        return in_hand(stack, worker) == held + count and all_wait(worker)

    def led():
        return http.patch(f"/tasks/{first}", {"content": "the leader has a connection"}).status == 200

    eventually(led, 20, "the leader has a connection, also after an outage")
    [worker] = stack.workers()
    eventually(lambda: arrived(0), 10, "what was before is over")
    database = stack.database()
    with ThreadPoolExecutor(len(calls) + 1) as pool:
        database.kill(signal.SIGSTOP)
        try:
            leading = [pool.submit(http.patch, f"/tasks/{first}", {"content": "the group before"})]
            for number, (method, path, body, headers) in enumerate(calls, 1):
                eventually(lambda: arrived(number), 10, "the one before has arrived")
                leading.append(pool.submit(http.call, method, path, body, headers=headers))
            eventually(lambda: arrived(len(calls) + 1), 10, "all have arrived")
        finally:
            database.kill(signal.SIGCONT)
        assert leading[0].result().status == 200
        return [call.result() for call in leading[1:]]


def patch(task, content, **headers):
    return "PATCH", f"/tasks/{task}", {"content": content}, {name.replace("_", "-"): value for name, value in headers.items()}


def contents(stack, user):
    return [json.loads(payload)["task"]["content"] for _, kind, payload in stack.journal(user) if kind != "task.created"]


def test_changes_of_one_task_are_made_one_after_the_other(stack, first):
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    before = commits(stack)
    answers = together(stack, first, [patch(task, f"n{number}") for number in range(8)])
    assert [answer.status for answer in answers] == [200] * 8
    assert [answer.header("ETag") for answer in answers] == [f'"{number}"' for number in range(2, 10)]
    assert [answer.json()["content"] for answer in answers] == [f"n{number}" for number in range(8)]
    assert contents(stack, user) == [f"n{number}" for number in range(8)]
    assert commits(stack) - before == 3, "one commit for the eight, and two of the leader before"


def test_one_that_is_refused_does_no_harm_to_the_others(stack, first):
    user, other = stack.new_users(2)
    task, gone = stack.new_tasks([user, other])
    post = ("POST", "/tasks")
    key = {"Idempotency-Key": f"group-{task}"}
    assert stack.client().call(*post, {"user_id": user, "content": "at first"}, headers=key).status == 201
    answers = together(
        stack,
        first,
        [
            patch(task, "one", If_Match='"1"'),
            patch(task, "stale", If_Match='"1"'),
            patch(task, "two", If_Match='"2"'),
            patch(4_000_000, "nobody's"),
            ("DELETE", f"/tasks/{gone}", None, {}),
            patch(gone, "too late"),
            (*post, {"user_id": 4_000_000, "content": "for nobody"}, {}),
            (*post, {"user_id": user, "content": "another body"}, key),
            (*post, {"user_id": user, "content": "at first"}, key),
            (*post, {"user_id": user, "content": "new"}, {}),
        ],
    )
    assert [answer.status for answer in answers] == [200, 412, 200, 404, 204, 404, 422, 422, 201, 201]
    assert answers[8].header("Idempotency-Replayed") == "true"
    assert contents(stack, user) == ["one", "two"]
    assert [kind for _, kind, _ in stack.journal(other)] == ["task.deleted"]
    numbers = [seq for seq, _, _ in stack.journal(user)]
    assert numbers == list(range(1, len(numbers) + 1)), "a number is missing"


def test_twins_of_one_key_are_answered_alike(stack, first):
    [user] = stack.new_users(1)
    twin = ("POST", "/tasks", {"user_id": user, "content": "once"}, {"Idempotency-Key": f"twins-{user}"})
    answers = together(stack, first, [twin] * 6)
    assert [answer.status for answer in answers] == [201] * 6
    assert len({answer.text for answer in answers}) == 1
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 1
    assert len([answer for answer in answers if answer.header("Idempotency-Replayed")]) == 5


@contextmanager
def locked(stack, statement):
    """Another client holds the locks that the statement takes."""
    connection = pymysql.connect(
        unix_socket=str(stack.run_dir / "sock" / "mariadb.sock"),
        user="carillon-api",
        password=(stack.run_dir / "secrets" / "db_api_password").read_text().strip(),
        database="carillon",
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute(statement)
            yield
    finally:
        connection.close()


@pytest.mark.parametrize("what", ["task", "counter"])
def test_a_lock_held_elsewhere_delays_its_own_change_only(stack, first, what):
    users = stack.new_users(4)
    tasks = stack.new_tasks(users)
    statement = {
        "task": f"SELECT * FROM tasks WHERE id = {tasks[0]} FOR UPDATE",
        "counter": f"SELECT * FROM users WHERE id = {users[0]} FOR UPDATE",
    }[what]
    with ThreadPoolExecutor(4) as pool:
        with locked(stack, statement):
            held = pool.submit(stack.client(timeout=90).patch, f"/tasks/{tasks[0]}", {"content": "late"})
            [worker] = stack.workers()
            eventually(lambda: in_hand(stack, worker) == 1, 10, "it has arrived")
            answers = together(stack, first, [patch(task, "now") for task in tasks[1:]], held=1)
            assert [answer.status for answer in answers] == [200] * 3
            assert not held.done(), "nothing was held"
        assert held.result().status == 200
    assert contents(stack, users[0]) == ["late"]


def test_a_database_that_dies_leaves_no_answer_wrong(stack, first):
    """200: it is there. 503: it is not. 504: either."""
    users = stack.new_users(8)
    tasks = stack.new_tasks(users)
    for round_number in range(3):
        with ThreadPoolExecutor(16) as pool:
            calls = [
                pool.submit(stack.client(timeout=90).patch, f"/tasks/{tasks[number % 8]}", {"content": f"r{round_number}n{number}"})
                for number in range(64)
            ]
            eventually(lambda: sum(call.done() for call in calls) > 5 * (round_number + 1), 10, "some are done")
            stack.database().kill(signal.SIGKILL)
            answers = [call.result() for call in calls]
        stack.ready(60)
        there = {content for user in users for content in contents(stack, user)}
        for number, answer in enumerate(answers):
            assert answer.status in (200, 503, 504), answer
            if answer.status == 200:
                assert f"r{round_number}n{number}" in there, "an accepted change is lost"
            if answer.status == 503:
                assert f"r{round_number}n{number}" not in there, "a refused change was made"
    stack.outbox_empty()


@pytest.mark.long
def test_a_deadline_that_passes_while_waiting(stack, first):
    """Changes behind a group that hangs for longer than they may wait are refused and never made. Were their time to begin
    only with their own group, it would end after 16 s, and nginx answers 504 after 14 s."""
    own = Stack.start(API_WORKERS=1, API_THREADS=8, ADMINER_PORT="off", **{**PATIENT, "REQUEST_MAX_AGE_MS": 14000})
    try:
        [user] = own.new_users(1)
        [task] = own.new_tasks([user])
        assert own.client().patch(f"/tasks/{task}", {"content": "before"}).status == 200
        database = own.database()
        database.kill(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(6) as pool:
                calls = [pool.submit(own.client().patch, f"/tasks/{task}", {"content": f"n{n}"}) for n in range(6)]
                answers = [call.result() for call in calls]
        finally:
            database.kill(signal.SIGCONT)
        for answer in answers:
            assert_problem(answer, 503, "unavailable")
        key = {"Idempotency-Key": "after"}  # an answer of 504 may have been made
        eventually(lambda: own.client().patch(f"/tasks/{task}", {"content": "after"}, headers=key).status == 200, 20, "it heals")
        assert contents(own, user) == ["before", "after"]
    finally:
        finish(own, "deadline")


def test_no_room_for_more_connections(stack, first):
    """Threads without a connection wait for one that another thread has."""
    http = stack.client(timeout=90)
    before = stack.sql_number("SELECT @@max_connections")
    users = stack.new_users(2)
    tasks = stack.new_tasks(users)
    eventually(lambda: http.get(f"/tasks/{tasks[0]}").status == 200, 20, "a connection is there, also after an outage")
    eventually(lambda: http.patch(f"/tasks/{tasks[0]}", {"content": "first"}).status == 200, 20, "and one for writing")
    connected = stack.sql_number("SELECT COUNT(*) FROM information_schema.processlist WHERE user <> 'system user'")
    stack.sql(f"SET GLOBAL max_connections = {max(10, connected - 1)}")
    try:
        with ThreadPoolExecutor(12) as pool:
            reads = [pool.submit(http.get, f"/tasks/{tasks[n % 2]}") for n in range(60)]
            writes = [pool.submit(http.patch, f"/tasks/{tasks[n % 2]}", {"content": f"{n}"}) for n in range(20)]
            assert {call.result().status for call in reads + writes} == {200}
    finally:
        stack.sql(f"SET GLOBAL max_connections = {before}")
