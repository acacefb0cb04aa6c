# SPDX-License-Identifier: MIT
"""Problem documents (RFC 9457): one shape wherever they come from, and each type is a page that exists."""

import html
import re

import pytest

from lib.http import Http, assert_problem
from lib.stack import ROOT
from lib.wait import eventually

PAGES = ROOT / "nginx/client/problems"
NGINX = (ROOT / "nginx/templates/problems.conf.template").read_text()


def table_of(path):
    """{slug: title} of an X macro table."""
    return dict(re.findall(r'X\(\w+, \d+, "([a-z-]+)", "([^"]+)"\)', (ROOT / path).read_text()))


def map_of(variable):
    """{status: value} of a map in nginx's template."""
    body = re.search(rf"map \$problem_status \${variable} {{(.*?)\n}}", NGINX, re.S)[1]
    return {status: quoted or plain for status, quoted, plain in re.findall(r'^ +(\w+) +(?:"([^"]*)"|([^"\s;]+));', body, re.M)}


API = table_of("fcgi-api/http/problem.h")
NOTIFIER = table_of("ws-notifier/pages.h")
FRONT = {slug: map_of("problem_title")[status] for status, slug in map_of("problem_slug").items()}
KNOWN = {**FRONT, **NOTIFIER, **API}


def test_the_tables_are_read():
    assert len(API) > 15 and len(NOTIFIER) > 6 and len(FRONT) > 15


def test_a_type_has_one_title():
    for table in (API, NOTIFIER, FRONT):
        assert {slug: title for slug, title in table.items() if KNOWN[slug] != title} == {}


def test_each_type_has_its_page_and_each_page_its_type():
    assert {path.stem for path in PAGES.glob("*.html")} - {"index"} == set(KNOWN)
    overview = (PAGES / "index.html").read_text()
    for slug, title in KNOWN.items():
        text = (PAGES / f"{slug}.html").read_text()
        assert f"<h1>{html.escape(title, quote=False)}</h1>" in text, slug
        assert f'href="{slug}"' in overview and title in overview, slug


@pytest.mark.parametrize("port", ["PORT", "API_PORT", "CLIENT_PORT", "WS_PORT"])
def test_the_pages_are_served_wherever_a_problem_may_come_from(stack, port):
    client = Http(f"http://127.0.0.1:{stack.port(port)}")
    for slug in KNOWN:
        answer = client.get(f"/problems/{slug}")
        assert answer.status == 200 and answer.header("Content-Type").startswith("text/html"), (slug, answer)
        assert answer.header("Content-Security-Policy")
    assert client.get("/problems/").status == client.get("/problems/problems.css").status == 200
    assert client.get("/problems").header("Location") == "/problems/"
    assert_problem(client.get("/problems/none"), 404, "not-found")


SAMPLES = [
    ("GET", "/tasks/0", {}, None, 404),
    ("PATCH", "/tasks/1", {}, "{", 400),
    ("POST", "/tasks", {}, "{}", 422),
    ("GET", "/tasks?x=1", {}, None, 422),
    ("DELETE", "/users", {}, None, 405),
    ("TRACE", "/tasks", {}, None, 405),
    ("POST", "/index.html", {}, None, 405),
    ("GET", "/task/1", {}, None, 404),
    ("GET", "/index.html", {"If-Match": '"x"'}, None, 412),
    ("GET", "/tasks", {"X": "y" * 9000}, None, 431),
    ("GET", f"/tasks?{'x' * 9000}", {}, None, 414),
    ("POST", "/tasks", {}, "x" * 200_000, 413),
    ("GET", "/tasks", {"Origin": "http://evil.example"}, None, 403),
    ("GET", "/events", {}, None, 422),
    ("GET", "/events?user_id=1", {"Origin": "http://evil.example"}, None, 403),
    ("GET", "/events?a=%zz", {}, None, 400),
    ("POST", "/events", {}, None, 405),
    ("GET", "/ws", {}, None, 426),
    ("GET", "/notifier/nothing", {}, None, 404),
]


@pytest.mark.parametrize("method, path, headers, body, status", SAMPLES, ids=[f"{s[0]} {s[1][:20]} {s[4]}" for s in SAMPLES])
def test_one_shape_at_every_door(http, method, path, headers, body, status):
    answer = http.call(method, path, body, headers={"X-Request-Id": "asked-for", **headers})
    problem = assert_problem(answer, status)
    more = {"errors"} if status == 422 else set()
    if problem["type"] == "/problems/not-json" or method == "TRACE":
        more = set(problem) - {"type", "title", "status", "detail", "instance", "request_id"}
    assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"} | more, problem
    assert problem["title"] == KNOWN[problem["type"].removeprefix("/problems/")]
    assert problem["detail"][-1] in ".?" and problem["instance"].startswith("/")
    assert problem["request_id"] == answer.header("X-Request-Id")
    if status not in (414, 431):  # there nginx stopped before it read the id
        assert problem["request_id"] == "asked-for"
    for error in problem.get("errors", []):
        assert set(error) == {"field", "message"}


