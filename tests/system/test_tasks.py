# SPDX-License-Identifier: MIT
"""Tasks over HTTP: the table of docs/protocol.md, line by line."""

import json
import re
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.http import assert_problem, once_free
from lib.wait import eventually

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def next_page(answer):
    found = re.search(r'<([^>]+)>;\s*rel="?next"?', answer.header("Link", ""))
    return found[1] if found else None


def all_pages(http, path):
    pages = []
    while path:
        answer = http.get(path)
        assert answer.status == 200, answer
        pages.append(answer.json())
        path = next_page(answer)
        if path and path.startswith("http"):
            parts = urllib.parse.urlsplit(path)
            path = f"{parts.path}?{parts.query}"
        assert len(pages) < 1000
    return pages


# -- POST


def test_post_makes_a_task(http, user):
    answer = http.post("/tasks", {"user_id": user, "content": "Arroser les plantes"})
    assert answer.status == 201
    task = answer.json()
    assert answer.header("Location", "").endswith(f"/tasks/{task['id']}")
    assert answer.header("Content-Type").startswith("application/json")
    assert task["user_id"] == user and task["status"] == 0 and task["content"] == "Arroser les plantes"
    assert re.fullmatch(TIME, task["createdAt"]) and task["completedAt"] is None
    assert list(task) == ["id", "user_id", "status", "content", "createdAt", "completedAt"]
    assert http.get(f"/tasks/{task['id']}").json() == task


def test_post_writes_row_event_and_message(stack, http, user, stream):
    task = http.post("/tasks", {"user_id": user, "content": "x"}).json()
    [(seq, kind, payload)] = stack.journal(user)
    assert (seq, kind) == (1, "task.created")
    assert json.loads(payload)["task"] == task
    assert stream.wait_for(user, 1).body.decode() == payload
    assert stack.sql_number(f"SELECT event_seq FROM users WHERE id = {user}") == 1


def test_idempotency_key_returns_the_first_answer(stack, http, user):
    headers = {"Idempotency-Key": f"key-{user}"}
    first = http.post("/tasks", {"user_id": user, "content": "once"}, headers=headers)
    again = http.post("/tasks", {"user_id": user, "content": "once"}, headers=headers)
    assert first.status == again.status == 201
    assert first.body == again.body
    assert first.header("Location") == again.header("Location")
    assert first.header("ETag") == again.header("ETag")
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 1
    assert len(stack.journal(user)) == 1


def test_idempotency_key_with_another_body(http, user):
    headers = {"Idempotency-Key": f"key-{user}"}
    assert http.post("/tasks", {"user_id": user, "content": "once"}, headers=headers).status == 201
    other = http.post("/tasks", {"user_id": user, "content": "twice"}, headers=headers)
    assert_problem(other, 422, "idempotency-mismatch")


def test_idempotency_key_is_not_used_up_by_a_refused_post(http, user):
    headers = {"Idempotency-Key": f"key-{user}"}
    assert http.post("/tasks", {"user_id": user, "content": ""}, headers=headers).status == 422
    assert http.post("/tasks", {"user_id": user, "content": "good"}, headers=headers).status == 201


def test_idempotency_key_many_at_once(stack, http, user):
    headers = {"Idempotency-Key": f"key-{user}"}
    with ThreadPoolExecutor(16) as pool:
        ask = lambda: http.post("/tasks", {"user_id": user, "content": "x"}, headers=headers)
        answers = list(pool.map(lambda _: once_free(ask), range(16)))
    assert {answer.status for answer in answers} == {201}, answers
    assert len({answer.body for answer in answers}) == 1
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 1


def test_idempotency_key_of_a_patch(stack, http, task):
    path, headers = f"/tasks/{task['id']}", {"Idempotency-Key": f"patch-{task['id']}"}
    first = http.patch(path, {"status": 1}, headers=headers)
    assert http.patch(path, {"content": "changed meanwhile"}).status == 200
    again = http.patch(path, {"status": 1}, headers={"Idempotency-Key": f'"patch-{task["id"]}"'})  # as RFC 9651 writes it
    assert first.status == again.status == 200 and first.body == again.body
    assert first.header("ETag") == again.header("ETag") == '"2"'
    assert again.header("Idempotency-Replayed") == "true"
    assert http.get(path).json()["content"] == "changed meanwhile"
    assert len(stack.journal(task["user_id"])) == 3
    assert_problem(http.patch(path, {"status": 0}, headers=headers), 422, "idempotency-mismatch")


