# SPDX-License-Identifier: MIT
"""Weaknesses that scripts/attack found, each as it was found."""

import socket

import pytest

from lib.http import Http, assert_problem

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def upgrade(client, lines, path="/ws"):
    """Asks for an upgrade; None when the server closes without a word."""
    return client.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{lines}\r\n".encode())


@pytest.fixture
def own(stack):
    """The notifier itself, as a container beside it reaches it."""
    return Http(f"http://127.0.0.1:{stack.port('NOTIFIER_PORT')}")


@pytest.mark.parametrize("lines", ["Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "Upgrade: H2C\r\n", "Upgrade: h2c\r\n" + KEY])
@pytest.mark.parametrize("path", ["/ws", "/events?user_id=1"])
def test_no_tunnel_of_http2_to_the_notifier(stack, http, own, lines, path):
    """libwebsockets accepted the upgrade, and its sender could then request everything there, past nginx's rules."""
    if path == "/ws":
        assert_problem(upgrade(http, lines, path), 426, "upgrade-required")
        assert_problem(upgrade(Http(f"http://127.0.0.1:{stack.port('WS_PORT')}"), lines, "/"), 426)
    answer = upgrade(own, lines, path)
    assert answer is None or answer.status != 101, answer


@pytest.mark.parametrize("lines", ["Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"])
def test_half_a_handshake_is_the_clients_mistake(http, own, lines):
    """It was a 502: the library closed without an answer."""
    for client in (http, own):
        problem = assert_problem(upgrade(client, "Upgrade: websocket\r\n" + lines), 400, "bad-request")
        assert "Sec-WebSocket-Key" in problem["detail"]


@pytest.mark.parametrize(
    "query",
    ["a=%00", "a=%2", "a=%zz", "user_id=1&since=%F-", "a#=%%ff", "user_id=1#%ff", "&".join(f"k{n}=1" for n in range(40)), "a=" + "b" * 5000],
)
def test_queries_of_the_feed_that_the_library_cannot_read(http, query):
    """They were a 502, or a page of the library's own."""
    answer = http.raw(f"GET /events?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert_problem(answer, 400, "bad-request")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PROPFIND", "TRACE"])
@pytest.mark.parametrize("path", ["/events?user_id=1", "/ws", "/notifier/healthz"])
def test_other_methods_at_the_notifier(http, method, path):
    """They were a page of the library's own, and a body went with them."""
    answer = http.call(method, path, b"x" * 100)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.header("Allow") == "GET, HEAD, OPTIONS"


def test_large_headers_at_the_notifier(http):
    large = {"Authorization": "Bearer " + "x" * 7000, "Last-Event-ID": "y" * 7000}
    assert_problem(http.get("/events?user_id=1", headers=large), 431, "headers-too-large")
    answer = http.get("/events?user_id=x", headers={"X-Other": "x" * 7000, "X-Another": "y" * 7000, "Cookie": "z" * 7000})
    assert_problem(answer, 422, "validation")  # the notifier does not get a body


@pytest.mark.parametrize("headers, status", [({"If-Match": '"x"'}, 412), ({"Range": "bytes=9999999-"}, 416)])
def test_conditions_on_the_page_have_no_page_of_nginx(http, headers, status):
    assert_problem(http.get("/index.html", headers=headers), status)


@pytest.mark.parametrize("path", ["/js", "/js/", "/client", "/client/", "/client/package.json"])
def test_folders_of_the_page_are_no_pages(http, path):
    """A folder without its slash was a redirect to whatever Host was sent, with nginx's own page."""
    answer = http.get(path, headers={"Host": "elsewhere.example"})
    assert answer.status == 404 and b"nginx" not in answer.body, answer


@pytest.mark.parametrize("kind", ["task.created", "carillon.epoch"])
@pytest.mark.parametrize("exchange, key", [("tasks", "task.created"), ("", "tasks_completed")])
def test_an_event_cannot_say_that_the_database_was_restored(stack, http, publisher, sockets, task, kind, exchange, key):
    """One message with another epoch reset every client, and the service's own events were not delivered for seconds."""
    socket, user = sockets(), task["user_id"]
    socket.subscribe(user, since=None)
    headers = {"user_id": user, "seq": 1, "epoch": "k3"}
    publisher.publish(b'{"message":"x","task":{"user_id":%d}}' % user, exchange=exchange, key=key, type=kind, headers=headers)
    http.patch(f"/tasks/{task['id']}", {"content": "after"})
    # The task's own first event may still have been on its way.
    socket.recv_until(lambda frame: frame["type"] == "reset" or frame.get("task", {}).get("content") == "after")
    assert not [text for text in socket.texts if '"type":"reset"' in text]
    assert http.get("/notifier/readyz").json()["epoch"] == stack.epoch()


def test_an_idle_socket_of_the_feed_is_heard_all_the_same(stack, http, task):
    """nginx's restrictions do not affect the live feed with its header and query."""
    with http.connect() as sock:
        sock.sendall(f"GET /events?user_id={task['user_id']} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {stack.epoch()}:0\r\n\r\n".encode())
        sock.settimeout(30)
        text = b""
        while b"task.created" not in text:
            piece = sock.recv(4096)
            assert piece, text
            text += piece
        sock.shutdown(socket.SHUT_RDWR)
