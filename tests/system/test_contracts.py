# SPDX-License-Identifier: MIT
"""openapi.yaml and asyncapi.yaml describe the service as it is. Each call that a test of this folder makes through the
fixture `http`, each frame that comes to `sockets`, and all that browsers, Bruno and the clients of tests/clients say to a stack
(lib/tap.py) is judged by them (lib/contract.py); here all that they name is made to happen."""

import json
import os
import signal
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib import contract
from lib.npm import installed
from lib.stack import ROOT, Stack
from lib.tap import tapped
from lib.wait import eventually

TRACED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "X-Request-Id": "contract"}


@pytest.fixture(scope="module")
def own():
    """A stack whose parts can be taken away: one worker, and a notifier that takes one connection."""
    stack = Stack.start(API_WORKERS=1, WS_HEARTBEAT_S=1, WS_MAX_ADDRESS_CLIENTS=1, DB_TIMEOUT_MS=8000, ADMINER_PORT="off")
    yield stack
    stack.stop()


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


# ---- each way in which a document can lack something ---------------------------------------------


@pytest.mark.parametrize("method, path, data, spoil", [
    ("GET", "/tasks/4000000000", None, lambda root: root["paths"]["/tasks/{id}"]["get"]["responses"].pop("404")),
    ("GET", "/tasks/4000000000", None, lambda root: root["components"]["schemas"]["Problem"]["properties"].pop("detail")),
    ("GET", "/tasks?user_id=1", None, lambda root: root["paths"]["/tasks"]["get"]["responses"]["200"]["headers"].pop("Event-Cursor")),
    ("GET", "/tasks?user_id=1&status=1", None, lambda root: root["paths"]["/tasks"]["get"]["parameters"].pop(1)),
    ("PATCH", "/tasks/{task}", {"content": "Sonner"}, lambda root: root["components"]["schemas"]["TaskPatch"]["properties"].pop("content")),
], ids=["status", "member", "header", "parameter", "member of a request"])  # fmt: skip
def test_what_the_document_lacks_is_noticed(stack, task, method, path, data, spoil):
    calls, path = contract.Calls(), path.format(task=task["id"])
    stack.client(judge=calls.judge).call(method, path, data)
    spoil(calls.root)
    with pytest.raises(AssertionError, match="openapi.yaml"):
        stack.client(judge=calls.judge).call(method, path, data)


