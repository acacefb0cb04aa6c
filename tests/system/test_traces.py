# SPDX-License-Identifier: MIT
"""TRACES=on: one trace from a request to its frame, and a line for each of its spans in the logs of both programs."""

import json
import re
import subprocess
import uuid

import pytest
import yaml

from conftest import PATIENT, finish
from lib.stack import ROOT, Stack
from lib.wait import eventually

CALLER = "00f067aa0ba902b7"
WAY = ["api", "commit", "publish", "deliver"]
SERVICE = {"api": "fcgi-api", "commit": "fcgi-api", "publish": "fcgi-api", "deliver": "ws-notifier"}
SECRET = "hunter-secret"


@pytest.fixture(scope="module")
def stack():
    own = Stack.start(TRACES="on", LOG_FORMAT="json", API_WORKERS=2, ADMINER_PORT="off", **PATIENT)
    yield own
    finish(own, "traces")


@pytest.fixture
def trace():
    return uuid.uuid4().hex


def spans(stack):
    """All that were logged so far."""
    found = []
    for part in ("fcgi-api", "ws-notifier"):
        for line in stack.logs(part).splitlines():
            if '"span_id"' in line and line.endswith("}"):  # the last one may be half written
                found.append(json.loads(line))
    return found


def of_trace(stack, trace):
    return [span for span in spans(stack) if span["trace_id"] == trace]


def whole_way(stack, trace):
    """Waits until the event of that trace was delivered; its spans in the order of WAY."""

    def all_there():
        found = of_trace(stack, trace)
        assert sorted(span["name"] for span in found) == sorted(WAY), found
        return found

    by_name = {span["name"]: span for span in eventually(all_there, 20, "each part has logged its span")}
    return [by_name[name] for name in WAY]


def complete(http, ws, task, **headers):
    """Completes the task; the notification of it."""
    ws.subscribe(task["user_id"])
    assert http.patch(f"/tasks/{task['id']}", {"status": 1}, headers=headers).status == 200
    return ws.recv_until(lambda frame: frame.get("event") == "task.completed", timeout=20)


def traceparent(trace, span=CALLER, flags="01"):
    return f"00-{trace}-{span}-{flags}"


def test_one_trace_from_the_request_to_the_frame(stack, http, task, ws, stream, trace):
    frame = complete(http, ws, task, traceparent=traceparent(trace))
    way = whole_way(stack, trace)
    parents = [CALLER] + [span["span_id"] for span in way]
    for span, parent in zip(way, parents):
        assert span["parent_span_id"] == parent, way
        assert span["service"] == span["program"] == SERVICE[span["name"]]
        assert re.fullmatch("[0-9a-f]{16}", span["span_id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", span["start"])
        assert isinstance(span["duration_us"], int) and span["duration_us"] >= 0
    api, commit, publish, deliver = way
    assert len(set(parents)) == 5
    assert (api["method"], api["route"], api["status"]) == ("PATCH", "/tasks/{id}", 200)
    assert deliver["sockets"] == 1
    assert api["duration_us"] >= commit["duration_us"]
    assert api["request_id"] == commit["request_id"] == publish["request_id"]

    assert frame["traceparent"] == traceparent(trace, commit["span_id"])
    message = stream.wait_for(task["user_id"], 2)
    assert message.headers["traceparent"] == traceparent(trace, publish["span_id"])
    assert json.loads(message.body) == frame == http.get(f"/users/{task['user_id']}/events").json()[-1]


def test_a_request_without_one_begins_a_trace(stack, http, task, ws):
    frame = complete(http, ws, task)
    version, trace, parent, flags = frame["traceparent"].split("-")
    assert (version, flags) == ("00", "01")
    api, commit, *_ = whole_way(stack, trace)
    assert "parent_span_id" not in api and commit["span_id"] == parent


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        "00-{}-00f067aa0ba902b7-0",
        "00-{}-00f067aa0ba902b7-01-",
        "ff-{}-00f067aa0ba902b7-01",
        "00-{}-0000000000000000-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-{upper}-00f067aa0ba902b7-01",
        "00-{}-00F067AA0BA902B7-01",
    ],
)
def test_one_that_is_not_valid_counts_as_none(http, task, ws, bad):
    trace = "abcdef" + uuid.uuid4().hex[6:]
    frame = complete(http, ws, task, traceparent=bad.format(trace, upper=trace.upper()))
    own = frame["traceparent"].split("-")[1]
    assert own != trace and own.strip("0")


def test_of_what_is_not_sampled_nothing_is_logged(stack, http, task, ws, trace):
    frame = complete(http, ws, task, traceparent=traceparent(trace, flags="00"))
    assert frame["traceparent"] == traceparent(trace, flags="00")  # carried, unchanged
    later = uuid.uuid4().hex
    assert http.patch(f"/tasks/{task['id']}", {"status": 0}, headers={"traceparent": traceparent(later)}).status == 200
    whole_way(stack, later)
    assert of_trace(stack, trace) == []


