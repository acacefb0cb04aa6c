"""Users over HTTP."""

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


@pytest.mark.parametrize("number", ["0", "-1", "01", "2147483648", "18446744073709551616", "abc", "1.0", "2147483647", "+1", "%31x"])
def test_unknown(http, number):
    assert_problem(http.get(f"/users/{number}"), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_read_only(http, method):
    for path in ("/users", "/users/1"):
        answer = http.call(method, path, {})
        assert_problem(answer, 405, "method-not-allowed")
        assert "GET" in answer.header("Allow")
