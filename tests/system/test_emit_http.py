# SPDX-License-Identifier: MIT
"""Events of other programs over HTTP (docs/emit.md): POST /users/{id}/events."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.emit import numbers
from lib.http import assert_problem


def test_by_post(stack, http, ws, user):
    """The same frame as by SQL, with the data as it was written."""
    ws.subscribe(user)
    data = '{"id": 7, "amount":12.50, "big":12345678901234567890, "for":"Zo\\u00e9"}'
    body = f'{{"message":"Invoice \\"7\\"\\né", "event":"invoice.paid", "d\\u0061ta" : {data} }}'
    answer = http.post(f"/users/{user}/events", body.encode(), headers={"X-Request-Id": "mine-1"})
    cursor = f"{stack.epoch()}:1"
    assert answer.status == 201 and answer.text == f'{{"cursor":"{cursor}"}}', answer
    text = ws.recv_text()
    assert text == f'{{"type":"notification","event":"invoice.paid","cursor":"{cursor}","user_id":{user},"message":"Invoice \\"7\\"\\né","data":{data}}}'
    assert stack.journal(user) == [(1, "invoice.paid", text)]
    assert stack.sql(f"SELECT request_id, task_id FROM events WHERE user_id = {user}") == [("mine-1", "0")]
    assert http.post(f"/users/{user}/events", {"event": "a.b", "message": None, "data": None}).json() == {"cursor": f"{stack.epoch()}:2"}
    assert ws.notification()["data"] is None
    largest = json.dumps({"x": "y" * 65527})
    assert http.post(f"/users/{user}/events", f'{{"event":"a.b","data":{largest}}}'.encode()).status == 201
    assert ws.notification(timeout=20)["data"] == json.loads(largest)


def test_a_post_with_a_key_is_one_event(stack, http, user):
    path, event = f"/users/{user}/events", {"event": "invoice.paid", "data": {"a": 1}}
    key = {"Idempotency-Key": f"emit-{user}"}
    first, again = http.post(path, event, headers=key), http.post(path, event, headers=key)
    assert (first.status, again.status) == (201, 201) and first.text == again.text
    assert first.header("Idempotency-Replayed") is None and again.header("Idempotency-Replayed") == "true"
    assert_problem(http.post(path, {**event, "data": None}, headers=key), 422, "idempotency-mismatch")
    assert numbers(stack, user) == (1, [1])
    tag = http.get(path).header("ETag")
    assert_problem(http.post(path, event, headers={"If-None-Match": tag}), 412, "stale")
    assert http.post(path, event, headers={"If-None-Match": 'W/"another"'}).status == 201


def test_posts_and_calls_and_writes_share_groups(stack, http, task):
    """Events, changes and new tasks of one user at once: numbers without a gap, each in the journal once."""
    user = task["user_id"]

    def one(number):
        client = stack.client()
        if number % 3 == 0:
            return client.post(f"/users/{user}/events", {"event": "a.b", "data": {"n": number}}).status
        if number % 3 == 1:
            return client.patch(f"/tasks/{task['id']}", {"content": f"n {number}"}).status
        return client.post("/tasks", {"user_id": user, "content": "x"}).status

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(one, range(60))) == {200, 201}
    count, seqs = numbers(stack, user)
    assert count == 61 and seqs == list(range(1, 62))
    stack.outbox_empty()


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "event"), ({"event": 5}, "event"), ({"event": None}, "event"), ({"event": "invoice"}, "event"), ({"event": "task.created"}, "event"),
        ({"event": "carillon.epoch"}, "event"), ({"event": "A.b"}, "event"), ({"event": "a" * 63 + ".b"}, "event"),
        ({"event": "a.b", "message": 5}, "message"), ({"event": "a.b", "message": "x" * 1001}, "message"), ({"event": "a.b", "data": []}, "data"),
        ({"event": "a.b", "data": "{}"}, "data"), ({"event": "a.b", "data": {"x": "y" * 65530}}, "data"), ({"event": "a.b", "user_id": 1}, "user_id"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_post_that_is_refused(stack, http, user, body, field):
    assert_problem(http.post(f"/users/{user}/events", body), 422, "validation", field)
    assert numbers(stack, user) == (0, [])


def test_a_post_for_an_unknown_user(http, user):
    assert_problem(http.post("/users/4000000000/events", {"event": "a.b"}), 404, "not-found")
    assert_problem(http.post("/users/x/events", {"event": "a.b"}), 404, "not-found")
    assert_problem(http.post("/users/4000000000/events", {"event": "a.b"}, headers={"If-None-Match": "*"}), 404, "not-found")
    assert_problem(http.post(f"/users/{user}/events", b"nonsense"), 400, "not-json")
    assert_problem(http.post(f"/users/{user}/events?x=1", {"event": "a.b"}), 422, "validation")
