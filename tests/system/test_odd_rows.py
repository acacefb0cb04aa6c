# SPDX-License-Identifier: MIT
"""Rows that the API would never write (an Adminer, an import): what the database accepts is shown exactly and survives."""

import json

import pytest


@pytest.fixture
def insert(stack, user):
    """insert("0, 'a', '1960-01-01', NULL") makes a row of that user past the API and returns its id."""

    def one(values, columns="status, content, created_at, completed_at"):
        stack.sql(f"INSERT INTO tasks (user_id, {columns}) VALUES ({user}, {values})")
        return stack.sql_number(f"SELECT MAX(id) FROM tasks WHERE user_id = {user}")

    return one


@pytest.mark.parametrize(
    "stored, shown",
    [
        ("1969-12-31 23:59:59.500", "1969-12-31T23:59:59.500Z"),
        ("1969-12-31 23:59:59.999", "1969-12-31T23:59:59.999Z"),  # -1 ms
        ("1960-01-01", "1960-01-01T00:00:00.000Z"),
        ("1582-10-10 12:00:00.001", "1582-10-10T12:00:00.001Z"),
        ("1000-01-01", "1000-01-01T00:00:00.000Z"),
        ("9999-12-31 23:59:59.999", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_of_the_whole_range(stack, http, user, insert, stored, shown):
    number = insert(f"1, 'x', '{stored}', '{stored}'")
    task = http.get(f"/tasks/{number}").json()
    assert (task["createdAt"], task["completedAt"]) == (shown, shown)
    assert http.get(f"/tasks?user_id={user}").json() == [task]
    changed = http.patch(f"/tasks/{number}", {"content": "y"})
    assert changed.status == 200 and changed.json() == {**task, "content": "y"}
    assert stack.sql_number(
        f"SELECT COUNT(*) FROM tasks WHERE id = {number} AND created_at = '{stored}' AND completed_at = '{stored}'"
    )


def test_a_nul_in_the_content_survives(stack, http, user, insert, stream):
    number = insert("0, CONCAT('before', CHAR(0), 'after'), '2024-01-02', NULL")
    assert http.get(f"/tasks/{number}").json()["content"] == "before\0after"
    assert http.get(f"/tasks?user_id={user}").json()[0]["content"] == "before\0after"
    assert http.patch(f"/tasks/{number}", {"status": 1}).json()["content"] == "before\0after"
    assert stack.sql_number(f"SELECT content = CONCAT('before', CHAR(0), 'after') FROM tasks WHERE id = {number}") == 1
    assert json.loads(stream.wait_for(user, 1).body)["task"]["content"] == "before\0after"


def test_a_nul_in_a_name_survives(stack, http, user):
    stack.sql(f"UPDATE users SET name = CONCAT('A', CHAR(0), 'na'), created_at = '1890-05-19' WHERE id = {user}")
    assert http.get(f"/users/{user}").json() == {"id": user, "name": "A\0na", "external_id": None, "createdAt": "1890-05-19T00:00:00.000Z"}


def test_the_version_begins_again(stack, http, user, insert):
    number = insert("0, 'x', 4294967295", "status, content, version")
    assert http.get(f"/tasks/{number}").header("ETag") == '"4294967295"'
    changed = http.patch(f"/tasks/{number}", {"status": 1}, headers={"If-Match": '"4294967295"'})
    assert changed.status == 200 and changed.header("ETag") == '"1"'
    stack.sql(f"UPDATE tasks SET version = 0 WHERE id = {number}")
    etag = http.get(f"/tasks/{number}").header("ETag")
    assert http.patch(f"/tasks/{number}", {"status": 1}, headers={"If-Match": etag}).status == 200


def test_ids_beyond_a_signed_number(stack, http, user):
    stack.sql(f"INSERT INTO tasks (id, user_id, content) VALUES (3000000000, {user}, 'x')")
    try:
        made = http.post("/tasks", {"user_id": user, "content": "after it"})
        assert made.status == 201 and made.json()["id"] == 3000000001
        assert http.get(made.header("Location")).json() == made.json()
        assert http.patch("/tasks/3000000000", {"status": 1}).status == 200
        page = http.get(f"/tasks?user_id={user}&limit=1")
        assert "after=3000000000" in page.header("Link")
        assert http.get(f"/tasks?user_id={user}&limit=1&after=3000000000").json() == [made.json()]
    finally:
        stack.sql("DELETE FROM tasks WHERE id >= 3000000000")
        stack.sql("ALTER TABLE tasks AUTO_INCREMENT = 1")  # at least: the server makes it what it must be


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tasks (id, user_id, content) VALUES (4294967295, 1, 'x')",
        "INSERT INTO tasks (id, user_id, content) VALUES (4294967294, 1, 'x')",
        "INSERT INTO tasks (id, user_id, content) VALUES (4000000001, 1, 'x')",
        "UPDATE tasks SET id = 4294967295 ORDER BY id LIMIT 1",
        "UPDATE tasks SET id = id + 1 ORDER BY id DESC LIMIT 1",
    ],
)
def test_no_row_takes_the_last_ids(stack, http, task, statement):
    """The column counts on after the highest id: no POST would ever succeed again."""
    with pytest.raises(AssertionError, match=r"tasks\.id(:| never)"):
        stack.sql(statement)
    assert http.post("/tasks", {"user_id": task["user_id"], "content": "x"}).status == 201


UNCHECKED = "SET check_constraint_checks = 0; "


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM epoch", f"{UNCHECKED} UPDATE epoch SET value = ''", f"{UNCHECKED} UPDATE epoch SET value = 'a:b'"],
)
def test_without_an_epoch_nothing_is_written(stack, http, task, damage):
    """No cursor could name it."""
    user, known = task["user_id"], stack.epoch()
    stack.sql(damage)
    try:
        assert http.post("/tasks", {"user_id": user, "content": "x"}).status == 503
        assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 503
        assert http.delete(f"/tasks/{task['id']}").status == 503
        assert http.get(f"/tasks?user_id={user}").status == 503
        assert http.get(f"/tasks?user_id={user}&status=1").status == 503
        assert http.get(f"/users/{user}/events").status == 503
        assert http.get("/readyz").status == 503
    finally:
        stack.sql(f"REPLACE INTO epoch (id, value) VALUES (1, '{known}')")
    assert http.get(f"/tasks?user_id={user}").json() == [task]
    assert len(stack.journal(user)) == 1
    stack.ready()
