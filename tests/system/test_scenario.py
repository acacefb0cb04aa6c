# SPDX-License-Identifier: MIT
"""The original's scenario, word for word: subscribe, PATCH, notification; and the three lines in the log."""

import json
import re
import subprocess

import pytest

from lib.http import Http
from lib.wait import eventually

SUBSCRIBE = '{"type":"subscribe","user_id":1}'
JS_DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d\d \d{4} \d\d:\d\d:\d\d GMT\+0000 \(Coordinated Universal Time\)"


def curl(*arguments):
    done = subprocess.run(["curl", "--silent", "--show-error", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_subscribe_then_curl_then_notification(stack, ws):
    ws.send(SUBSCRIBE)
    assert ws.recv_text() == SUBSCRIBE

    answer = json.loads(curl("--request", "PATCH", "--url", f"{stack.http}/tasks/1", "--data", '{"status":1}'))
    assert answer["id"] == 1 and answer["status"] == 1 and answer["user_id"] == 1

    frame = ws.recv_until(lambda frame: frame.get("task") == answer)  # other tests change this task, too
    assert frame["event"] == "task.completed"
    assert re.fullmatch(rf"task 1 has been completed at {JS_DATE}", frame["message"]), frame["message"]
    assert frame["task"] == answer
    assert list(frame) == ["type", "event", "cursor", "message", "task"]
    assert list(answer) == ["id", "user_id", "status", "content", "createdAt", "completedAt"]


def test_demo_has_the_original_task(http):
    task = http.get("/tasks/1").json()
    assert task["user_id"] == 1 and task["content"] == "Acheter du pain"


def test_it_can_be_repeated(stack, ws, http):
    ws.send(SUBSCRIBE)
    ws.recv()
    for _ in range(3):
        assert http.patch("/tasks/1", '{"status":1}').status == 200
        assert ws.notification()["event"] == "task.completed"


def test_three_log_lines(stack, ws, http):
    marks = stack.log_marks()
    ws.send(SUBSCRIBE)
    ws.recv()
    changed = http.patch("/tasks/1", '{"status":1}')
    assert changed.status == 200
    frame = ws.recv_until(lambda frame: frame.get("task") == changed.json())

    def logged():
        notifier = stack.logs_since(marks, "ws-notifier")
        api = stack.logs_since(marks, "fcgi-api")
        assert f"Subscribtion received : {SUBSCRIBE}" in notifier
        assert 'Message published to "tasks_completed"' in api
        received = re.findall(r"Message received from MQ (\{.*\})", notifier)
        assert [line for line in received if frame["message"] in line and frame["cursor"] in line], "no line for the received message"
        return True

    eventually(logged)


@pytest.mark.parametrize("variable", ["API_PORT", "CLIENT_PORT"])
def test_the_originals_http_ports(stack, ws, variable):
    """:3333 took the PATCH; :8181 served the page, whose own calls go to the same place."""
    other = Http(f"http://127.0.0.1:{stack.port(variable)}")
    ws.send(SUBSCRIBE)
    ws.recv()
    assert other.patch("/tasks/1", '{"status":1}').status == 200
    assert ws.notification()["task"]["id"] == 1
    assert other.get("/tasks?user_id=1").status == 200


@pytest.mark.parametrize("path", ["/", "/ws", ""])
def test_the_originals_websocket_port(stack, sockets, http, path):
    client = sockets(f"ws://127.0.0.1:{stack.port('WS_PORT')}{path}")
    client.send(SUBSCRIBE)
    assert client.recv_text() == SUBSCRIBE
    http.patch("/tasks/1", '{"status":1}')
    assert client.notification()["task"]["id"] == 1


def test_websocket_through_the_clients_port(stack, sockets, http):
    client = sockets(f"ws://127.0.0.1:{stack.port('CLIENT_PORT')}/ws")
    client.send(SUBSCRIBE)
    assert client.recv_text() == SUBSCRIBE
    http.patch("/tasks/1", '{"status":1}')
    assert client.notification()["task"]["id"] == 1


@pytest.mark.parametrize("place", ["main", "CLIENT_PORT"])
@pytest.mark.parametrize("path", ["/", "/index.html?user_id=1"])
def test_page_is_served(stack, place, path):
    base = stack.http if place == "main" else f"http://127.0.0.1:{stack.port(place)}"
    page = Http(base).get(path)
    assert page.status == 200 and page.header("Content-Type").startswith("text/html")
    assert "<!doctype html" in page.text.lower()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page.text), "the page loads something from elsewhere"
    assert page.header("X-Content-Type-Options") == "nosniff"
    assert "default-src" in page.header("Content-Security-Policy", "")


def test_the_event_can_be_looked_at_in_the_broker(stack, user, http, stream):
    made = http.post("/tasks", {"user_id": user, "content": "x"}).json()
    http.patch(f"/tasks/{made['id']}", {"status": 1})
    message = stream.wait_for(user, 2)
    assert message.type == "task.completed"
    assert json.loads(message.body)["task"]["id"] == made["id"]


def once_it_answers(address):
    """Its first page. A test before this one may have had it started again; the service is ready without it."""

    def page():
        try:
            return Http(address).get("/")
        except OSError as error:
            raise AssertionError(repr(error)) from None

    return eventually(page, 60, address)


def test_the_row_can_be_looked_at_in_adminer(stack):
    page = once_it_answers(stack.endpoints["adminer"])
    assert page.status == 200 and "adminer" in page.text.lower()


def test_the_management_page_answers(stack):
    page = once_it_answers(stack.endpoints["management"])
    assert page.status == 200 and "RabbitMQ" in page.text
