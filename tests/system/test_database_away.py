# SPDX-License-Identifier: MIT
"""MariaDB frozen, killed, restarted or refusing: 503 with Retry-After within two seconds, nothing hangs, and it
heals by itself."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pymysql
import pytest

from conftest import finish
from lib.http import assert_problem
from lib.stack import Stack
from lib.wait import eventually

pytestmark = pytest.mark.disturbs


@pytest.fixture(scope="module")
def stack():
    """One with the limits that the product comes with."""
    own = Stack.start(ADMINER_PORT="off")
    yield own
    finish(own, "database")


@pytest.fixture
def task(http, user):
    """As elsewhere; but a thread of a worker that had no answer in the outage of the test before refuses until it connects again."""
    answers = []

    def made():
        answers.append(http.post("/tasks", {"user_id": user, "content": "Acheter du pain"}))
        return answers[-1].status == 201

    eventually(made, 10, "a task can be made", interval=0.2)
    return answers[-1].json()


def unavailable(http, method="GET", path="/tasks/1", data=None):
    start = time.monotonic()
    answer = http.call(method, path, data, timeout=10)
    taken = time.monotonic() - start
    assert_problem(answer, 503, "unavailable")
    assert 1 <= int(answer.header("Retry-After")) <= 60
    assert taken < 2.2, f"the refusal took {taken:.2f} s"


def heals(stack, http, task):
    def works():
        for _ in range(2 * len(stack.workers())):
            answer = http.patch(f"/tasks/{task['id']}", {"status": 1}, timeout=10)
            assert answer.status == 200, answer
        return True

    eventually(works, 30, "writes work again", interval=0.2)
    stack.ready()


def count_events(stack, task):
    return len(stack.journal(task["user_id"]))


def test_database_frozen(stack, http, task):
    http.get("/tasks/1")
    database = stack.database()
    database.kill(signal.SIGSTOP)
    try:
        unavailable(http)
        unavailable(http, "PATCH", f"/tasks/{task['id']}", {"status": 1})
        unavailable(http, "POST", "/tasks", {"user_id": task["user_id"], "content": "x"})
        unavailable(http, "GET", "/readyz")
        start = time.monotonic()
        assert http.get("/healthz", timeout=5).status == 200
        assert time.monotonic() - start < 2.2
    finally:
        database.kill(signal.SIGCONT)
    heals(stack, http, task)


def test_database_frozen_under_many_requests(stack, http):
    """More at once than there are workers: those that queue are refused in time as well."""
    http.get("/tasks/1")
    database = stack.database()
    database.kill(signal.SIGSTOP)
    try:

        def one(_):
            start = time.monotonic()
            answer = http.get("/tasks/1", timeout=20)
            return answer.status, time.monotonic() - start, answer.header("Retry-After")

        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(one, range(24)))
        assert {status for status, _, _ in answers} == {503}, answers
        assert all(retry for _, _, retry in answers)
        assert max(taken for _, taken, _ in answers) < 8, sorted(answers, key=lambda a: a[1])[-3:]
    finally:
        database.kill(signal.SIGCONT)
    eventually(lambda: http.get("/tasks/1").status == 200, 20)
    stack.ready()


def test_a_worker_that_starts_while_the_database_is_frozen(stack, http, task):
    """Its first request has the same time as any other."""
    database, workers = stack.database(), stack.workers()
    database.kill(signal.SIGSTOP)
    try:
        for worker in workers:
            worker.kill(signal.SIGKILL)
        eventually(lambda: len({w.pid for w in stack.workers()} - {w.pid for w in workers}) == len(workers), 10, "a new pool")
        for _ in range(4):
            unavailable(http)
    finally:
        database.kill(signal.SIGCONT)
    heals(stack, http, task)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_database_restarted(stack, http, task, number):
    before = stack.part("mariadb")
    stack.database().kill(number)
    refused = 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        start = time.monotonic()
        answer = http.patch(f"/tasks/{task['id']}", {"status": 1}, timeout=10)
        assert time.monotonic() - start < 2.5
        if answer.status == 200 and refused > 0:
            break
        if answer.status == 504:  # the database went away during the COMMIT
            assert_problem(answer, 504, "uncertain")
        elif answer.status != 200:  # until the signal has done its work, writes go on
            assert_problem(answer, 503, "unavailable")
            assert answer.header("Retry-After")
            refused += 1
        time.sleep(0.05)
    assert refused > 0, "the outage was not seen at all"
    heals(stack, http, task)
    eventually(lambda: stack.part("mariadb").restarts > before.restarts, 10)


def test_a_refused_write_has_no_effect(stack, http, task):
    """What was answered with 503 is in neither table; what was answered with 200 is in both."""
    accepted = 0
    database = stack.database()
    for _ in range(3):
        database.kill(signal.SIGSTOP)
        try:
            unavailable(http, "PATCH", f"/tasks/{task['id']}", {"status": 1})
        finally:
            database.kill(signal.SIGCONT)

        def accepted_again():
            return http.patch(f"/tasks/{task['id']}", {"status": 1}, timeout=10).status == 200

        eventually(accepted_again, 20, interval=0.2)
        accepted += 1
    events = count_events(stack, task)
    assert events == 1 + accepted
    assert http.get(f"/tasks/{task['id']}").header("ETag") == f'"{1 + accepted}"'


def test_connection_killed_between_requests(stack, http, task):
    """The server closes idle connections: no request notices."""
    for _ in range(3):
        ids = [row[0] for row in stack.sql(
            "SELECT id FROM information_schema.processlist WHERE user = 'carillon-api' AND command = 'Sleep'"
        )]  # fmt: skip
        assert ids
        for number in ids:
            stack.script("sql", "-e", f"KILL {number}", check=False)
        for _ in range(3 * len(stack.workers())):
            assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200


def test_database_read_only(stack, http, task):
    """As an operator leaves it after a failover: reads go on, a write is refused and has no effect."""
    path = f"/tasks/{task['id']}"
    stack.outbox_empty()
    stack.sql("SET GLOBAL read_only = 1")
    try:
        unavailable(http, "PATCH", path, {"status": 1})
        unavailable(http, "DELETE", path)
        unavailable(http, "POST", "/tasks", {"user_id": task["user_id"], "content": "x"})
        assert http.get(path).json() == task
        eventually(lambda: http.get("/readyz").status == 503, 15, "readiness knows")
        assert http.get("/readyz").json()["database"] == "refusing"
    finally:
        stack.sql("SET GLOBAL read_only = 0")
    assert count_events(stack, task) == 1
    heals(stack, http, task)
    assert http.get("/readyz").status == 200
    stack.outbox_empty()


def test_rights_that_are_not_there_yet(stack, http, task):
    """As while a database is being made: the tables come first, then the accounts' rights."""
    account = "'carillon-api'@'localhost'"
    stack.sql(f"REVOKE SELECT ON carillon.tasks FROM {account}")
    try:
        unavailable(http, path=f"/tasks/{task['id']}")
        unavailable(http, "PATCH", f"/tasks/{task['id']}", {"status": 1})
    finally:
        stack.sql(f"GRANT SELECT ON carillon.tasks TO {account}")
    heals(stack, http, task)