def test_an_event_of_another_program_over_http(stack, http, user, ws, trace):
    ws.subscribe(user)
    body = {"event": "invoice.paid", "data": {"a": 1}}
    assert http.post(f"/users/{user}/events", body, headers={"traceparent": traceparent(trace)}).status == 201
    frame = ws.notification(timeout=20)
    way = whole_way(stack, trace)
    assert frame["traceparent"] == traceparent(trace, way[1]["span_id"])
    assert way[0]["route"] == "/users/{id}/events"


def test_one_from_sql_has_none(stack, user, ws):
    ws.subscribe(user)
    stack.sql(f"CALL carillon_emit({user}, 'a.b', NULL, NULL)")
    assert "traceparent" not in ws.notification(timeout=20)


def test_what_is_published_again_keeps_its_trace(stack, http, task, ws, stream, trace):
    """As after the broker lost it: what was confirmed goes back into the outbox."""
    user = task["user_id"]
    frame = complete(http, ws, task, traceparent=traceparent(trace))
    _, commit, publish, _ = whole_way(stack, trace)
    stack.outbox_empty()
    columns = "user_id, seq, created_at"
    stack.sql(f"INSERT INTO outbox ({columns}) SELECT {columns} FROM events WHERE user_id = {user} AND seq = 2")

    def twice():
        return len(found := [message for message in stream.events(user) if message.seq == 2]) == 2 and found

    first, again = eventually(twice, 30, "it is in the stream twice")
    assert first.body == again.body and json.loads(again.body) == frame
    parents = [message.headers["traceparent"] for message in (first, again)]
    assert parents[0] == traceparent(trace, publish["span_id"]) != parents[1]

    def published():
        return [span for span in of_trace(stack, trace) if span["name"] == "publish" and span["span_id"] in parents[1]]

    [second] = eventually(published, 20, "the second publication was logged")
    assert second["parent_span_id"] == commit["span_id"]
    names = [span["name"] for span in of_trace(stack, trace)]
    assert names.count("deliver") == 1


def test_probes_are_traced_when_they_ask_for_it(stack, trace):
    http = stack.client()
    assert http.get("/healthz").status == 200
    assert http.get("/healthz", headers={"traceparent": traceparent(trace)}).status == 200
    [span] = eventually(lambda: of_trace(stack, trace), 20, "the probe was logged")
    assert (span["name"], span["route"], span["parent_span_id"]) == ("api", "/healthz", CALLER)
    assert [span["trace_id"] for span in spans(stack) if span.get("route") in ("/healthz", "/readyz")] == [trace]


def test_secrets_are_not_in_the_lines(stack, user, trace):
    http = stack.client()
    asked = [
        f"/tasks?user_id={user}&{SECRET}=1",
        f"/tasks/{SECRET}",
        f"/tasks/1/{SECRET}",
        f"/users/{user}/events?since={SECRET}",
    ]
    for path in asked:
        headers = {"traceparent": traceparent(trace), "Authorization": f"Bearer {SECRET}"}
        assert 400 <= http.get(path, headers=headers).status < 500, path
    assert http.call(SECRET.upper(), "/tasks", headers={"traceparent": traceparent(trace)}).status >= 400

    def all_logged():
        found = of_trace(stack, trace)
        assert len(found) >= len(asked), found
        return found

    found = eventually(all_logged, 20, "each request was logged")
    assert SECRET not in json.dumps(found).lower()
    assert {span.get("route") for span in found} >= {"/tasks", "/tasks/{id}", "/users/{id}/events", None}


def page_command(trace, run_dir):
    """The command of docs/traces.md that prints one trace, for this trace and this stack."""
    page = (ROOT / "docs" / "traces.md").read_text()
    [command] = re.findall(r"```sh\n(cat [^`]*jq [^`]*)```", page)
    [example] = set(re.findall("[0-9a-f]{32}", command))
    return command.replace(example, trace).replace(".run/", f"{run_dir}/")


def test_the_page_prints_them_in_order(stack, http, task, ws, trace):
    complete(http, ws, task, traceparent=traceparent(trace))
    way = whole_way(stack, trace)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", page_command(trace, stack.run_dir)], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == [[span["start"], str(span["duration_us"]), span["name"], span["service"], span["span_id"]] for span in way]


def test_the_collector_reads_members_that_there_are(stack, http, task, ws, trace):
    complete(http, ws, task, traceparent=traceparent(trace))
    there = {name for span in whole_way(stack, trace) for name in span}
    text = (ROOT / "ops" / "otel-collector.yaml").read_text()
    config = yaml.safe_load(text)
    assert set(re.findall(r'attributes(?:\["|\.)(\w+)', text)) <= there
    used = {name for pipeline in config["service"]["pipelines"].values() for names in pipeline.values() for name in names}
    assert used == {name for kind in ("receivers", "processors", "connectors", "exporters") for name in config[kind]}
