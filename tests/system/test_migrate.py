# SPDX-License-Identifier: MIT
"""scripts/migrate: each file once, whatever interrupts it; and the rights of the accounts. Each test has a database of its
own on the stack's server, and a copy of scripts and SQL to put migrations of its own into."""

import os
import random
import signal
import subprocess
import time

import pytest

from lib.database import Database
from lib.wait import eventually

NEXT = "900_next.sql"


@pytest.fixture
def database(stack, tmp_path):
    """Empty."""
    made = Database(stack, tmp_path, "to_be_migrated")
    try:
        yield made
    finally:
        made.drop()


@pytest.fixture(scope="module")
def shared(stack, tmp_path_factory):
    made = Database(stack, tmp_path_factory.mktemp("shared"), "already_migrated")
    try:
        made.migrate()
        yield made
    finally:
        made.drop()


@pytest.fixture
def migrated(shared):
    """With all that there is; what a test adds goes again."""
    before = tables(shared)
    yield shared
    (shared.tree / "sql" / NEXT).unlink(missing_ok=True)
    for name in tables(shared) - before:
        shared.sql(f"DROP TABLE {name}")
    shared.sql(f"DELETE FROM schema_migrations WHERE name = '{NEXT}'; DELETE FROM schema_progress")


def put(database, name, text):
    (database.tree / "sql" / name).write_text(text)


def tables(database):
    return {name for (name,) in database.sql("SHOW TABLES")}


# ---- interrupted ---------------------------------------------------------------------------------

PARTS = """
-- Some tables and their rows.
SET @of = 'this session';
CREATE TABLE part_{0} (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(20)) ENGINE = InnoDB;
INSERT INTO part_{0} (text) VALUES (@of), (@of);
ALTER TABLE part_{0}
    ADD COLUMN more INT NOT NULL DEFAULT 1;
UPDATE part_{0} SET more = more + 1;
"""


def looks_done(database, count):
    assert database.sql("SELECT COUNT(*) FROM schema_migrations WHERE name = %r" % NEXT) == [(1,)]
    assert database.sql("SELECT COUNT(*) FROM schema_progress") == [(0,)]
    for number in range(count):
        # Not their ids: one that a transaction took which was rolled back is not given again.
        assert database.sql(f"SELECT text, more FROM part_{number}") == [("this session", 2), ("this session", 2)]


def test_a_run_goes_on_where_one_was_killed(migrated):
    """Script and client are killed together, anywhere: finished steps are not repeated, unfinished ones are."""
    count, dice, kills = 4, random.Random(7), 0
    put(migrated, NEXT, "".join(PARTS.format(number) for number in range(count)))
    while True:
        running = migrated.start_migrate("--quiet")
        try:
            running.wait(0.2 + dice.random() * 0.1 * (1 + kills))  # it gets there in the end
            break
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            kills += 1
    looks_done(migrated, count)
    assert kills > 2


def test_one_at_a_time_when_the_first_was_killed(migrated):
    """The script is gone and its client is not: it goes on to the end of its file, and the second waits for it."""
    put(migrated, NEXT, "CREATE TABLE slow (id INT);\nSELECT SLEEP(2);\nINSERT INTO slow VALUES (1);\n")
    first = migrated.start_migrate()
    eventually(lambda: "slow" in tables(migrated), 60, "the first is under way")
    first.kill()
    second = migrated.migrate()
    first.communicate()
    assert f"sql/{NEXT} is there" in second.stdout
    assert migrated.sql("SELECT id FROM slow") == [(1,)]


def test_what_fails_is_done_again_and_nothing_before_it(migrated):
    put(migrated, NEXT, "CREATE TABLE done (id INT);\nINSERT INTO done VALUES (1);\nCREATE TABLE in_the_way (id INT);\nINSERT INTO done VALUES (2);\n")
    migrated.sql("CREATE TABLE in_the_way (other INT)")
    for _ in range(2):  # an existing object is not taken for the one to be made
        done = migrated.migrate(check=False)
        assert done.returncode == 1 and f"statement 3 of 4 of sql/{NEXT} failed" in done.stderr, done.stderr
        assert "in_the_way" in done.stderr
        assert migrated.sql("SELECT id FROM done") == [(1,)]
    assert f"begun    sql/{NEXT}, its statement 3 is next" in migrated.migrate("--list").stdout
    migrated.sql("DROP TABLE in_the_way")
    migrated.migrate()
    assert migrated.sql("SELECT id FROM done ORDER BY id") == [(1,), (2,)]


def test_a_file_that_changed_half_way(migrated):
    put(migrated, NEXT, "CREATE TABLE done (id INT);\nCREATE TABLE nonsense;\n")
    assert migrated.migrate(check=False).returncode == 1
    put(migrated, NEXT, "CREATE TABLE done (id INT);\nCREATE TABLE sense (id INT);\n")
    told = migrated.migrate(check=False)
    assert told.returncode == 1 and "has changed since 1 of its statements" in told.stderr
    migrated.migrate("--resume")
    assert {"done", "sense"} <= tables(migrated)


def test_what_an_older_version_left_half_done(database):
    """It recorded no steps: an operator must confirm that the existing objects are ours."""
    first = (database.tree / "sql" / "001_schema.sql").read_text()
    database.sql(first[: first.index("-- The journal")])
    told = database.migrate(check=False)
    assert told.returncode == 1 and "--resume" in told.stderr and "DB_NAME" in told.stderr
    assert "events" not in tables(database), "another application's database would be filled"
    database.migrate("--resume")
    assert {"users", "tasks", "events", "epoch"} <= tables(database)
    # Applied, and killed before that was written down.
    database.sql("DELETE FROM schema_migrations")
    assert database.migrate(check=False).returncode == 1
    database.migrate("--resume")
    assert database.sql("SELECT COUNT(*) FROM epoch") == [(1,)]