def test_idempotency_key_of_a_patch_many_at_once(stack, http, task):
    path, headers = f"/tasks/{task['id']}", {"Idempotency-Key": f"many-{task['id']}"}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: once_free(lambda: http.patch(path, {"status": 1}, headers=headers)), range(12)))
    assert {answer.status for answer in answers} == {200}, answers
    assert len({answer.body for answer in answers}) == 1
    assert len(stack.journal(task["user_id"])) == 2


def test_idempotency_key_is_not_used_up_by_a_refused_patch(stack, http, task):
    path, key = f"/tasks/{task['id']}", {"Idempotency-Key": f"refused-{task['id']}"}
    assert http.patch(path, {"status": 1}, headers={**key, "If-Match": '"7"'}).status == 412
    assert http.patch(path, {"status": 1, "user_id": 2147483000}, headers=key).status == 422
    assert http.patch(path, {"status": 1}, headers={**key, "If-Match": '"1"'}).status == 200
    assert len(stack.journal(task["user_id"])) == 2


def test_idempotency_key_of_a_delete(stack, http, task):
    path, headers = f"/tasks/{task['id']}", {"Idempotency-Key": f"delete-{task['id']}"}
    assert [http.delete(path, headers=headers).status for _ in range(3)] == [204] * 3
    assert_problem(http.delete(path), 404, "not-found")
    assert len(stack.journal(task["user_id"])) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\tkey", "é"])
