# SPDX-License-Identifier: MIT
"""/events as EventSource needs it: arguments, reconnecting, and refusals."""

import json
import re
import subprocess
import urllib.parse

import pytest

from lib.http import Http, assert_problem
from lib.wait import eventually

class Events:
    """One answer of /events, read event by event."""

    def __init__(self, base, path, **headers):
        self.client = Http(base, timeout=60)
        self.socket = self.client.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"Accept": "text/event-stream", **headers}.items())
        self.socket.sendall(f"GET {path} HTTP/1.0\r\nHost: {self.client.host}:{self.client.port}\r\n{lines}\r\n".encode())
        self.source = self.socket.makefile("rb")
        self.status = int(self.source.readline().split()[1])
        self.headers = {}
        while line := self.source.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def block(self):
        """The fields up to the next empty line, as [(name, value), ...]; None at the end of the stream."""
        fields = []
        while line := self.source.readline():
            if line.strip(b"\r\n") == b"":
                return fields
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            fields.append((name, value[1:] if value.startswith(" ") else value))
        return None

    def event(self):
        """The next event's fields, its data as one text; past blocks without data, as an EventSource does it."""
        while (fields := self.block()) is not None:
            event = dict(fields)
            event["data"] = "\n".join(value for name, value in fields if name == "data")
            if event["data"]:
                return event
        return None

    def retry(self):
        """The beginning of the stream."""
        name, value = self.block()[0]
        assert name == "retry"
        return int(value)

    def close(self):
        self.source.close()
        self.socket.close()


@pytest.fixture
def listen(stack):
    opened = []

    def open_one(query, base=None, **headers):
        opened.append(Events(base or stack.http, f"/events?{query}", **headers))
        return opened[-1]

    yield open_one
    for events in opened:
        events.close()


def answer(events):
    event = events.event()
    assert event["event"] == "subscribe", event
    return json.loads(event["data"])


# --- what is asked


@pytest.mark.parametrize(
    "query, field, said",
    [
        ("user_id=1&sinse=k3:1", "sinse", "is not a parameter of this call (known: user_id, since, lastEventId)"),
        ("user_id=1&user_id=2", "user_id", "is given more than once"),
        ("user_id=1&since=k3:1&since=k3:1", "since", "is given more than once"),
        ("user_id=1&lastEventId=k3:1&lastEventId=k3:2", "lastEventId", "is given more than once"),
        ("user_id=1&token=secret", "token", "is not a parameter of this call (known: user_id, since, lastEventId)"),
        ("user_id=1&since=null", "since", "must be a cursor as Event-Cursor and events hold it"),
        ("user_id=1&since=" + "k" * 200, "since", "must be a cursor as Event-Cursor and events hold it"),
        ("user_id=" + "1" * 200, "user_id", "must be a whole number from 1 to 4294967295"),
        ("user_id=01", "user_id", "must be a whole number from 1 to 4294967295"),
        ("", "user_id", "is missing: whose events are wanted?"),
        ("userId=1", "user_id", "is missing: whose events are wanted?"),
    ],
)
def test_wrong_arguments(http, query, field, said):
    """Such arguments were ignored, and the stream said that nothing was missed."""
    problem = assert_problem(http.get(f"/events?{query}"), 422, "validation", field=field)
    assert said in [error["message"] for error in problem["errors"] if error["field"] == field]


def test_all_that_is_wrong_at_once(http):
    problem = assert_problem(http.get("/events?user_id=x&a=1&b=2"), 422, "validation")
    assert [error["field"] for error in problem["errors"]] == ["user_id", "a", "b"]


@pytest.mark.parametrize("how", ["since=", "lastEventId=", "since=nowhere:1&lastEventId=", "header"])
def test_where_to_go_on(stack, http, listen, sockets, task, how):
    """A polyfill that may not send the header puts the id into the address, beside what was there."""
    user, cursor = task["user_id"], f"{stack.epoch()}:0"
    eventually(lambda: sockets().subscribe(user, since=cursor)["recovered"], 20, "the notifier has the event")
    events = listen(f"user_id={user}", **{"Last-Event-ID": cursor}) if how == "header" else listen(f"user_id={user}&{how}{cursor}")
    assert answer(events)["recovered"] is True
    assert json.loads(events.event()["data"])["task"] == task