@contextmanager
def no_connection_left(stack):
    """Takes every connection of the server; the administrator has one in reserve."""
    most = 10  # it takes no smaller limit
    password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
    place = str(stack.run_dir / "sock" / "mariadb.sock")
    held = [pymysql.connect(unix_socket=place, user="carillon-api", password=password) for _ in range(most)]
    before = stack.sql_number("SELECT @@max_connections")
    ours = {connection.thread_id() for connection in held}
    try:
        stack.sql(f"SET GLOBAL max_connections = {most}")
        with held[0].cursor() as cursor:  # an account sees its own connections, and may end them

            def alone():
                cursor.execute("SELECT id FROM information_schema.processlist")
                others = {number for (number,) in cursor.fetchall()} - ours
                for number in others:
                    with suppress(pymysql.Error):
                        cursor.execute(f"KILL {number}")
                return not others

            eventually(alone, 10, "nobody else has a connection")
        yield
    finally:
        for connection in held:
            connection.close()
        stack.sql(f"SET GLOBAL max_connections = {before}")


def test_max_connections_reached(stack, http, task):
    workers = {worker.pid for worker in stack.workers()}
    with no_connection_left(stack):
        for _ in range(3):
            unavailable(http)
            unavailable(http, "PATCH", f"/tasks/{task['id']}", {"status": 1})
        assert http.get("/healthz").status == 200
    heals(stack, http, task)
    assert {worker.pid for worker in stack.workers()} == workers, "it took a restart"


def test_deadlocks_are_retried(stack, http):
    """Many writers on the same few rows, while another client takes the same locks in the other order."""
    users = stack.new_users(2)
    tasks = stack.new_tasks(users * 2)

    def write(number):
        if number % 5 == 4:
            one, two = (users[0], users[1]) if number % 2 else (users[1], users[0])
            stack.script(
                "sql",
                "-e",
                f"START TRANSACTION; SELECT * FROM users WHERE id = {one} FOR UPDATE;"
                f" SELECT * FROM tasks WHERE user_id = {two} FOR UPDATE; COMMIT",
                check=False,
            )
            return 200
        return http.patch(f"/tasks/{tasks[number % 4]}", {"content": f"{number}"}, timeout=15).status

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(write, range(150)))
    assert set(statuses) == {200}, {status: statuses.count(status) for status in set(statuses)}


def test_lock_wait_is_not_for_ever(stack, http, task):
    """Another client keeps the row: the write is refused in time, reads go on."""
    import subprocess

    holder = subprocess.Popen(
        [stack_script(), "-e", f"START TRANSACTION; SELECT * FROM tasks WHERE id = {task['id']} FOR UPDATE; SELECT SLEEP(6); COMMIT"],
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        eventually(
            lambda: stack.sql("SELECT 1 FROM information_schema.processlist WHERE info LIKE '%SLEEP(6)%' AND command = 'Query' AND info NOT LIKE '%processlist%'"),
            5,
        )
        start = time.monotonic()
        answer = http.patch(f"/tasks/{task['id']}", {"status": 1}, timeout=10)
        taken = time.monotonic() - start
        assert answer.status == 503 and taken < 5, (answer, taken)
        assert http.get(f"/tasks/{task['id']}").status == 200
    finally:
        holder.communicate(timeout=20)
    heals(stack, http, task)


def stack_script():
    from lib.stack import ROOT

    return ROOT / "scripts" / "sql"