def test_two_at_once(database):
    both = [database.start_migrate("--demo") for _ in range(2)]
    said = [one.communicate(timeout=300) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sorted("sql/001_schema.sql applied" in out for out, _ in said) == [False, True]


# ---- telling -------------------------------------------------------------------------------------


def test_list(stack, database):
    told = database.migrate("--list").stdout.splitlines()
    assert told[0] == "missing  sql/001_schema.sql" and tables(database) == set(), "it has changed something"
    database.migrate()
    told = database.migrate("--list").stdout.splitlines()
    assert told[0] == "applied  sql/001_schema.sql" and told[-1] == "missing  sql/demo/002_english.sql"


def test_list_without_a_database(database):
    told = database.migrate("--list", check=False, DB_SOCKET="/nowhere/socket")
    assert told.returncode == 1 and "missing" not in told.stdout and "cannot reach the database" in told.stderr


def test_the_stack_in_run_dir(stack, tmp_path):
    told = stack.script("migrate", "--list").stdout
    assert "applied  sql/demo/001_demo.sql" in told and "missing" not in told
    assert "sql/001_schema.sql is there" in stack.script("migrate").stdout
    stack.environment["RUN_DIR"] = str(tmp_path)
    try:
        nowhere = stack.script("migrate", "--list", check=False)
    finally:
        stack.environment["RUN_DIR"] = str(stack.run_dir)
    assert nowhere.returncode == 1 and str(tmp_path) in nowhere.stderr and not nowhere.stdout


# ---- the server's defaults -----------------------------------------------------------------------


def test_no_table_takes_the_servers_default(database):
    database.sql(f"ALTER DATABASE {database.name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    database.migrate("--demo")
    found = database.sql(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL AND collation_name NOT IN ('utf8mb4_bin', 'utf8mb4_nopad_bin', 'utf8mb4_unicode_ci')"
        " UNION ALL SELECT table_name, '', table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_collation NOT IN ('utf8mb4_bin', 'utf8mb4_unicode_ci')"
    )
    assert not found


# ---- rights --------------------------------------------------------------------------------------


def grants(database, program):
    found = database.stack.sql(f"SHOW GRANTS FOR {database.account(program)}")
    return {text for (text,) in found if " USAGE " not in text and (f"`{database.name}`" in text.replace("\\_", "_") or "*.*" in text)}


@pytest.mark.parametrize("program", ["api", "adminer"])
def test_older_wider_rights_do_not_stay(migrated, program):
    right = grants(migrated, program)
    assert right
    account, name = migrated.account(program), migrated.name
    for place in ("*.*", f"{name}.*", "`%s`.*" % name.replace("_", "\\_")):
        migrated.stack.sql(f"GRANT ALL PRIVILEGES ON {place} TO {account} WITH GRANT OPTION")
    for table in ("users", "events", "schema_migrations", "epoch"):
        migrated.stack.sql(f"GRANT ALL PRIVILEGES ON {name}.{table} TO {account}")
    migrated.stack.sql(f"GRANT UPDATE (name, created_at) ON {name}.users TO {account}")
    migrated.sql("DELETE FROM schema_migrations WHERE name = 'grants.sql'")  # as before an upgrade
    migrated.make_accounts()
    migrated.migrate()
    assert grants(migrated, program) == right


def test_a_run_refuses_the_api_nothing_meanwhile(migrated):
    """Every start of a stack runs it, also beside programs that run."""
    running = migrated.start_migrate()
    with migrated.connect("api") as api, api.cursor() as cursor:
        while running.poll() is None:
            cursor.execute("UPDATE users SET event_seq = event_seq WHERE id = 0")
            cursor.execute("SELECT value FROM epoch")
    running.communicate()
    assert running.returncode == 0


# ---- triggers and procedures ---------------------------------------------------------------------


def test_what_belongs_to_an_account_that_is_missing(migrated):
    """As in a dump of another machine: nothing that fires it would go through."""
    stranger = f"'somebody'@'{random.getrandbits(32):x}'"
    [(body,)] = migrated.sql("SELECT action_statement FROM information_schema.triggers WHERE trigger_name = 'epoch_for_older_programs' AND trigger_schema = DATABASE()")
    migrated.stack.sql(f"CREATE USER {stranger}; USE {migrated.name}; CREATE OR REPLACE DEFINER = {stranger} TRIGGER epoch_for_older_programs AFTER UPDATE ON epoch FOR EACH ROW {body}; DROP USER {stranger}")
    with pytest.raises(Exception, match="definer"):
        migrated.sql("UPDATE epoch SET value = 'a1'")
    migrated.migrate()
    migrated.sql("UPDATE epoch SET value = 'a2'")
    migrated.sql("DROP TRIGGER epoch_for_older_programs")
    assert "sql/routines.sql applied" in migrated.migrate().stdout
    assert "sql/routines.sql is there" in migrated.migrate().stdout


# ---- where it may not go -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1", "[::1]:1"])
def test_hosts_that_only_the_programs_know(shared, host):
    """They find the one that takes writes (docs/deploy.md); a migration is not for the others."""
    done = shared.migrate(DB_HOST=host, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"DB_HOST must be one host here, with its port in DB_PORT, not '{host}'")
