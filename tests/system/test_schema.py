# SPDX-License-Identifier: MIT
"""The tables: what they accept, and what they do by themselves. Tried in a database of its own on the stack's server."""

import re

import pymysql
import pytest

from lib.database import Database
from lib.stack import ROOT


@pytest.fixture(scope="module")
def database(stack, tmp_path_factory):
    made = Database(stack, tmp_path_factory.mktemp("schema"), "schema_of_its_own")
    try:
        made.migrate()
        yield made
    finally:
        made.drop()


# ---- programs of before sql/002_owners.sql -----------------------------------------------------------

# The statements of such a program, word for word.
OLDER_READS = "SELECT value FROM meta WHERE name = 'epoch'"
OLDER_NOTES = "INSERT INTO meta (name, value) VALUES ('broker_alive_at', '{}') ON DUPLICATE KEY UPDATE value = VALUES(value)"
OLDER_SETTLES = "INSERT INTO meta (name, value) VALUES ('settled', '1') ON DUPLICATE KEY UPDATE value = value + 1"


def test_an_older_program_goes_on_beside_a_newer_one(database):
    """A migration comes before the new programs, and the old ones answer until then."""
    for alive_at in (1, 2):
        database.sql(OLDER_NOTES.format(alive_at), "api")
        database.sql(OLDER_SETTLES, "api")
    assert database.sql("SELECT value FROM notes WHERE name = 'broker_alive_at'", "api") == [("2",)]
    database.sql("UPDATE epoch SET value = 'anew'")
    assert database.sql(OLDER_READS, "api") == [("anew",)]


# Those of a program of before sql/008_nodes.sql, which knows of no nodes, and what it expects of each.
BEFORE_NODES = [
    ("INSERT INTO events (user_id, seq, type, task_id, payload, created_at) VALUES (1, 1, 'task.created', 1, '{}', NOW(3))", None),
    ("INSERT INTO outbox (user_id, seq, created_at) VALUES (1, 1, NOW(3))", None),
    (
        "SELECT o.user_id, o.seq FROM outbox o FORCE INDEX (PRIMARY) STRAIGHT_JOIN events e ON e.user_id = o.user_id AND e.seq = o.seq "
        "JOIN epoch m ON m.id = 1 WHERE (o.user_id = 1 AND o.seq > 0 AND o.seq <= 9) ORDER BY o.user_id, o.seq LIMIT 9",
        [(1, 1)],
    ),
    (
        "SELECT user_id, MAX(seq) FROM (SELECT user_id, seq, created_at FROM outbox WHERE created_at <= NOW(3) OR created_at > NOW(3) "
        "ORDER BY created_at LIMIT 10000) waiting GROUP BY user_id ORDER BY MIN(created_at) LIMIT 9",
        [(1, 1)],
    ),
    ("INSERT INTO broker (id, life) VALUES (1, 1) ON DUPLICATE KEY UPDATE life = life + 1", None),
    ("UPDATE broker SET lived_ms = lived_ms + 5 WHERE id = 1 AND life = 1 AND lived_ms = 0", None),
    ("SELECT life, lived_ms FROM broker WHERE id = 1 LOCK IN SHARE MODE", [(1, 5)]),
    ("DELETE FROM outbox WHERE user_id = 1 AND seq = 1", None),
    ("INSERT INTO confirmed (user_id, first_seq, last_seq, lived_ms) VALUES (1, 1, 1, 5)", None),
    ("SELECT user_id, first_seq, last_seq FROM confirmed WHERE id > 0 ORDER BY id LIMIT 9", [(1, 1, 1)]),
    ("INSERT IGNORE INTO outbox (user_id, seq, created_at) VALUES (1, 1, FROM_UNIXTIME(1700000000000 / 1000))", None),
    ("DELETE FROM confirmed WHERE lived_ms <= 5 ORDER BY lived_ms LIMIT 9", None),
    ("SELECT COUNT(*) FROM outbox", [(1,)]),
    ("INSERT INTO notes (name, value) VALUES ('purge_at', '7') ON DUPLICATE KEY UPDATE value = VALUES(value)", None),
    ("INSERT INTO notes (name, value) VALUES ('purge_at', '8') ON DUPLICATE KEY UPDATE value = VALUES(value)", None),
    ("SELECT value FROM notes WHERE name = 'purge_at'", [("8",)]),
    ("INSERT INTO settled (id, times) VALUES (CONNECTION_ID() MOD 16, 1) ON DUPLICATE KEY UPDATE times = times + 1", None),
    ("SELECT user_id, seq FROM emitted ORDER BY user_id, seq LIMIT 9", []),
    ("DELETE FROM outbox WHERE user_id = 1 AND seq = 1", None),
]


