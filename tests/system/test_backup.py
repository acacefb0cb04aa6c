# SPDX-License-Identifier: MIT
"""scripts/backup and scripts/restore: the data is as it was, and browsers are told to read anew."""

import subprocess

import pytest

from lib.stack import ROOT, Stack

pytestmark = pytest.mark.disturbs


@pytest.fixture(scope="module")
def own_stack():
    stack = Stack.start(ADMINER_PORT="off", DB_TIMEOUT_MS=8000)
    yield stack
    stack.stop()


def test_there_and_back(own_stack, tmp_path):
    stack, http = own_stack, own_stack.client()
    content = "Acheter du pain ❤ \\ ' \" \t"
    kept = http.post("/tasks", {"user_id": 1, "content": content}).json()
    stack.outbox_empty()
    epoch, journal = stack.epoch(), stack.journal(1)
    file = stack.script("backup", tmp_path / "there").stdout.strip()
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o700
    later = http.post("/tasks", {"user_id": 1, "content": "later"}).json()
    assert http.delete(f"/tasks/{kept['id']}").status == 204
    socket = stack.socket()
    socket.subscribe(1, since=f"{epoch}:{len(journal)}")

    said = stack.script("restore", file).stdout
    assert "with a new epoch" in said
    stack.ready()
    assert http.get(f"/tasks/{kept['id']}").json() == kept
    assert http.get(f"/tasks/{later['id']}").status == 404
    assert stack.journal(1) == journal and stack.epoch() != epoch
    again = stack.socket()
    answer = again.subscribe(1, since=f"{epoch}:{len(journal) + 2}")
    assert (answer["recovered"], answer["reason"]) == (False, "epoch")
    http.patch(f"/tasks/{kept['id']}", {"status": 1})
    assert again.notification()["task"]["id"] == kept["id"]
    stack.outbox_empty()


def test_the_newest_are_kept(own_stack, tmp_path):
    for number in range(4):
        (tmp_path / f"carillon-2020010{number}T000000Z.sql.gz").touch()
    (tmp_path / "notes.txt").touch()
    own_stack.script("backup", "--keep", "2", tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3 and "carillon-20200103T000000Z.sql.gz" in names and "notes.txt" in names


def test_half_a_backup_is_refused(own_stack, tmp_path):
    """And nothing is changed by it."""
    whole = own_stack.script("backup", tmp_path).stdout.strip()
    half = tmp_path / "half.sql.gz"
    text = subprocess.run(["gzip", "-dc", whole], capture_output=True, check=True).stdout
    half.write_bytes(subprocess.run(["gzip"], input=text[: len(text) // 2], capture_output=True, check=True).stdout)
    before = own_stack.epoch()
    done = own_stack.script("restore", half, check=False)
    assert done.returncode == 1 and "not a whole backup" in done.stderr
    assert own_stack.epoch() == before


def test_a_database_that_cannot_be_reached_leaves_no_file(own_stack, tmp_path):
    environment = {**own_stack.environment, "DB_SOCKET": str(tmp_path / "nothing.sock")}
    done = subprocess.run(
        ["scripts/backup", tmp_path / "there"], cwd=ROOT, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "no file was written" in done.stderr
    assert not list((tmp_path / "there").iterdir())


def old_dump(stack, file):
    """Of a database that the first version made, in its way."""
    admin = f"--defaults-file={stack.run_dir}/etc/mariadb-admin.cnf"
    stack.sql(
        "CREATE DATABASE older; USE older;"
        f"{(ROOT / 'sql' / '001_schema.sql').read_text()}"
        "CREATE TABLE schema_migrations (name VARCHAR(190) NOT NULL PRIMARY KEY, checksum CHAR(64) NOT NULL,"
        " applied_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;"
        "INSERT INTO schema_migrations (name, checksum) VALUES ('001_schema.sql', SHA2(LOAD_FILE('x'), 256) IS NULL);"
        "INSERT INTO users (id, name) VALUES (1, 'Alice'); INSERT INTO tasks (id, user_id, content) VALUES (7, 1, 'of long ago')"
    )
    dump = subprocess.run(["mariadb-dump", admin, "--routines", "older"], capture_output=True, check=True).stdout
    stack.sql("DROP DATABASE older")
    file.write_bytes(subprocess.run(["gzip"], input=dump, capture_output=True, check=True).stdout)


def test_a_backup_of_an_older_version(own_stack, tmp_path):
    """Older than some migrations: they come, and the rights, before the programs do."""
    stack, file = own_stack, tmp_path / "older.sql.gz"
    old_dump(stack, file)
    stack.script("restore", file)
    stack.ready()
    assert stack.client().get("/readyz").status == 200
    assert stack.client().get("/tasks/7").json()["content"] == "of long ago"
    assert stack.client().patch("/tasks/7", {"status": 1}).status == 200
    stack.outbox_empty()
    assert "missing  sql/0" not in stack.script("migrate", "--list").stdout