def test_what_other_clients_hear_is_judged(stack, task, monkeypatch):
    """One that keeps its connection, one with a WebSocket, and one with a stream."""
    calls, frames = contract.Calls(), contract.Frames()
    monkeypatch.setattr(contract, "calls", lambda: calls)
    monkeypatch.setattr(contract, "frames", lambda: frames)

    def use(tap):
        kept, socket = stack.client(keep=True), stack.socket()
        for path in (f"/tasks/{task['id']}", "/users/1", "/tasks/4000000000"):
            kept.get(path, headers={"Accept-Encoding": "gzip"})
        kept.patch(f"/tasks/{task['id']}", {"status": 1})
        for message in ({"type": "ping"}, {"type": "subscribe", "user_id": task["user_id"], "since": None}):
            socket.send(message)
            socket.recv()
        with kept.connect() as stream:
            stream.sendall(f"GET /events?user_id={task['user_id']}&since={stack.epoch()}:0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            said = stream.makefile("rb")
            while b'"task.completed"' not in said.readline():
                pass
            while said.readline().strip():
                pass
        socket.close()
        return tap.complaints()

    with tapped(stack) as tap:
        assert use(tap) == []
        assert {"getTask 200", "getUser 200", "NotFound", "updateTask 200", "streamEvents 200", "TaskPatch.status"} <= calls.met
        assert {"ping", "pong", "subscribe", "subscribed", "notification"} <= frames.met
        calls.root["components"]["schemas"]["User"]["properties"].pop("name")
        frames.payloads.pop("ping")
        frames.payloads.pop("notification")
        found = use(tap)
    of_events = [text for text in found if "knows no {'type': 'notification'" in text]
    of_the_rest = sorted(set(found) - set(of_events))
    assert of_events and len(of_the_rest) == 2, found
    assert "knows no {'type': 'ping'}" in of_the_rest[0]
    assert "GET /users/{id} 200" in of_the_rest[1] and "'name' was unexpected" in of_the_rest[1]


# ---- all that they name --------------------------------------------------------------------------


def test_each_answer_of_each_call_happens(own, guarded_stack):
    calls = contract.Calls()
    http, [user] = own.client(judge=calls.judge), own.new_users(1)
    what_succeeds(own, http, user)
    what_is_refused(http, user)
    guarded = guarded_stack.client(judge=calls.judge)
    token = {"Authorization": f"Bearer {guarded_stack.issuer.token(1)}"}
    assert guarded.get("/tasks").status == 401
    assert guarded.get("/tasks?user_id=2", headers=token).status == 403
    what_two_nodes_answer(own, http)
    what_outages_answer(own, http)
    assert calls.unmet() == []


def what_succeeds(own, http, user):
    def twice(status, method, path, data=None):
        headers = {"Idempotency-Key": uuid.uuid4().hex, **TRACED}
        answers = [http.call(method, path, data, headers=headers) for _ in range(2)]
        assert [answer.status for answer in answers] == [status, status], answers
        assert [answer.header("Idempotency-Replayed") for answer in answers] == [None, "true"]
        return answers[0].json() if answers[0].body else None

    task = twice(201, "POST", "/tasks", {"user_id": user, "content": "Sonner"})
    assert http.post("/tasks", {"user_id": user, "content": "Sonner encore"}).status == 201
    twice(200, "PATCH", f"/tasks/{task['id']}", task)
    other = twice(201, "POST", "/users", {"name": "Alice", "external_id": f"contract-{user}"})
    twice(200, "PATCH", f"/users/{other['id']}", other)
    twice(201, "POST", f"/users/{user}/events", {"event": "invoice.paid", "message": "Paid", "data": {"invoice": 7}})
    twice(204, "DELETE", f"/users/{user}/sessions")
    page, known = f"/tasks?user_id={user}&limit=1", {"If-None-Match": "*"}
    for path, headers, status in [
        (f"{page}&q=son&status=0&order=id.desc", {"Prefer": "count=exact"}, 200),
        (f"{page}&after={task['id']}", {"If-Match": "*"}, 200),
        (page, {"Prefer": "count=exact", **known}, 304),
        (f"/tasks/{task['id']}", {}, 200),
        (f"/tasks/{task['id']}", known, 304),
        (f"/users/{user}", {}, 200),
        ("/users?limit=1", {}, 200),
        (f"/users?external_id=contract-{user}", {}, 200),
        (f"/users/{user}/events?limit=1", {}, 200),
        (f"/users/{user}/events?since={own.epoch()}:1", {}, 200),
        ("/healthz", {}, 200),
        ("/readyz", {}, 200),
        ("/notifier/healthz", {}, 200),
        ("/notifier/readyz", {}, 200),
        ("/metrics", {}, 200),
        ("/notifier/metrics", {}, 200),
        ("/admin/metrics", {}, 200),
        ("/admin/notifiers/1/metrics", {}, 200),
    ]:
        assert http.get(path, headers=headers).status == status, (path, status)
    twice(204, "DELETE", f"/tasks/{task['id']}")


def what_is_refused(http, user):
    for method, path, data, headers, status in [
        ("PATCH", "/tasks/1", "{", {}, 400),
        ("GET", "/tasks/4000000000", None, {}, 404),
        ("GET", "/admin/notifiers/2/metrics", None, {}, 404),
        ("POST", "/users", {"name": "Alice", "external_id": f"contract-{user}"}, {}, 409),
        ("GET", f"/users/{user}/events?since=other:1", None, {}, 410),
        ("PATCH", "/tasks/1", {"status": 1}, {"If-Match": '"0"'}, 412),
        ("POST", "/tasks", "x" * 200_000, {}, 413),
        ("GET", f"/tasks?{'x' * 9000}", None, {}, 414),
        ("POST", "/tasks", "x", {"Content-Type": "text/csv"}, 415),
        ("PATCH", "/tasks/1", "x", {"Content-Type": "text/csv"}, 415),
        ("POST", "/tasks", "x", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/tasks", {}, {}, 422),
        ("GET", "/tasks", None, {"X": "y" * 9000}, 431),
    ]:
        assert http.call(method, path, data, headers=headers).status == status, (method, path, status)


def what_two_nodes_answer(own, http):
    own.sql("CALL node_register('other')")
    eventually(lambda: "behind_s" in http.get("/notifier/readyz").json(), 60, "the notifier is told how complete its stream is")
    own.sql("CALL node_forget('other')")
    eventually(lambda: "behind_s" not in http.get("/notifier/readyz").json(), 60, "and that it is the only one again")


def what_outages_answer(own, http):
    only = own.socket()
    assert http.get("/events?user_id=1").status == 429, "the notifier takes one connection of an address"
    only.close()
    own.sql("CREATE TRIGGER refuses BEFORE INSERT ON users FOR EACH ROW SIGNAL SQLSTATE '45000'")
    assert http.post("/users", {"name": "Eve"}).status == 500
    own.sql("DROP TRIGGER refuses")
    own.sql("RENAME TABLE schema_migrations TO x")
    assert http.get("/readyz").status == 503
    own.sql("RENAME TABLE x TO schema_migrations")
    own.s6("-wD", "-T", "60000", "-d", "ws-notifier")
    assert http.get("/notifier/healthz").status == http.get("/notifier/readyz").status == 503
    cursor = f"{own.epoch()}:0"
    streamed = {"Accept": "text/event-stream", "Last-Event-ID": cursor}
    assert http.get(f"/events?user_id=1&since={cursor}&lastEventId={cursor}", headers=streamed).status == 200, "it ends at once"
    own.s6("-u", "ws-notifier")
    eventually(lambda: http.get("/notifier/readyz").status == 200, 60, "the notifier is back")
    [worker] = own.workers()
    worker.kill(signal.SIGSTOP)
    assert http.get("/tasks/1").status == 504
    worker.kill(signal.SIGCONT)
    database = own.database()
    database.kill(signal.SIGSTOP)
    try:
        eventually(lambda: kill_at_work(own, http) == 502, 60, "a worker is killed while it works")
    finally:
        database.kill(signal.SIGCONT)
    own.ready()


def kill_at_work(own, http):
    """The status of a request whose worker was killed. A worker at work holds its connection."""
    [worker] = own.workers()
    idle = worker.descriptors()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(http.get, "/tasks/1")
        eventually(lambda: worker.descriptors() > idle or answer.done(), 20, "it is at work")
        worker.kill()
        return answer.result().status


def test_each_frame_happens(own, guarded_stack):
    frames = contract.Frames()
    [user], stream = own.new_users(1), own.stream()
    http = own.client()
    socket = own.socket(judge=frames.judge)

    def say(to, **message):
        to.send(message)
        answer = to.recv_until(lambda frame: frame["type"] not in ("heartbeat", "notification"))
        frames.judge_sent(json.dumps(message))
        return answer

    say(socket, type="subscribe", user_id=user)
    say(socket, type="unsubscribe", user_id=user)
    say(socket, type="ping")
    socket.send("{")
    assert socket.recv()["type"] == "error"
    assert not say(socket, type="subscribe", user_id=user, since="other:1")["recovered"]
    assert http.post("/tasks", {"user_id": user, "content": "Sonner"}, headers=TRACED).status == 201
    emitted = {"event": "invoice.paid", "message": "Paid", "data": {"invoice": 7}}
    assert http.post(f"/users/{user}/events", emitted, headers=TRACED).status == 201
    for seq in (1, 2):
        event = stream.wait_for(user, seq)
        frames.judge_event(event.headers, event.body)
    stream.close()
    assert say(socket, type="subscribe", user_id=user, since=f"{own.epoch()}:0")["replayed"] == 2
    foreign = own.publisher()
    foreign.publish(json.dumps({"message": "past the API", "task": {"user_id": user}}).encode())
    foreign.close()
    socket.recv_until(lambda frame: frame.get("message") == "past the API")
    socket.recv_until(lambda frame: frame["type"] == "heartbeat")
    own.sql("UPDATE epoch SET value = 'restored'")
    assert http.post("/tasks", {"user_id": user, "content": "Sonner encore"}).status == 201
    socket.recv_until(lambda frame: frame["type"] == "reset")
    socket.close()
    with_token = guarded_stack.socket(judge=frames.judge)
    say(with_token, type="subscribe", user_id=1, token=guarded_stack.issuer.token(1))
    with_token.close()
    assert frames.unmet() == []
