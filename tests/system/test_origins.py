# SPDX-License-Identifier: MIT
"""Pages of other origins, and names that are not ours: one rule at every entrance, with tokens and without."""

import re

import pytest

from lib.http import Http, assert_problem
from lib.stack import ROOT
from lib.ws import WebSocket

EVIL = "http://evil.example"


def stream_status(client, user, headers):
    """Of GET /events, without staying."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with client.connect() as sock:
        sock.sendall(f"GET /events?user_id={user} HTTP/1.1\r\n{lines}\r\n".encode())
        return int(sock.makefile("rb").readline().split()[1])


def at_every_door(stack, user, task, origin=None, host=None, token=None):
    """{what was asked: status}; of /ws the close code, or 101 when it was let in."""
    client = stack.client()
    headers = {"Host": host or f"{client.host}:{client.port}"}
    if origin is not None:
        headers["Origin"] = origin
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    plain = {**headers, "Content-Type": "text/plain"}
    found = {
        "POST": client.post("/tasks", {"user_id": user, "content": "a"}, headers=plain).status,
        "PATCH": client.patch(f"/tasks/{task}", {"content": "b"}, headers=headers).status,
        "GET": client.get(f"/tasks/{task}", headers=headers).status,
        "GET list": client.get(f"/tasks?user_id={user}", headers=headers).status,
        "GET journal": client.get(f"/users/{user}/events", headers=headers).status,
        "HEAD": client.call("HEAD", f"/tasks/{task}", headers=headers).status,
        "/events": stream_status(client, user, headers),
    }
    more = {name: value for name, value in headers.items() if name not in ("Host", "Origin")}
    if host is None:  # the client library says the Host itself
        socket = WebSocket(stack.ws, origin=origin, headers=more)
        try:
            socket.send({"type": "subscribe", "user_id": user})
            found["/ws"] = 101 if socket.recv()["type"] == "subscribe" else 0
        except Exception:
            found["/ws"] = socket.wait_closed()[0]
        finally:
            socket.close()
    return found


def refused(found):
    return {name: status for name, status in found.items() if status != (4403 if name == "/ws" else 403)}


def served(found):
    return {name: status for name, status in found.items() if status not in (101, 200, 201)}


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost.evil.example", "http://203.0.113.7", "file://"])
def test_a_foreign_page_of_an_open_service(stack, http, user, task, origin):
    """A POST of plain text needs no preflight, and was done for any page."""
    before = stack.sql(f"SELECT COUNT(*), SUM(version) FROM tasks WHERE user_id = {user}")
    assert refused(at_every_door(stack, user, task["id"], origin)) == {}
    assert stack.sql(f"SELECT COUNT(*), SUM(version) FROM tasks WHERE user_id = {user}") == before
    answer = http.post("/tasks", {"user_id": user, "content": "a"}, headers={"Origin": origin})
    assert_problem(answer, 403, "forbidden")
    assert answer.header("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("origin", [None, "own", "http://localhost:1234", "http://127.0.0.1", "http://[::1]:8181"])
def test_a_page_of_this_machine_of_an_open_service(stack, http, user, task, origin):
    origin = f"http://{http.host}:{http.port}" if origin == "own" else origin
    assert served(at_every_door(stack, user, task["id"], origin)) == {}


def test_a_list_holds_at_every_door(guarded_stack):
    [user] = guarded_stack.new_users(1)
    [task] = guarded_stack.new_tasks([user])
    token = guarded_stack.issuer.token(user)
    for origin in ("https://app.example", "https://app.example:443", None):
        assert served(at_every_door(guarded_stack, user, task, origin, token=token)) == {}, origin
    for origin in (EVIL, "https://app.example:444", "http://app.example", "null", "http://localhost"):
        assert refused(at_every_door(guarded_stack, user, task, origin, token=token)) == {}, origin


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "EVIL.example.", "127.0.0.1.evil.example"])
def test_a_name_that_only_leads_here(stack, user, task, host):
    """DNS rebinding: to the browser it is the page's own server, with its Origin or none."""
    for origin in (None, f"http://{host}"):
        assert refused(at_every_door(stack, user, task["id"], origin, host)) == {}, origin
    answer = stack.client().get(f"/tasks/{task['id']}", headers={"Host": host})
    assert "SERVER_NAME" in assert_problem(answer, 403, "forbidden")["detail"]
    answer = stack.client().get(f"/events?user_id={user}", headers={"Host": host})
    assert "SERVER_NAME" in assert_problem(answer, 403, "forbidden")["detail"]
    with stack.client().connect() as sock:
        sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        data = b""
        while len(frame := data.partition(b"\r\n\r\n")[2]) < 4:
            data += (piece := sock.recv(4096))
            assert piece, data
    assert frame[0] == 0x88 and int.from_bytes(frame[2:4], "big") == 4403, data


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]", "10.1.2.3", "nginx:8080", "app.localhost"])
def test_names_that_are_ours(stack, user, task, host):
    assert served(at_every_door(stack, user, task["id"], None, host)) == {}


def test_probes_answer_by_any_name(stack):
    for path in ("/healthz", "/readyz", "/metrics", "/notifier/healthz", "/notifier/readyz", "/notifier/metrics"):
        assert stack.client().get(path, headers={"Host": "evil.example", "Origin": EVIL}).status == 200, path