def test_idempotency_key_must_be_sane(stack, http, user, key):
    body = json.dumps({"user_id": user, "content": "x"}).encode()
    request = (
        f"POST /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIdempotency-Key: {key}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    answer = http.raw(request)
    if key == "":  # an empty header is as good as none, or refused; never stored
        assert answer.status in (201, 400, 422)
        assert stack.sql_number("SELECT COUNT(*) FROM idempotency_keys WHERE idem_key = ''") == 0
    else:
        assert answer.status in (400, 422), answer


# -- GET


def test_get_has_an_etag_and_304(http, task):
    answer = http.get(f"/tasks/{task['id']}")
    assert answer.header("ETag") == '"1"'
    again = http.get(f"/tasks/{task['id']}", headers={"If-None-Match": '"1"'})
    assert again.status == 304 and again.body == b""
    assert http.get(f"/tasks/{task['id']}", headers={"If-None-Match": '"7", "1"'}).status == 304
    assert http.get(f"/tasks/{task['id']}", headers={"If-None-Match": '"2"'}).status == 200


def test_head_is_get_without_a_body(http, task):
    answer = http.call("HEAD", f"/tasks/{task['id']}")
    if answer.status == 405:
        assert "GET" in answer.header("Allow")
    else:
        assert answer.status == 200 and answer.body == b"" and answer.header("ETag") == '"1"'


def test_list_pages_by_key(stack, http, user):
    ids = stack.new_tasks([user] * 23)
    pages = all_pages(http, f"/tasks?user_id={user}&limit=5")
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [task["id"] for page in pages for task in page] == sorted(ids)


def test_list_newest_first(stack, http, user):
    ids = stack.new_tasks([user] * 7)
    pages = all_pages(http, f"/tasks?user_id={user}&order=id.desc&limit=3")
    assert [[task["id"] for task in page] for page in pages] == [ids[:3:-1], ids[3:0:-1], ids[:1]]
    assert [task["id"] for task in http.get("/tasks?order=id.desc&limit=2").json()] == ids[:-3:-1]
    assert [task["id"] for task in http.get(f"/tasks?user_id={user}&order=id.asc").json()] == ids


def test_list_searched(stack, http, user):
    stack.sql(
        f"INSERT INTO tasks (user_id, content, status, completed_at) VALUES ({user}, 'Acheter du PAIN', 0, NULL),"
        f" ({user}, 'Rappeler l\\'élève', 0, NULL), ({user}, '100 % de _pain_', 1, NOW(3)), ({user}, 'Rien', 0, NULL)"
    )

    def found(query):
        answer = http.get(f"/tasks?user_id={user}&{query}", headers={"Prefer": "count=exact"})
        assert answer.header("X-Total-Count") == str(len(answer.json()))
        return [task["content"] for task in answer.json()]

    assert found("q=pain") == ["Acheter du PAIN", "100 % de _pain_"]
    assert found("q=pain&order=id.desc") == ["100 % de _pain_", "Acheter du PAIN"]
    assert found("q=pain&status=1") == found("q=%25") == found("q=_pain_") == ["100 % de _pain_"]
    assert found("q=ELEVE") == found("q=l%27%C3%A9l") == ["Rappeler l'élève"]
    assert found("q=" + urllib.parse.quote("' OR ''='")) == []
    assert len(found("status=0")) == 3


def test_list_counted(stack, http, user):
    stack.new_tasks([user] * 5)
    for query, total in (("", "5"), ("&status=0", "5"), ("&status=1", "0"), ("&order=id.desc", "5")):
        answer = http.get(f"/tasks?limit=2&user_id={user}{query}", headers={"Prefer": "count=exact"})
        assert answer.header("X-Total-Count") == total and answer.header("Preference-Applied") == "count=exact"
        assert len(answer.json()) == min(2, int(total)) and answer.header("Event-Cursor")
    everyone = http.get("/tasks?limit=1", headers={"Prefer": "count=exact"})
    assert int(everyone.header("X-Total-Count")) == stack.sql_number("SELECT COUNT(*) FROM tasks")
    assert http.get(f"/tasks?user_id={user}").header("X-Total-Count") is None


def test_list_has_an_etag_and_304(stack, http, task):
    path = f"/tasks?user_id={task['user_id']}"
    known = {"If-None-Match": http.get(path).header("ETag")}
    again = http.get(path, headers=known)
    assert again.status == 304 and again.body == b"" and again.header("Event-Cursor")
    assert http.patch(f"/tasks/{task['id']}", {"content": "y"}).status == 200
    assert http.get(path, headers=known).status == 200
    known = {"If-None-Match": http.get(path).header("ETag")}
    stack.sql(f"UPDATE tasks SET content = 'past the API' WHERE id = {task['id']}")
    assert http.get(path, headers=known).status == 200


def test_list_full_last_page(stack, http, user):
    ids = stack.new_tasks([user] * 10)
    pages = all_pages(http, f"/tasks?user_id={user}&limit=5")
    assert [task["id"] for page in pages for task in page] == sorted(ids)
    assert len(pages) in (2, 3)  # a next link to an empty page is allowed, a lost task is not


def test_list_stays_whole_while_rows_come_and_go(stack, http, user):
    ids = stack.new_tasks([user] * 10)
    first = http.get(f"/tasks?user_id={user}&limit=4")
    assert http.delete(f"/tasks/{ids[1]}").status == 204
    rest = all_pages(http, next_page(first))
    seen = [task["id"] for task in first.json()] + [task["id"] for page in rest for task in page]
    assert seen == ids


def test_list_filters(stack, http, user):
    open_ids = stack.new_tasks([user] * 3)
    http.patch(f"/tasks/{open_ids[1]}", {"status": 1})
    assert [t["id"] for t in http.get(f"/tasks?user_id={user}&status=1").json()] == [open_ids[1]]
    assert [t["id"] for t in http.get(f"/tasks?user_id={user}&status=0").json()] == [open_ids[0], open_ids[2]]
    assert [t["id"] for t in http.get(f"/tasks?user_id={user}&after={open_ids[1]}").json()] == [open_ids[2]]


def test_filters_survive_paging(stack, http, user):
    other = stack.new_users(1)[0]
    mine = stack.new_tasks([user, other] * 6)[::2]
    seen = [task for page in all_pages(http, f"/tasks?user_id={user}&status=0&limit=2") for task in page]
    assert [task["id"] for task in seen] == mine


def test_list_without_filters_and_default_limit(stack, http, user):
    stack.new_tasks([user] * 60)
    assert len(http.get("/tasks").json()) == 50
    assert len(http.get(f"/tasks?user_id={user}").json()) == 50
    assert len(http.get(f"/tasks?user_id={user}&limit=200").json()) == 60


def test_list_is_one_form_of_task(http, task):
    [listed] = http.get(f"/tasks?user_id={task['user_id']}").json()
    assert listed == task


def test_list_of_an_unknown_user(stack, http):
    answer = http.get("/tasks?user_id=2147483647")
    assert answer.status == 200 and answer.json() == []
    assert answer.header("Event-Cursor").split(":")[:2] == [stack.epoch(), "0"]


def test_event_cursor_of_a_list(stack, http, task):
    for status in (1, 0, 1):
        http.patch(f"/tasks/{task['id']}", {"status": status})
    cursor = http.get(f"/tasks?user_id={task['user_id']}").header("Event-Cursor")
    epoch, seq, time = cursor.split(":")
    assert (epoch, seq) == (stack.epoch(), "4") and int(time) > 1_600_000_000


def test_no_event_cursor_without_a_user(http):
    assert http.get("/tasks").header("Event-Cursor") is None


# -- PATCH


def test_patch_status(http, task):
    answer = http.patch(f"/tasks/{task['id']}", {"status": 1})
    done = answer.json()
    assert answer.status == 200 and done["status"] == 1
    assert re.fullmatch(TIME, done["completedAt"])
    assert answer.header("ETag") == '"2"'
    again = http.patch(f"/tasks/{task['id']}", {"status": 0}).json()
    assert again["status"] == 0 and again["completedAt"] is None
    assert again["createdAt"] == task["createdAt"]


def test_patch_content(http, task):
    answer = http.patch(f"/tasks/{task['id']}", {"content": "Acheter du lait"})
    assert answer.status == 200 and answer.json()["content"] == "Acheter du lait"
    assert answer.json()["status"] == 0


@pytest.mark.parametrize(
    "body, kinds",
    [
        ({"status": 1}, ["task.completed"]),
        ({"status": 0}, ["task.reopened"]),
        ({"content": "y"}, ["task.updated"]),
        ({"status": 1, "content": "y"}, ["task.completed"]),
        ({"status": 0, "content": "y"}, ["task.reopened"]),
    ],
)
def test_patch_emits_one_event(stack, http, task, body, kinds):
    assert http.patch(f"/tasks/{task['id']}", body).status == 200
    assert [kind for _, kind, _ in stack.journal(task["user_id"])] == ["task.created", *kinds]


def test_every_status_patch_emits(stack, http, task):
    for _ in range(4):
        assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
    assert [kind for _, kind, _ in stack.journal(task["user_id"])] == ["task.created"] + ["task.completed"] * 4


def test_if_match(http, task):
    path = f"/tasks/{task['id']}"
    assert http.patch(path, {"status": 1}, headers={"If-Match": '"1"'}).status == 200
    stale = http.patch(path, {"status": 0}, headers={"If-Match": '"1"'})
    assert_problem(stale, 412, "stale")
    assert http.get(path).json()["status"] == 1
    assert http.patch(path, {"status": 0}, headers={"If-Match": "*"}).status == 200
    assert http.patch(path, {"status": 1}, headers={"If-Match": '"9", "3"'}).status == 200
    assert http.patch(path, {"status": 1}, headers={"If-Match": 'W/"4"'}).status == 412


def test_if_match_on_delete(http, task):
    path = f"/tasks/{task['id']}"
    assert http.delete(path, headers={"If-Match": '"5"'}).status == 412
    assert http.delete(path, headers={"If-Match": '"1"'}).status == 204


def test_a_change_only_while_there_is_none(stack, http, task):
    """If-None-Match: * on a change asks for a task that does not exist (RFC 9110, 13.1.2)."""
    path = f"/tasks/{task['id']}"
    for headers in ({"If-None-Match": "*"}, {"If-None-Match": '"1"'}, {"If-Match": '"1"', "If-None-Match": '"1"'}):
        assert_problem(http.patch(path, {"status": 1}, headers=headers), 412, "stale")
        assert_problem(http.delete(path, headers=headers), 412, "stale")
    assert http.get(path, headers={"If-Match": '"2"'}).status == 412
    assert http.get(path).json() == task and len(stack.journal(task["user_id"])) == 1


def test_a_task_is_sent_back_as_it_was_read(http, task):
    path = f"/tasks/{task['id']}"
    done = http.patch(path, {**task, "status": 1})
    assert done.status == 200 and done.json()["status"] == 1
    again = http.patch(path, {**done.json(), "content": "Acheter du lait"})
    assert again.status == 200
    refused = http.patch(path, {**again.json(), "user_id": 2147483000, "createdAt": "2001-01-01T00:00:00Z"})
    problem = assert_problem(refused, 422, "validation")
    assert [error["field"] for error in problem["errors"]] == ["user_id", "createdAt"]


def test_of_many_conditional_patches_one_wins(stack, http, task):
    def patch(n):
        return once_free(lambda: http.patch(f"/tasks/{task['id']}", {"content": f"by {n}"}, headers={"If-Match": '"1"'})).status

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(patch, range(12)))
    assert statuses == [200] + [412] * 11
    assert len(stack.journal(task["user_id"])) == 2