@pytest.mark.parametrize("known", ["0", "null", "undefined", "17", "a b", "k" * 100, "é"])
@pytest.mark.parametrize("how", ["argument", "header"])
def test_an_id_that_is_no_cursor(listen, user, known, how):
    """An EventSource repeats its id for ever, so a refusal would end it; but the answer is recovered:false."""
    if how == "header":
        events = listen(f"user_id={user}", **{"Last-Event-ID": known})
    else:
        events = listen(f"user_id={user}&lastEventId={urllib.parse.quote(known)}")
    assert events.status == 200
    told = answer(events)
    assert told["recovered"] is False and told["reason"] == "epoch"


def test_head(http, user):
    answer = http.call("HEAD", f"/events?user_id={user}")
    assert answer.status == 200 and answer.body == b""
    assert answer.header("Content-Type").startswith("text/event-stream")
    assert http.call("HEAD", "/events").status == 422


# --- problems


@pytest.mark.parametrize(
    "path, status, slug", [("/events", 422, "validation"), ("/ws", 426, "upgrade-required"), ("/nothing", 404, "not-found")]
)
def test_problems_as_the_api_makes_them(stack, http, path, status, slug):
    for client in (http, Http(f"http://127.0.0.1:{stack.port('NOTIFIER_PORT')}")):
        if path == "/nothing" and client is http:
            continue
        told = client.get(path, headers={"X-Request-Id": "a-request"})
        problem = assert_problem(told, status, slug)
        assert list(problem)[:6] == ["type", "title", "status", "detail", "instance", "request_id"]
        assert problem["instance"] == path and problem["request_id"] == "a-request" == told.header("X-Request-Id")
        assert problem["detail"].endswith(".")
        given = client.get(path)
        assert re.fullmatch("[0-9a-f]{32}", given.json()["request_id"])
        assert given.json()["request_id"] == given.header("X-Request-Id")


# --- lines


def test_json_of_another_program_with_line_ends(stack, publisher, listen, user):
    """Each line is a line of data; without that the rest of the text was read as fields."""
    epoch = stack.epoch()
    body = '{\n "type": "notification",\r\n "message": "m",\n "task": {"id": 1,\n\n "user_id": %d}\n}' % user
    publisher.publish(body.encode(), exchange="tasks_completed.known", key="", type="task.created", headers={"user_id": user, "seq": 1, "epoch": epoch})
    events = listen(f"user_id={user}&since={epoch}:0")
    assert answer(events)["user_id"] == user
    event = events.event()
    assert json.loads(event["data"]) == json.loads(body)
    assert set(event) <= {"data", "id", "retry"}


# --- coming back


def test_streams_come_back_at_different_times(listen, user):
    """A browser's own time is the same for all, and a restart ends all at once."""
    times = [listen(f"user_id={user}").retry() for _ in range(40)]
    assert all(1000 <= time <= 3000 for time in times), times
    assert max(sum(start <= time < start + 100 for time in times) for start in range(1000, 3000, 20)) < 15, sorted(times)


def later(events):
    """The answer to a client that must come back: after how many ms, and why."""
    assert events.status == 200 and events.headers["content-type"] == "text/event-stream", events.headers
    assert events.headers["cache-control"] == "no-store"
    fields = dict(events.block())
    error = json.loads(fields["data"])
    assert fields["event"] == "error" and error["type"] == "error"
    assert events.source.read() == b""
    return int(fields["retry"]), error


@pytest.fixture
def notifier_away(stack):
    service = stack.run_dir / "service" / "ws-notifier"
    subprocess.run(["s6-svc", "-wD", "-T", "20000", "-d", service], check=True)
    yield
    subprocess.run(["s6-svc", "-u", service], check=True)


@pytest.mark.disturbs
def test_while_the_notifier_is_away(http, listen, user, notifier_away):
    """nginx answers for it: with 200 for an EventSource, which anything else would end, and with 503 for all others."""
    waits = [later(listen(f"user_id={user}")) for _ in range(20)]
    assert all(2000 <= wait <= 6000 for wait, _ in waits), waits
    assert len({wait for wait, _ in waits}) > 4, "not all at the same time"
    assert {error["code"] for _, error in waits} == {"unavailable"}
    problem = http.get(f"/events?user_id={user}")
    assert_problem(problem, 503, "unavailable")
    assert problem.header("Retry-After")