def test_with_tokens_any_name_will_do(guarded_stack):
    [user] = guarded_stack.new_users(1)
    [task] = guarded_stack.new_tasks([user])
    token = guarded_stack.issuer.token(user)
    assert served(at_every_door(guarded_stack, user, task, None, "tasks.example.org", token)) == {}
    for origin, host in (("https://tasks.example.org", "tasks.example.org:443"), ("http://tasks.example.org:80", "tasks.example.org")):
        assert served(at_every_door(guarded_stack, user, task, origin, host, token)) == {}, "RFC 6454: a default port is none"
    assert refused(at_every_door(guarded_stack, user, task, "https://tasks.example.org", "tasks.example.org:80", token)) == {}


# -- CORS headers: what a listed page may read is the same wherever the answer comes from


BIG = "x" * 200_000
ANSWERS = [  # of the API, of the notifier, of nginx
    ("GET", "/tasks", {}, None, 401),
    ("GET", "/events?user_id=1", {}, None, 401),
    ("GET", "/events?user_id=x", {}, None, 422),
    ("GET", "/events?a=%zz", {}, None, 400),
    ("GET", "/ws", {}, None, 426),
    ("POST", "/tasks", {}, BIG, 413),
    ("GET", "/task", {}, None, 404),
    ("PUT", "/events", {}, None, 405),
    ("TRACE", "/tasks", {}, None, 405),
    ("GET", "/tasks", {"X": "y" * 9000}, None, 431),
    ("GET", "/tasks?" + "x" * 9000, {}, None, 414),
]


@pytest.mark.parametrize("method, path, headers, body, status", ANSWERS, ids=[f"{a[0]} {a[1][:16]} {a[4]}" for a in ANSWERS])
def test_a_listed_page_reads_every_error(guarded_stack, method, path, headers, body, status):
    """nginx's own errors had no such headers: to a page they were `Failed to fetch`, without Retry-After."""
    client = guarded_stack.client()
    ask = lambda origin: client.call(method, path, body, headers={"Origin": origin, **headers})
    answer = ask("https://app.example")
    assert answer.status == status
    # Where nginx stopped in the header it cannot know the origin.
    unread = status == 414
    assert answer.header("Access-Control-Allow-Origin") == ("*" if unread else "https://app.example"), dict(answer.headers)
    assert "Retry-After" in answer.header("Access-Control-Expose-Headers")
    assert "Origin" in ", ".join(answer.headers.get_all("Vary"))
    if not unread:
        for origin in (EVIL, "null", "https://app.example.evil.example", "http://localhost:12345"):
            stranger = ask(origin)
            assert not [name for name in stranger.headers if name.lower().startswith("access-control")], dict(stranger.headers)
            assert "Origin" in ", ".join(stranger.headers.get_all("Vary"))


def test_a_listed_page_reads_the_stream(guarded_stack):
    [user] = guarded_stack.new_users(1)
    with guarded_stack.client().connect() as sock:
        sock.sendall(
            f"GET /events?user_id={user} HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\n"
            f"Authorization: Bearer {guarded_stack.issuer.token(user)}\r\n\r\n".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += (piece := sock.recv(4096))
            assert piece, data
    assert data.startswith(b"HTTP/1.1 200") and b"Access-Control-Allow-Origin: https://app.example\r\n" in data, data


@pytest.mark.parametrize("path", ["/events?user_id=1", "/tasks/1"])
def test_the_question_before_a_request(guarded_stack, path):
    client = guarded_stack.client()
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = client.call("OPTIONS", path, headers={"Origin": "https://app.example", **asked})
    assert answer.status == 204 and "GET" in answer.header("Access-Control-Allow-Methods")
    assert "Authorization" in answer.header("Access-Control-Allow-Headers") and answer.header("Access-Control-Max-Age") == "600"
    if path.startswith("/events"):
        assert "Last-Event-ID" in answer.header("Access-Control-Allow-Headers")
    answer = client.call("OPTIONS", path, headers={"Origin": EVIL, **asked})
    assert answer.status == 204 and not [name for name in answer.headers if name.lower().startswith("access-control")]
    answer = client.call("OPTIONS", path, headers={"Origin": "https://app.example"})
    assert answer.status == 204 and answer.header("Allow") and answer.header("Access-Control-Allow-Methods") is None


def test_one_list_of_headers_that_a_page_may_read():
    """In the API's answers and in those of the notifier, which nginx writes."""
    source = (ROOT / "fcgi-api/http/cors.c").read_text()
    api = "".join(re.findall(r'"([^"]*)"', re.search(r"#define EXPOSED_HEADERS(.*?)\n#", source, re.S)[1]))
    nginx = re.search(r'map \$cors_origin \$cors_exposed {\s+default "([^"]*)"', (ROOT / "nginx/templates/cors.conf.template").read_text())[1]
    assert api == nginx


def test_without_a_list_no_answer_has_such_headers(http):
    for method, path in (("GET", "/tasks"), ("GET", "/task"), ("OPTIONS", "/events"), ("GET", "/ws"), ("GET", "/tasks?" + "x" * 9000)):
        answer = http.call(method, path, headers={"Origin": "http://localhost:1234", "Access-Control-Request-Method": "GET"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control")], (path, dict(answer.headers))