def test_a_program_that_knows_of_no_nodes_goes_on(database):
    """Its rows are those of the one machine there is."""
    database.sql("INSERT INTO users (id, name) VALUES (1, 'one')")
    for statement, expected in BEFORE_NODES:
        found = database.sql(statement, "api")
        assert expected is None or found == expected, statement
    assert database.sql("SELECT DISTINCT node FROM notes UNION SELECT DISTINCT node FROM settled") == [(1,)]
    database.sql("DELETE FROM events; DELETE FROM users; ALTER TABLE users AUTO_INCREMENT = 1")


@pytest.mark.parametrize("value", ["", "with:colon", "a" * 17])
def test_an_epoch_that_cannot_be(database, value):
    """With an empty one every cursor would be ':59'; with a colon none could be read back."""
    with pytest.raises(pymysql.Error):
        database.sql(f"UPDATE epoch SET value = '{value}'")


# ---- changes past the API ------------------------------------------------------------------------


@pytest.fixture
def one(database):
    """The id of a task; its version is 1."""
    database.sql("INSERT INTO users (name) VALUES ('one'); INSERT INTO tasks (user_id, content) VALUES (1, 'x')")
    return database.sql("SELECT MAX(id) FROM tasks")[0][0]


@pytest.mark.parametrize(
    "change, version",
    [
        ("content = 'y'", 2),
        ("content = content", 2),
        ("status = 1, completed_at = NOW(3)", 2),
        ("version = 1", 2),
        ("version = 0", 2),
        ("version = 5", 5),  # as the API does it: left alone
        ("version = 4294967295", 4294967295),
    ],
)
def test_every_update_raises_the_version(database, one, change, version):
    database.sql(f"UPDATE tasks SET {change} WHERE id = {one}")
    assert database.sql(f"SELECT version FROM tasks WHERE id = {one}") == [(version,)]


def test_an_upsert_raises_the_version(database, one):
    database.sql(f"INSERT INTO tasks (id, user_id, content) VALUES ({one}, 1, 'z') ON DUPLICATE KEY UPDATE content = 'z'")
    assert database.sql(f"SELECT version FROM tasks WHERE id = {one}") == [(2,)]


def test_the_version_begins_again_at_one(database, one):
    database.sql(f"UPDATE tasks SET version = 4294967295 WHERE id = {one}")
    database.sql(f"UPDATE tasks SET content = 'y' WHERE id = {one}")
    assert database.sql(f"SELECT version FROM tasks WHERE id = {one}") == [(1,)]


def test_a_change_past_the_api_is_another_version(stack, http, task):
    """No stale 304, and no If-Match that overwrites what its sender has not seen."""
    path, etag = f"/tasks/{task['id']}", http.get(f"/tasks/{task['id']}").header("ETag")
    stack.sql(f"UPDATE tasks SET content = 'past the API' WHERE id = {task['id']}")
    assert http.patch(path, {"content": "blind"}, headers={"If-Match": etag}).status == 412
    seen = http.get(path, headers={"If-None-Match": etag})
    assert seen.status == 200 and seen.json()["content"] == "past the API" and seen.header("ETag") != etag
    assert http.patch(path, {"content": "seen"}, headers={"If-Match": seen.header("ETag")}).status == 200


# ---- times ---------------------------------------------------------------------------------------

NO_DAYS = ("0000-00-00", "2024-00-12", "2024-01-00", "2023-02-31", "0000-01-31")
DAYS = ("0001-01-01", "1000-01-01", "1969-12-31 23:59:59.999", "2024-02-29", "9999-12-31 23:59:59.999")


@pytest.mark.parametrize("value", NO_DAYS)
def test_what_is_no_day_is_refused(database, one, value):
    for statement in (
        f"INSERT INTO tasks (user_id, content, created_at) VALUES (1, 'x', '{value}')",
        f"INSERT INTO tasks (user_id, content, status, completed_at) VALUES (1, 'x', 1, '{value}')",
        f"UPDATE tasks SET created_at = '{value}' WHERE id = {one}",
        f"UPDATE tasks SET status = 1, completed_at = '{value}' WHERE id = {one}",
        f"UPDATE tasks SET status = 0, completed_at = '{value}' WHERE id = {one}",
        f"INSERT INTO users (name, created_at) VALUES ('x', '{value}')",
    ):
        for mode in ("", "ALLOW_INVALID_DATES", "TRADITIONAL"):
            with pytest.raises(pymysql.Error):
                database.sql(f"SET sql_mode = '{mode}'; {statement}")


