# SPDX-License-Identifier: MIT
"""Random HTTP: bodies, queries, paths and headers made by Hypothesis. Never a 5xx, and accepted values come back
unchanged."""

import json
import re
import urllib.parse

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False, database=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
fields = st.dictionaries(st.sampled_from(["status", "content", "user_id", "id", "x"]), json_values, max_size=4)
bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    fields.map(lambda value: json.dumps(value).encode()),
    fields.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


@pytest.fixture(scope="module")
def playground(stack):
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    return stack.client(keep=True), user, task


@FUZZ
@given(body=bodies)
def test_any_patch_body(playground, body):
    client, _, task = playground
    answer = client.patch(f"/tasks/{task}", body)
    assert answer.status in (200, 400, 422), (body, answer)
    json.loads(answer.body)


@FUZZ
@given(body=bodies)
def test_any_post_body(playground, body):
    client, _, _ = playground
    answer = client.post("/tasks", body)
    assert answer.status in (201, 400, 422), (body, answer)
    json.loads(answer.body)


@FUZZ
@given(content=st.text(min_size=1, max_size=40))
def test_any_content_comes_back_unchanged(playground, content):
    client, user, _ = playground
    answer = client.post("/tasks", json.dumps({"user_id": user, "content": content}))
    if answer.status == 201:
        assert answer.json()["content"] == content
        assert client.get(f"/tasks/{answer.json()['id']}").json()["content"] == content
    else:
        assert answer.status in (400, 422), (content, answer)
        assert not re.search(r"[A-Za-z0-9]", content) or "\0" in content, (content, answer)


@FUZZ
@given(
    keys=st.lists(
        st.tuples(
            st.sampled_from(["user_id", "status", "limit", "after", "x", ""]) | st.text(max_size=6),
            st.integers().map(str) | st.text(max_size=12) | st.sampled_from(["1", "0", "50"]),
        ),
        max_size=4,
    )
)
def test_any_query(playground, keys):
    client, _, _ = playground
    query = urllib.parse.urlencode(keys, errors="replace")
    answer = client.get(f"/tasks?{query}")
    assert answer.status in (200, 422), (query, answer)
    json.loads(answer.body)


@FUZZ
@given(query=st.text(alphabet=[chr(c) for c in range(33, 127) if chr(c) != "#"], max_size=60))
def test_any_raw_query(playground, query):
    client, user, _ = playground
    for path in (f"/tasks?{query}", f"/users/{user}/events?{query}"):
        answer = client.get(path)
        assert answer.status in (200, 400, 410, 422), (path, answer)


@FUZZ
@given(path=st.text(alphabet=[chr(c) for c in range(33, 127) if chr(c) not in "#?"], max_size=40))
def test_any_path(playground, path):
    client, _, _ = playground
    answer = client.get(f"/tasks/{path}")
    assert answer.status < 500, (path, answer)


@FUZZ
@given(
    name=st.sampled_from(
        ["If-Match", "If-None-Match", "Idempotency-Key", "X-Request-Id", "traceparent", "Content-Type", "Accept", "X-Forwarded-For"]
    ),
    value=st.text(alphabet=[chr(c) for c in range(32, 127)], max_size=80),
)
def test_any_header(playground, name, value):
    client, _, task = playground
    answer = client.patch(f"/tasks/{task}", {"status": 1}, headers={name: value})
    assert answer.status in (200, 400, 412, 415, 422), (name, value, answer)


def test_nothing_of_all_this_left_an_event_behind(stack):
    stack.outbox_empty()
