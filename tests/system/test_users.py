# SPDX-License-Identifier: MIT
"""Users over HTTP."""

import urllib.parse

import pytest

from lib.http import assert_problem


def test_list(http):
    answer = http.get("/users")
    assert answer.status == 200 and answer.header("Content-Type").startswith("application/json")
    users = answer.json()
    assert len(users) >= 2 and users[0]["id"] == 1
    assert [user["id"] for user in users] == sorted(user["id"] for user in users)
    assert all(user["name"] for user in users)


def test_one(http):
    listed = http.get("/users").json()[0]
    answer = http.get("/users/1")
    assert answer.status == 200 and answer.json() == listed


def test_internal_columns_stay_inside(http):
    assert "event_seq" not in http.get("/users/1").json()


@pytest.mark.parametrize("number", ["0", "-1", "01", "2147483648", "4294967296", "18446744073709551616", "abc", "1.0", "2147483647", "+1", "%31x"])
def test_unknown(http, number):
    assert_problem(http.get(f"/users/{number}"), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_read_only(http, method):
    for path in ("/users", "/users/1"):
        answer = http.call(method, path, {})
        assert_problem(answer, 405, "method-not-allowed")
        assert "GET" in answer.header("Allow")


def test_events_from_the_oldest_that_is_kept(stack, http, task):
    """Once the journal was purged its beginning is what is left of it."""
    user, path = task["user_id"], f"/users/{task['user_id']}/events"
    for n in range(4):
        assert http.patch(f"/tasks/{task['id']}", {"content": f"{n}"}).status == 200
    stack.outbox_empty()
    stack.sql(f"DELETE FROM events WHERE user_id = {user} AND seq <= 2")
    events = http.get(path)
    assert [event["cursor"].split(":")[1] for event in events.json()] == ["3", "4", "5"]
    assert http.get(f"{path}?since={events.header('Event-Cursor')}").json() == []
    page = http.get(f"{path}?limit=2")
    assert len(page.json()) == 2 and f"since={stack.epoch()}:4" in urllib.parse.unquote(page.header("Link"))
    assert_problem(http.get(f"{path}?since={stack.epoch()}:1"), 410, "cursor-gone")
    stack.sql(f"DELETE FROM events WHERE user_id = {user} AND seq = 4")  # 3 may have waited in the outbox
    assert [event["cursor"].split(":")[1] for event in http.get(path).json()] == ["5"]
    stack.sql(f"DELETE FROM events WHERE user_id = {user}")
    nothing = http.get(path)
    assert nothing.status == 200 and nothing.json() == []
    assert nothing.header("Event-Cursor").startswith(f"{stack.epoch()}:5:")