@pytest.mark.parametrize("value", DAYS)
def test_what_is_a_day_is_taken(database, one, value):
    database.sql(f"UPDATE tasks SET status = 1, created_at = '{value}', completed_at = '{value}' WHERE id = {one}")
    assert database.sql(f"SELECT created_at = '{value}' AND completed_at = '{value}' FROM tasks WHERE id = {one}") == [(1,)]


def test_rows_of_before_are_mended(stack, tmp_path):
    """The migration does not fail at them; what cannot be known any more is the beginning of 1970, with another ETag."""
    older = Database(stack, tmp_path, "with_odd_rows")
    try:
        migration = older.tree / "sql" / "004_days.sql"
        text = migration.read_text()
        migration.unlink()
        older.migrate()
        rows = [f"(1, 'created', 0, '{value}', NULL)" for value in NO_DAYS]
        rows += [f"(1, 'completed', 1, '2024-01-02', '{value}')" for value in NO_DAYS]
        older.sql(
            "INSERT INTO users (name) VALUES ('x'); SET sql_mode = 'ALLOW_INVALID_DATES';"
            " INSERT INTO users (name, created_at) VALUES ('y', '0000-00-00');"
            " INSERT INTO tasks (user_id, content, status, created_at, completed_at) VALUES"
            f" {','.join(rows)}, (1, 'kept', 1, '{DAYS[0]}', '{DAYS[-1]}')"
        )
        migration.write_text(text)
        older.migrate()
        for name in ("created", "completed"):
            mended = f"content = '{name}' AND {name}_at = '1970-01-01' AND version > 1"
            assert older.sql(f"SELECT COUNT(*) FROM tasks WHERE {mended}") == [(len(NO_DAYS),)]
        assert older.sql("SELECT created_at = '1970-01-01' FROM users WHERE name = 'y'") == [(1,)]
        kept = f"created_at = '{DAYS[0]}', completed_at = '{DAYS[-1]}', version"
        assert older.sql(f"SELECT {kept} FROM tasks WHERE content = 'kept'") == [(1, 1, 1)]
    finally:
        older.drop()


# ---- purging -------------------------------------------------------------------------------------


def test_purging_takes_the_oldest_and_nothing_that_waits(database):
    event = "INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
    database.sql(
        "INSERT IGNORE INTO users (id, name) VALUES (77, 'old');"
        f"{event} SELECT 77, seq, 'task.updated', 1, '{{}}', UTC_TIMESTAMP(3) - INTERVAL 100 - seq HOUR FROM seq_1_to_50;"
        f"{event} VALUES (77, 51, 'task.updated', 1, '{{}}', UTC_TIMESTAMP(3) - INTERVAL 50 MINUTE);"
        "INSERT INTO outbox (user_id, seq, created_at) VALUES (77, 50, UTC_TIMESTAMP(3))"
    )
    purge = "CALL purge_events(UTC_TIMESTAMP(3) + INTERVAL 1 DAY, 20)"
    database.sql(purge, "api")
    assert database.sql("SELECT MIN(seq), MAX(seq), COUNT(*) FROM events WHERE user_id = 77") == [(21, 51, 31)]
    for _ in range(3):
        database.sql(purge, "api")
    assert database.sql("SELECT seq FROM events WHERE user_id = 77 ORDER BY seq") == [(50,), (51,)]


# ---- the program's schema ------------------------------------------------------------------------


@pytest.mark.disturbs
@pytest.mark.parametrize(
    "older, newer",
    [
        ("UPDATE schema_migrations SET name = 'x' WHERE name = '002_owners.sql'", "UPDATE schema_migrations SET name = '002_owners.sql' WHERE name = 'x'"),
        ("RENAME TABLE schema_migrations TO x", "RENAME TABLE x TO schema_migrations"),
    ],
)
def test_not_ready_with_tables_older_than_the_program(stack, http, older, newer):
    stack.sql(older)
    try:
        answer = http.get("/readyz")
        assert answer.status == 503 and answer.json()["database"] == "outdated"
        assert "scripts/migrate" in answer.json()["detail"]
    finally:
        stack.sql(newer)
    assert http.get("/readyz").status == 200


def test_the_program_asks_for_the_newest_schema():
    """A migration that is added without raising STORE_SCHEMA is one that readiness does not look for."""
    text = (ROOT / "fcgi-api/store/statements.h").read_text()
    assert int(re.search(r"#define STORE_SCHEMA (\d+)", text)[1]) == len(list((ROOT / "sql").glob("[0-9][0-9][0-9]_*.sql")))
