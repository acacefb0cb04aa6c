# SPDX-License-Identifier: MIT
"""Users over HTTP."""

import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.http import assert_problem, once_free


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


@pytest.mark.parametrize("path, method", [("/users", "PUT"), ("/users", "PATCH"), ("/users", "DELETE"), ("/users/1", "POST"), ("/users/1", "DELETE")])
def test_not_possible(http, path, method):
    answer = http.call(method, path, {})
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.header("Allow") == ("GET, HEAD, POST, OPTIONS" if path == "/users" else "GET, HEAD, PATCH, OPTIONS")
    assert http.call("TRACE", path).header("Allow") == answer.header("Allow")


# --- made and changed ---


@pytest.fixture
def external():
    """An id that no other test uses."""
    return str(uuid.uuid4())


def test_create(stack, http, external):
    answer = http.post("/users", {"name": "Zoë 🚰", "external_id": external})
    assert answer.status == 201, answer
    made = answer.json()
    assert set(made) == {"id", "name", "external_id", "createdAt"} and made["external_id"] == external
    assert answer.header("Location") == f"/users/{made['id']}"
    read = http.get(answer.header("Location"))
    assert read.json() == made and read.header("ETag") == answer.header("ETag")
    assert http.get(f"/users?external_id={external}").json() == [made]
    assert made in http.get(f"/users?after={made['id'] - 1}").json()
    assert http.post("/tasks", {"user_id": made["id"], "content": "x"}).status == 201
    assert stack.sql(f"SELECT name, external_id FROM users WHERE id = {made['id']}") == [("Zoë 🚰", external)]


def test_create_without_an_external_id(http):
    for body in ({"name": "a"}, {"name": "a", "external_id": None}):
        answer = http.post("/users", body)
        assert answer.status == 201 and answer.json()["external_id"] is None


def test_create_with_a_key(http, external):
    """Sent again it is one user, and the first answer."""
    body, headers = {"name": "a", "external_id": external}, {"Idempotency-Key": external}
    first, again = (http.post("/users", body, headers=headers) for _ in range(2))
    assert first.status == again.status == 201 and first.json() == again.json()
    assert again.header("Idempotency-Replayed") == "true" and not first.header("Idempotency-Replayed")
    assert all(again.header(name) == first.header(name) for name in ("Location", "ETag"))
    assert_problem(http.post("/users", {"name": "b"}, headers=headers), 422, "idempotency-mismatch")


def test_an_external_id_is_one_users(http, external):
    mine = http.post("/users", {"name": "a", "external_id": external}).json()
    other = http.post("/users", {"name": "b"}).json()
    for answer in (
        http.post("/users", {"name": "b", "external_id": external}),
        http.post("/users", {"name": "b", "external_id": external}, headers={"Idempotency-Key": external}),
        http.patch(f"/users/{other['id']}", {"external_id": external}),
    ):
        problem = assert_problem(answer, 409, "taken", field="external_id")
        assert "external_id" in problem["detail"]
    assert http.get(f"/users/{other['id']}").json() == other
    assert http.patch(f"/users/{mine['id']}", {"external_id": external}).status == 200, "its own is not taken"
    assert http.patch(f"/users/{mine['id']}", {"external_id": None}).json()["external_id"] is None
    assert http.patch(f"/users/{other['id']}", {"external_id": external}).json()["external_id"] == external


def test_external_ids_are_compared_byte_for_byte(http, external):
    alike = [external + "e", external + "E", external + "é", external + "e ", external + " e", "é" * 152 + external + "12"]
    for text in alike:
        assert http.post("/users", {"name": "a", "external_id": text}).status == 201, text
    for text in alike:
        found = http.get(f"/users?external_id={urllib.parse.quote(text)}").json()
        assert [user["external_id"] for user in found] == [text]
    assert http.get(f"/users?external_id={external}").json() == []


@pytest.mark.parametrize("text", ["", " ", "x" * 191, 7, [], True])
def test_what_is_no_external_id(http, text):
    assert_problem(http.post("/users", {"name": "a", "external_id": text}), 422, "validation", field="external_id")
    assert_problem(http.patch("/users/1", {"external_id": text}), 422, "validation", field="external_id")
    if isinstance(text, str):
        assert_problem(http.get(f"/users?external_id={urllib.parse.quote(text)}"), 422, "validation", field="external_id")


@pytest.mark.parametrize("name", ["", "\t", "x" * 101, 7, None, {}])
def test_what_is_no_name(http, name):
    assert_problem(http.post("/users", {"name": name}), 422, "validation", field="name")
    assert_problem(http.patch("/users/1", {"name": name}), 422, "validation", field="name")


def test_the_longest_texts(http, external):
    body = {"name": "🚰" * 100, "external_id": external + "🚰" * 154}
    assert http.post("/users", body).status == 201
    assert len(http.get(f"/users?external_id={urllib.parse.quote(body['external_id'])}").json()) == 1


def test_change(http, user):
    before = http.get(f"/users/{user}")
    etag = {"If-Match": before.header("ETag")}
    answer = http.patch(f"/users/{user}", {**before.json(), "name": "Other"}, headers=etag)
    assert answer.status == 200 and answer.json() == {**before.json(), "name": "Other"}
    assert answer.header("ETag") not in (None, before.header("ETag")) and not answer.header("ETag").startswith("W/")
    assert_problem(http.patch(f"/users/{user}", {"name": "Third"}, headers=etag), 412, "stale")
    assert http.get(f"/users/{user}", headers={"If-None-Match": answer.header("ETag")}).status == 304
    assert http.get(f"/users/{user}", headers={"If-Match": answer.header("ETag")}).json()["name"] == "Other"
    assert_problem(http.patch(f"/users/{user}", {"id": user + 1, "name": "x"}), 422, "validation", field="id")
    assert_problem(http.patch(f"/users/{user}", {"event_seq": 1}), 422, "validation", field="event_seq")
    assert_problem(http.patch(f"/users/{user}", {}), 422, "validation", field="name")
    assert_problem(http.patch("/users/2147483647", {"name": "x"}), 404, "not-found")


def test_an_event_is_no_change_of_the_user(http, task):
    """The counter is kept, too: the change writes only its own columns."""
    user, path = task["user_id"], f"/users/{task['user_id']}"
    etag = http.get(path).header("ETag")
    assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
    assert http.patch(path, {"name": "new"}, headers={"If-Match": etag}).status == 200
    assert http.patch(f"/tasks/{task['id']}", {"status": 0}).status == 200
    assert [event["cursor"].split(":")[1] for event in http.get(f"/users/{user}/events").json()] == ["1", "2", "3"]


def test_many_at_once_with_one_external_id(http, external):
    with ThreadPoolExecutor(8) as pool:
        ask = lambda: http.post("/users", {"name": "a", "external_id": external})
        answers = list(pool.map(lambda _: once_free(ask).status, range(16)))
    assert sorted(answers) == [201] + [409] * 15


def test_events_from_the_oldest_that_is_kept(stack, http, task):
    """After a purge the journal begins with its oldest remaining event."""
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
