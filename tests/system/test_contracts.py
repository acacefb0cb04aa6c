# SPDX-License-Identifier: MIT
"""openapi.yaml and asyncapi.yaml describe the service as it is. Each answer that a test of this folder gets through
the fixtures
`http` and `sockets` is judged by them (lib/contract.py); here all that they name is made to happen."""

import os
import subprocess

import pytest

from lib import contract
from lib.npm import installed
from lib.stack import ROOT

# Shapes that all calls share and that need an outage or a crowd: test_problems.py and test_origins.py look at each.
OUTAGES = ["BadGateway", "Internal", "TooManyRequests", "Uncertain", "Unavailable", ("isNotifierReady", "503"), ("isReady", "503")]


def test_they_are_served(http):
    for name in ("openapi.yaml", "asyncapi.yaml"):
        answer = http.get(f"/{name}")
        assert answer.status == 200 and answer.body == (contract.CLIENT / name).read_bytes()
        assert answer.header("Content-Type") == "application/yaml"


def test_they_follow_their_standards():
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(node.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"the linter needs Node.js 20 or later, this is {node.strip()}")
    linter = installed("contracts", ROOT / "tests/contracts", "the linter of OpenAPI and AsyncAPI") / "@redocly/cli/bin/cli.js"
    documents = [contract.CLIENT / name for name in ("openapi.yaml", "asyncapi.yaml")]
    done = subprocess.run(
        ["node", linter, "lint", "--format=json", *documents],
        capture_output=True, text=True, timeout=600, env={**os.environ, "REDOCLY_TELEMETRY": "off"},
    )  # fmt: skip
    assert done.returncode == 0 and '"warnings": 0' in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("spoil", [
    lambda root: root["paths"]["/tasks/{id}"]["get"]["responses"].pop("404"),
    lambda root: root["components"]["schemas"]["Problem"]["properties"].pop("detail"),
], ids=["status", "member"])  # fmt: skip
def test_what_the_document_lacks_is_noticed(stack, spoil):
    calls = contract.Calls()
    spoil(calls.root)
    with pytest.raises(AssertionError, match="openapi.yaml"):
        stack.client(judge=calls.judge).get("/tasks/4000000000")


def test_each_answer_of_each_call_happens(stack, guarded_stack, user):
    calls = contract.Calls()
    http, guarded = stack.client(judge=calls.judge), guarded_stack.client(judge=calls.judge)
    key = {"Idempotency-Key": "contract"}

    made = http.post("/tasks", {"user_id": user, "content": "Sonner"}, headers=key)
    assert http.post("/tasks", {"user_id": user, "content": "Sonner"}, headers=key).header("Idempotency-Replayed") == "true"
    address = made.header("Location")
    for method, path, data, headers, status in [
        ("GET", f"/tasks?user_id={user}&limit=1&q=son&status=0&order=id.desc", None, {"Prefer": "count=exact"}, 200),
        ("GET", "/tasks?limit=1", None, {}, 200),
        ("GET", address, None, {}, 200),
        ("PATCH", address, {"status": 1, "content": "Fort"}, {}, 200),
        ("GET", f"/users/{user}", None, {}, 200),
        ("GET", "/users?limit=1", None, {}, 200),
        ("POST", "/users", {"name": "Alice", "external_id": f"contract-{user}"}, {}, 201),
        ("POST", "/users", {"name": "Alice", "external_id": f"contract-{user}"}, {}, 409),
        ("PATCH", f"/users/{user}", {"name": "Bob"}, {}, 200),
        ("POST", f"/users/{user}/events", {"event": "invoice.paid", "data": {"invoice": 7}}, {}, 201),
        ("GET", f"/users/{user}/events", None, {}, 200),
        ("DELETE", f"/users/{user}/sessions", None, {}, 204),
        ("GET", address, None, {"If-None-Match": "*"}, 304),
        ("GET", f"/tasks?user_id={user}", None, {"If-None-Match": "*", "Prefer": "count=exact"}, 304),
        ("PATCH", address, "{", {}, 400),
        ("GET", "/tasks/4000000000", None, {}, 404),
        ("GET", f"/users/{user}/events?since=other:1", None, {}, 410),
        ("PATCH", address, {"status": 1}, {"If-Match": '"1"'}, 412),
        ("POST", "/tasks", "x" * 200_000, {}, 413),
        ("GET", f"/tasks?{'x' * 9000}", None, {}, 414),
        ("POST", "/tasks", "x", {"Content-Type": "text/csv"}, 415),
        ("POST", "/tasks", {}, {}, 422),
        ("GET", "/tasks", None, {"X": "y" * 9000}, 431),
        ("DELETE", address, None, {}, 204),
        ("GET", "/healthz", None, {}, 200),
        ("GET", "/readyz", None, {}, 200),
        ("GET", "/notifier/healthz", None, {}, 200),
        ("GET", "/notifier/readyz", None, {}, 200),
        ("GET", "/metrics", None, {}, 200),
        ("GET", "/notifier/metrics", None, {}, 200),
        ("GET", "/admin/metrics", None, {}, 200),
        ("GET", "/admin/notifiers/1/metrics", None, {}, 200),
        ("GET", "/admin/notifiers/2/metrics", None, {}, 404),
    ]:  # fmt: skip
        assert http.call(method, path, data, headers=headers).status == status, (method, path, status)
    assert guarded.get("/tasks").status == 401
    token = {"Authorization": f"Bearer {guarded_stack.issuer.token(1)}"}
    assert guarded.get("/tasks?user_id=2", headers=token).status == 403
    met_by_reading = ("streamEvents", "200")  # it does not end: test_event_source.py
    assert [answer for answer in calls.unmet() if answer != met_by_reading] == sorted(OUTAGES, key=str)


def test_each_frame_happens(small_stack):
    """Except `reset`: test_restored.py."""
    frames = contract.Frames()
    [user] = small_stack.new_users(1)
    stream = small_stack.stream()
    socket = small_stack.socket(judge=frames.judge)
    socket.subscribe(user)
    for message in ({"type": "unsubscribe", "user_id": user}, {"type": "ping"}, "{"):
        socket.send(message)
        socket.recv()
    assert not socket.subscribe(user, since="other:1")["recovered"]
    assert socket.subscribe(user, since=None)["recovered"]
    assert small_stack.client().post("/tasks", {"user_id": user, "content": "Sonner"}).status == 201
    socket.notification()
    socket.recv_until(lambda frame: frame["type"] == "heartbeat")
    event = stream.wait_for(user, 1)
    frames.judge_event(event.headers, event.body)
    stream.close()
    assert frames.unmet() == ["reset"]