def test_curl_as_typed(stack, http, task):
    """--data alone makes curl say it is a form; the body is JSON all the same."""
    answer = http.patch(
        f"/tasks/{task['id']}", '{"status":1}', headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 200


# -- DELETE


def test_delete(stack, http, task, stream):
    answer = http.delete(f"/tasks/{task['id']}")
    assert answer.status == 204 and answer.body == b""
    assert_problem(http.get(f"/tasks/{task['id']}"), 404, "not-found")
    assert_problem(http.delete(f"/tasks/{task['id']}"), 404, "not-found")
    assert_problem(http.patch(f"/tasks/{task['id']}", {"status": 1}), 404, "not-found")
    message = stream.wait_for(task["user_id"], 2)
    assert message.type == "task.deleted"
    assert json.loads(message.body)["task"]["id"] == task["id"]


# -- what every answer has


def test_content_is_kept_byte_for_byte(http, user):
    for content in (
        "'; DROP TABLE tasks; --",
        '" OR 1=1 #',
        "\\'; DELETE FROM users WHERE '1'='1",
        "%s %n {} ${HOME} <script>alert(1)</script>",
        "  spaces kept \t ",
        "line\nfeed\r\n",
        "é ü 漢字 🥖🥐 \u200d e\u0301",
        "\x01\x1f\x7f quoted \" and \\ back",
        "a" * 1000,
        "🥖" * 1000,
    ):
        made = http.post("/tasks", {"user_id": user, "content": content})
        assert made.status == 201, (content, made)
        assert made.json()["content"] == content
        assert http.get(f"/tasks/{made.json()['id']}").json()["content"] == content


def test_injection_in_path_and_query_is_refused(stack, http):
    count = stack.sql_number("SELECT COUNT(*) FROM users")
    for text in ("1'--", "1 OR 1=1", "1;DROP TABLE users", "1/**/UNION/**/SELECT/**/1"):
        quoted = urllib.parse.quote(text)
        assert http.get(f"/tasks/{quoted}").status in (404, 422)
        assert http.get(f"/tasks?user_id={quoted}").status == 422
        assert http.get(f"/users/{quoted}").status in (404, 422)
    assert stack.sql_number("SELECT COUNT(*) FROM users") == count


def test_request_id_goes_everywhere(stack, http, task, stream):
    name = f"test-{task['id']}.abc"
    marks = stack.log_marks()
    answer = http.patch(f"/tasks/{task['id']}", {"status": 1}, headers={"X-Request-Id": name})
    assert answer.header("X-Request-Id") == name
    message = stream.wait_for(task["user_id"], 2)
    assert message.correlation_id == name
    eventually(lambda: name in stack.logs_since(marks, "fcgi-api"), 30, "the request id is in the API's log")


def test_request_id_is_made_when_missing_or_odd(http, task):
    made = http.get(f"/tasks/{task['id']}").header("X-Request-Id")
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", made)
    for odd in ("a b", "x" * 65, "<script>", "a;b"):
        answer = http.get(f"/tasks/{task['id']}", headers={"X-Request-Id": odd}).header("X-Request-Id")
        assert answer != odd and re.fullmatch(r"[A-Za-z0-9._-]{8,64}", answer)


def test_problem_carries_the_request_id(http):
    answer = http.get("/tasks/999999999", headers={"X-Request-Id": "who-asked"})
    problem = assert_problem(answer, 404, "not-found")
    assert problem["request_id"] == "who-asked" and problem["instance"] == "/tasks/999999999"


def test_traceparent_is_carried(stack, http, task, ws, stream):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    user = task["user_id"]
    ws.subscribe(user)
    marks = stack.log_marks()
    http.patch(f"/tasks/{task['id']}", {"status": 1}, headers={"traceparent": parent})
    message = stream.wait_for(user, 2)
    assert message.headers["traceparent"] == parent
    frame = ws.recv_until(lambda frame: frame.get("event") == "task.completed")
    assert list(frame)[-1] == "traceparent" and frame["traceparent"] == parent
    assert json.loads(message.body) == frame == http.get(f"/users/{user}/events").json()[-1]
    assert "span_id" not in stack.logs_since(marks, "fcgi-api")  # TRACES=off


def test_bad_traceparent_is_dropped(http, task, stream):
    assert http.patch(f"/tasks/{task['id']}", {"status": 1}, headers={"traceparent": "nonsense"}).status == 200
    message = stream.wait_for(task["user_id"], 2)
    assert "traceparent" not in message.headers and b"traceparent" not in message.body


def test_health(stack, http):
    assert http.get("/healthz").status == 200

    def ready():
        """Once the events of the tests before have left, too."""
        answer = http.get("/readyz")
        assert answer.status == 200 and answer.json() == {"status": "ok", "database": "up", "broker": "up", "events": "leave"}, answer
        return True

    eventually(ready, 60)
    assert http.get("/notifier/healthz").status == 200
    assert http.get("/notifier/readyz").status == 200
