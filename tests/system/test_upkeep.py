# SPDX-License-Identifier: MIT
"""Rows past their time are deleted, in small batches and without delaying requests."""

import hashlib
import signal
import threading

import pymysql
import pytest

from lib.http import assert_problem
from lib.load import Load
from lib.wait import eventually
from test_metrics import scrape, total

pytestmark = pytest.mark.disturbs

OLD = 3000


def make_old(stack, user):
    """A journal and keys from long ago: more than one batch."""
    ages = "UTC_TIMESTAMP(3) - INTERVAL 8 DAY"
    stack.sql(
        f"UPDATE users SET event_seq = {OLD} WHERE id = {user};"
        f"INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
        f" SELECT {user}, seq, 'task.updated', 1, '{{}}', {ages} FROM seq_1_to_{OLD};"
        f"INSERT INTO idempotency_keys (owner_id, idem_key, request_hash, status, task_id, etag_version, body, created_at)"
        f" SELECT 0, CONCAT('old {user} ', seq), UNHEX('{hashlib.sha256(b'').hexdigest()}'), 201, 1, 1, '', {ages}"
        f" FROM seq_1_to_{OLD}"
    )


def old_rows(stack, user):
    return stack.sql_number(
        f"SELECT (SELECT COUNT(*) FROM events WHERE user_id = {user} AND seq <= {OLD})"
        f" + (SELECT COUNT(*) FROM idempotency_keys WHERE idem_key LIKE 'old {user} %')"
    )


def test_purge(stack, http, user):
    """While the same user's tasks are written to; events in the outbox stay, however old."""
    make_old(stack, user)
    tasks = stack.new_tasks([user] * 4)
    load = Load(stack.http, lambda n: ("PATCH", f"/tasks/{tasks[n % 4]}", {"content": f"n{n}"}), 100)
    load.start()
    try:
        stack.signal("fcgi-api", signal.SIGTERM)  # a new pool looks at once, not at the next minute
        eventually(lambda: old_rows(stack, user) == 0, 120, "what is old is gone")
    finally:
        load.stop()
    # A request that waits for the new pool longer than it may is refused (test_drain.py): then nothing has happened.
    assert {result.status for result in load.failed} <= {503}, load.failed[:3]
    stack.ready()
    stack.outbox_empty()
    epoch, last = stack.epoch(), OLD + len(load.accepted)
    assert stack.sql_number(f"SELECT event_seq FROM users WHERE id = {user}") == last
    assert [seq for seq, _, _ in stack.journal(user)] == list(range(OLD + 1, last + 1))
    assert http.get(f"/users/{user}/events?since={epoch}:{OLD}").status == 200
    assert_problem(http.get(f"/users/{user}/events?since={epoch}:1"), 410, "cursor-gone")
    eventually(lambda: total(scrape(http), "carillon_api_rows_purged_total") >= 2 * OLD, what="they are counted")


def test_what_waits_is_not_purged(stack, http, user, task):
    """A journal row that the broker has not confirmed outlives the retention."""
    stack.outbox_empty()
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:
        assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
        stack.sql(
            f"UPDATE events SET created_at = created_at - INTERVAL 8 DAY WHERE user_id = {user};"
            f"UPDATE outbox SET created_at = created_at - INTERVAL 8 DAY WHERE user_id = {user}"
        )
        stack.signal("fcgi-api", signal.SIGTERM)
        # Its first event, confirmed, goes; so the purge has been there.
        eventually(lambda: [seq for seq, _, _ in stack.journal(user)] == [2], 120, "the purge has been there")
    finally:
        broker.kill(signal.SIGCONT)
    stack.ready()
    stack.outbox_empty()


def as_the_api(stack):
    password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
    place = str(stack.run_dir / "sock" / "mariadb.sock")
    return pymysql.connect(unix_socket=place, user="carillon-api", password=password, database="carillon")


def test_what_comes_back_meanwhile_is_not_purged(stack, user):
    """An event is put back into the outbox after the purge has listed it: it stays, and the purge goes on."""
    old = "UTC_TIMESTAMP(3) - INTERVAL 9 DAY"
    stack.sql(f"INSERT INTO events (user_id, seq, type, task_id, payload, created_at) VALUES ({user}, 1, 'task.updated', 1, '{{}}', {old})")
    healer, purger, counts = as_the_api(stack), as_the_api(stack), []
    waits = f"SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = {purger.thread_id()} AND trx_state = 'LOCK WAIT'"

    def purge():
        with purger.cursor() as cursor:
            cursor.execute("CALL purge_events(UTC_TIMESTAMP(3) - INTERVAL 7 DAY, 500)")
            counts.append(cursor.fetchone()[0])

    try:
        with healer.cursor() as cursor:
            cursor.execute("INSERT INTO outbox (user_id, seq, created_at) VALUES (%s, 1, UTC_TIMESTAMP(3))", (user,))
        thread = threading.Thread(target=purge, daemon=True)
        thread.start()
        eventually(lambda: stack.sql_number(waits) == 1, 30, "the purge waits for the healer")
        healer.commit()
        thread.join(60)
        assert len(counts) == 1 and counts[0] >= 0, counts
    finally:
        healer.close()
        purger.close()


def test_a_jump_of_the_clock_deletes_nothing_young(stack):
    """Three days ahead of when the last purge was: what is past its time by then is not by the purge's own time, which
    comes after slowly (fcgi-api/publisher/retention.h)."""
    eventually(lambda: stack.sql("SELECT 1 FROM notes WHERE name = 'purge_at'"), 120, "there is a note")
    young, old = stack.new_users(2)

    def keys(name):
        return stack.sql_number(f"SELECT COUNT(*) FROM idempotency_keys WHERE idem_key = '{name}'")

    stack.sql("UPDATE notes SET value = value - 3 * 86400000 WHERE name = 'purge_at'")
    try:
        for user, days in ((young, 8), (old, 12)):
            stack.sql(
                "INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
                f" SELECT {user}, seq, 'task.updated', 1, '{{}}', UTC_TIMESTAMP(3) - INTERVAL {days} DAY FROM seq_1_to_5"
            )
        for age in (2, 6):  # days; a key lives for one
            stack.sql(
                "INSERT INTO idempotency_keys (owner_id, idem_key, request_hash, status, task_id, etag_version, body, created_at)"
                f" VALUES (0, 'jump {age}', UNHEX('{hashlib.sha256(b'').hexdigest()}'), 201, 1, 1, '', UTC_TIMESTAMP(3) - INTERVAL {age} DAY)"
            )
        stack.signal("fcgi-api", signal.SIGTERM)
        eventually(lambda: not stack.journal(old), 120, "the purge has been there")
        assert len(stack.journal(young)) == 5
        eventually(lambda: keys("jump 6") == 0, 120, "the old key is gone")
        assert keys("jump 2") == 1
    finally:
        stack.sql("UPDATE notes SET value = UNIX_TIMESTAMP() * 1000 WHERE name = 'purge_at'")
    stack.ready()