# -- typing errors


@pytest.mark.parametrize("port", ["PORT", "CLIENT_PORT"])
@pytest.mark.parametrize("method, path", [("GET", "/task/1"), ("GET", "/Tasks"), ("POST", "/task"), ("GET", "/api/tasks"), ("PATCH", "/api/tasks/1"), ("DELETE", "/task/1")])
def test_a_typing_error_in_a_call_is_a_problem(stack, port, method, path):
    client = Http(f"http://127.0.0.1:{stack.port(port)}")
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}, {"Accept": "text/html, application/json"}):
        problem = assert_problem(client.call(method, path, headers=headers), 404, "not-found")
        assert "/tasks/{id}" in problem["detail"] and problem["instance"] == path
    html_wanted = client.call(method, path, headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert "Accept" in html_wanted.headers.get_all("Vary")
    if method == "GET":
        assert html_wanted.status == 404 and html_wanted.header("Content-Type").startswith("text/html"), html_wanted
    else:
        assert_problem(html_wanted, 404, "not-found")


def test_too_much_header_is_a_page_for_a_person(http):
    answer = http.get("/index.html", headers={"Accept": "text/html", "Cookie": "a" * 9000})
    assert answer.status == 431 and answer.header("Content-Type").startswith("text/html"), answer
    assert "8192 bytes" in answer.text and "ookies" in answer.text
    assert "8192 bytes" in assert_problem(http.get("/tasks", headers={"Cookie": "a" * 9000}), 431, "headers-too-large")["detail"]


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1", "/users", "/users/1", "/users/1/events", "/healthz", "/events", "/ws", "/notifier/readyz", "/admin/metrics", "/admin/notifiers/1/metrics"])
def test_trace_and_options_name_the_same_methods(http, path):
    """TRACE and what nginx does not know never reach the API."""
    allowed = http.call("OPTIONS", path)
    assert allowed.status == 204 and "OPTIONS" in allowed.header("Allow"), allowed
    for address in (path, path + "?a=b"):
        answer = http.call("TRACE", address)
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.header("Allow") == allowed.header("Allow")


# -- what nginx refuses by itself


HOST = b"Host: x\r\n"
MALFORMED = {
    "lower case": (b"patch /tasks/1 HTTP/1.1\r\n" + HOST, "capital"),
    "a space": (b"GET /tasks?content=a b HTTP/1.1\r\n" + HOST, "%20"),
    "no Host": (b"GET /tasks HTTP/1.1\r\n", "Host"),
    "a wrong Host": (b"GET /tasks HTTP/1.1\r\nHost: a/b\r\n", "Host is not a name"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n", "https"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n", "https"),
    "chunked by HTTP/1.0": (b"PATCH /tasks/1 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", "Content-Length"),
    "two lengths": (b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n", "not both"),
    "a length that is none": (b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: two\r\n", "number"),
    "a chunk without a size": (b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "hexadecimal"),
    "If-None-Match in two lines": (b'GET /tasks/1 HTTP/1.1\r\nHost: x\r\nIf-None-Match: "1"\r\nIf-None-Match: "2"\r\n', "one line"),
    "two Hosts": (b"GET /tasks HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "twice"),
    "an escape": (b"GET /tasks/%zz HTTP/1.1\r\n" + HOST, "%25"),
    "no slash": (b"GET tasks HTTP/1.1\r\n" + HOST, "slash"),
    "no version": (b"hello\r\n", "METHOD ADDRESS HTTP/1.1"),
    "a method alone": (b"GET\r\n", "METHOD ADDRESS HTTP/1.1"),
    "a proxy's": (b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST, "proxy"),
    "above the root": (b"GET /../../x HTTP/1.1\r\n" + HOST, "root"),
}


@pytest.mark.parametrize("sent, told", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_what_is_probably_wrong(http, sent, told):
    problem = assert_problem(http.raw(sent + b"\r\n"), 400, "bad-request")
    assert told in problem["detail"], problem


def test_the_reason_is_in_the_log_and_no_token(stack, http):
    """nginx's own words for a line that stands twice quote it."""
    marks = stack.log_marks()
    line = b"Authorization: Bearer not-for-the-log\r\n"
    assert_problem(http.raw(b"GET /tasks HTTP/1.1\r\nHost: x\r\nX-Request-Id: twice-1\r\n" + line * 2 + b"\r\n"), 400)
    whole = lambda: [line for line in stack.logs_since(marks, "nginx").splitlines(True) if "request_id=twice-1" in line and line.endswith("\n")]
    [logged] = eventually(whole, 30, "the access log has it")
    assert "reason=" in logged and "twice" in logged.partition("reason=")[2]
    assert "not-for-the-log" not in stack.logs_since(marks, "nginx")
