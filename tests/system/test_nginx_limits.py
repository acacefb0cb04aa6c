# SPDX-License-Identifier: MIT
"""nginx's limits for one address, and its timeouts: a stack with limits that a test can reach."""

import contextlib
import time

import pytest
from websockets.exceptions import InvalidHandshake

from conftest import PATIENT
from lib.http import Http, assert_problem
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import WebSocket

RATE, BURST, CONNECTIONS = 5, 20, 6


@pytest.fixture(scope="module")
def limited():
    stack = Stack.prepare(
        RATE_LIMIT=RATE, RATE_BURST=BURST, CONNECTION_LIMIT=CONNECTIONS, CLIENT_HEADER_S=1, CLIENT_BODY_S=1, CLIENT_IDLE_S=1,
        CLIENT_MAX_HEADER=2048, API_WORKERS=2, ADMINER_PORT="off", WS_SILENT_S=0, **PATIENT,
    )  # fmt: skip
    try:
        stack.run()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def client(limited):
    """Once there is room for some requests again."""
    client = limited.client()
    room = lambda: [client.get("/index.html").status for _ in range(3)] == [200] * 3
    eventually(room, 60, "the address may ask again", interval=1)
    return client


def at_once(client, path, count):
    """Statuses of so many requests that come as fast as can be: in one write."""
    one, data, found = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b"", 0
    for _ in range(5):
        if data:
            break
        # nginx waits a second for the first: on a machine that stalls it closes before that comes.
        with client.connect(timeout=30) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(one * count)
            while (found := data.count(b"HTTP/1.1 ")) < count or not data.endswith((b"}", b"}\n", b">", b">\n")):
                piece = sock.recv(65536)
                if not piece:
                    break
                data += piece
    assert found == count, (found, data[-300:])
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]], data


@pytest.mark.parametrize("path", ["/healthz", "/users/1"])
def test_requests_of_an_address(client, path):
    began = time.monotonic()
    statuses, data = at_once(client, path, 100)
    allowed = BURST + 1 + RATE * (time.monotonic() - began + 1)
    assert set(statuses) == {200, 429} and 1 <= statuses.count(200) <= allowed, statuses
    answer = client.get(path)
    if answer.status == 429:  # the machine may have been slow enough for a place to be free again
        assert_problem(answer, 429, "too-many-requests")
        assert answer.header("Retry-After") == "1"
    assert b"Retry-After: 1\r\n" in data and b'"type":"/problems/too-many-requests"' in data
    eventually(lambda: client.get(path).status == 200, 60, interval=1)


def open_one(limited):
    """Where the address has just asked too often, later."""
    try:
        return WebSocket(limited.ws)
    except InvalidHandshake as error:
        raise AssertionError(str(error)) from None


def test_connections_of_an_address(limited, client):
    sockets = []
    try:
        for _ in range(CONNECTIONS):
            eventually(lambda: client.get("/index.html").status == 200, 60, interval=1)
            sockets.append(eventually(lambda: open_one(limited), 60, interval=1))
        for path in ("/index.html", "/tasks/1", "/events?user_id=1"):
            answer = client.get(path)
            assert_problem(answer, 429, "too-many-requests")
            assert answer.header("Retry-After") == "1"
        # An EventSource is not ended by it.
        answer = client.get("/events?user_id=1", headers={"Accept": "text/event-stream"})
        assert answer.status == 200 and answer.header("Content-Type") == "text/event-stream", answer
        assert answer.text.startswith("retry: ") and '"code":"unavailable"' in answer.text
        with pytest.raises(AssertionError, match="429"):
            open_one(limited)
        sockets.pop().close()
        eventually(lambda: client.get("/index.html").status == 200, 60, interval=1)
    finally:
        for socket in sockets:
            socket.close()


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /ind", b"GET /index.html HTTP/1.1\r\nX: y", b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
     b"GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["silent", "half a line", "half a header", "half a body", "idle"],
)  # fmt: skip
def test_waiting_has_an_end(client, said):
    began = time.monotonic()
    with client.connect(timeout=30) as sock:
        sock.sendall(said)
        with contextlib.suppress(ConnectionResetError):  # nginx may close without an answer
            while sock.recv(65536):
                pass
    assert 0.9 < time.monotonic() - began < 12


def test_a_header_letter_by_letter_has_an_end(client):
    """Each byte is a sign of life, and yet the whole request must arrive in time."""
    began = time.monotonic()
    with client.connect(timeout=0.2) as sock:
        sock.sendall(b"GET /index.html HTTP/1.1\r\nX: ")
        while time.monotonic() < began + 12:
            try:
                sock.sendall(b"y")
                if sock.recv(100) == b"":
                    break
            except TimeoutError:
                pass
            except OSError:
                break
    assert time.monotonic() < began + 12


def test_a_header_too_large(client):
    assert client.get("/index.html", headers={"X": "y" * 1500}).status == 200
    assert_problem(client.get("/index.html", headers={"X": "y" * 2500}), 431, "headers-too-large")


@pytest.mark.parametrize("name, value", [("RATE_LIMIT", "many"), ("CONNECTION_LIMIT", "0"), ("CLIENT_HEADER_S", "15s"), ("CLIENT_MAX_HEADER", "-1")])
def test_a_limit_that_is_none_is_named(name, value):
    stack = Stack.prepare(**{name: value})
    try:
        done = stack.script("run", "--detach", "--no-build", check=False)
        assert done.returncode != 0 and f"{name} must be a whole number" in done.stderr + done.stdout, done
    finally:
        stack.stop()


def test_by_default_nobody_is_limited(stack):
    statuses, _ = at_once(Http(stack.http), "/healthz", 500)
    assert set(statuses) == {200}
