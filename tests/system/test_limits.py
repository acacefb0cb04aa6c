# SPDX-License-Identifier: MIT
"""The notifier's limits: over each one a WebSocket is closed with 4429 and told when to come back, and an event
stream is answered 429 with Retry-After. The notifier runs alone here: its limits need no broker."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from types import SimpleNamespace

import pytest
import websockets

from lib.http import Http
from lib.issuer import encode
from lib.ports import Block
from lib.stack import BUILD_DIR, Stack
from lib.wait import eventually
from lib.ws import OP_PING, Closed, RawWebSocket, WebSocket

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def notifier():
    """notifier(SETTING=...) starts one; .ws and .http are its addresses, .closed(reason) is its metric."""
    running = []

    def start(**settings):
        block = Block()
        environment = {"PATH": os.environ["PATH"], "AMQP_PASSWORD": "x", "AMQP_PORT": "1", "WS_PORT": str(block.first)}
        environment |= {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        environment |= {name: str(value) for name, value in settings.items()}
        process = subprocess.Popen([BUILD_DIR / "ws-notifier"], env=environment, stderr=subprocess.PIPE, text=True)
        running.append((process, block))
        for line in process.stderr:
            if "listening on" in line:
                break
        http = Http(f"http://127.0.0.1:{block.first}")

        def closed(reason):
            return int(re.search(rf'closed_total{{reason="{reason}"}} (\d+)', http.get("/metrics").text)[1])

        return SimpleNamespace(ws=f"ws://127.0.0.1:{block.first}/", port=block.first, http=http, closed=closed)

    yield start
    for process, block in running:
        process.terminate()
        _, rest = process.communicate(timeout=60)
        block.release()
        assert process.returncode == 0, rest


@pytest.fixture
def connect():
    """connect(url, address) comes from that address, as a proxy on loopback tells it."""
    opened = []

    def one(url, address=None, **headers):
        if address:
            headers["X-Forwarded-For"] = address
        opened.append(WebSocket(url, headers=headers))
        return opened[-1]

    yield one
    for client in opened:
        client.close()


def token(user, **more):
    from hashlib import sha256
    from hmac import new

    head = encode({"alg": "HS256"}) + "." + encode({"sub": str(user), "exp": int(time.time()) + 600, **more})
    return head + "." + encode(new(SECRET.encode(), head.encode(), sha256).digest())


def bearer(user, **more):
    return {"Authorization": f"Bearer {token(user, **more)}"}


def refused(client, reason, seconds):
    assert client.wait_closed() == (4429, f"{reason}; retry after {seconds} s")


def is_in(client, user=1):
    """Whether it was admitted: then it can subscribe."""
    try:
        return client.subscribe(user) is not None
    except (Closed, websockets.ConnectionClosed):
        return False


def crowd(come):
    """Connects clients until one is refused: (how many were admitted, how long it took, the refused one)."""
    began = time.monotonic()
    for number in range(200):
        client = come(number)
        if not is_in(client):
            return number, time.monotonic() - began, client
    raise AssertionError("no client is refused")


def events(server, user=1, **headers):
    """Status and headers of an event stream's answer; the stream itself is left."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"GET /events?user_id={user} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        head = connection.makefile("rb")
        status = int(head.readline().split()[1])
        answer = {}
        while (line := head.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            answer[name.lower()] = value.strip()
        return status, answer


def test_clients_of_an_address(notifier, connect):
    server = notifier(WS_MAX_ADDRESS_CLIENTS=2)
    first, second = connect(server.ws, "192.0.2.1"), connect(server.ws, "192.0.2.1")
    refused(connect(server.ws, "192.0.2.1"), "too many connections from this address", 30)
    refused(connect(server.ws, "8.8.8.8, 192.0.2.1"), "too many connections from this address", 30)
    other = connect(server.ws, "192.0.2.2")
    status, answer = events(server, **{"X-Forwarded-For": "192.0.2.1"})
    assert (status, answer["retry-after"]) == (429, "30") and answer["content-type"] == "application/problem+json"
    assert server.closed("address_clients") == 3
    # An EventSource would not come back after 429: it gets a stream that ends, and a time that differs.
    later = server.http.get("/events?user_id=1", headers={"X-Forwarded-For": "192.0.2.1", "Accept": "text/event-stream"})
    assert later.status == 200 and later.header("Content-Type") == "text/event-stream", later
    retry, event, data, end = later.text.split("\n", 3)
    assert 30_000 <= int(retry.removeprefix("retry: ")) <= 60_000 and event == "event: error" and end == "\n"
    error = json.loads(data.removeprefix("data: "))
    assert error == {"type": "error", "code": "limit", "message": "too many connections from this address; retry after 30 s"}
    assert server.closed("address_clients") == 4
    for client in (first, second, other):
        client.subscribe(1)  # admitted clients do not notice
    first.close()
    eventually(lambda: is_in(connect(server.ws, "192.0.2.1"), 1))


def test_an_address_that_is_only_claimed(notifier, connect):
    """With WS_TRUST_PROXY=none no header is believed: all clients come from 127.0.0.1."""
    server = notifier(WS_MAX_ADDRESS_CLIENTS=2, WS_TRUST_PROXY="none")
    connect(server.ws, "192.0.2.1").subscribe(1)
    connect(server.ws, "192.0.2.2").subscribe(1)
    refused(connect(server.ws, "192.0.2.3"), "too many connections from this address", 30)


@pytest.mark.long
def test_nginx_tells_the_address_and_not_the_client():
    """Through the whole stack: a header of the client's own does not get past nginx."""
    stack = Stack.start(WS_MAX_ADDRESS_CLIENTS=2, API_WORKERS=1)
    try:
        clients = [WebSocket(stack.ws, headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(3)]
        refused(clients[2], "too many connections from this address", 30)
        for client in clients[:2]:
            client.subscribe(1)
        answer = stack.client().get("/events?user_id=1", headers={"X-Forwarded-For": "192.0.2.9"})
        assert answer.status == 429 and answer.headers["Retry-After"] == "30", answer
        for client in clients:
            client.close()
    finally:
        stack.stop()


def test_handshakes_of_an_address(notifier, connect):
    """Two a second; twenty at once. Of an IPv6 address the network counts."""
    server = notifier(WS_MAX_ADDRESS_HANDSHAKES_S=2)
    came, seconds, last = crowd(lambda number: connect(server.ws, f"2001:db8::{number + 1}"))
    assert 20 <= came <= 20 + 2 * seconds + 1
    refused(last, "too many new connections from this address", 10)
    assert is_in(connect(server.ws, "2001:db8:0:1::1"))
    eventually(lambda: is_in(connect(server.ws, "2001:db8::1")))
    eventually(lambda: events(server, **{"X-Forwarded-For": "2001:db8::3"})[0] == 429, interval=0)  # faster than two a second
    assert server.closed("address_handshakes") >= 2


def test_pings_are_messages(notifier):
    """The library answered any number of them."""
    server = notifier(WS_MAX_MESSAGES_S=5)
    client = RawWebSocket(server.ws)
    try:
        # In one piece: while the machine stalls, some more are allowed.
        client.send_bytes(b"".join(client.frame(OP_PING, b"x") for _ in range(1000)))
    except OSError:
        pass  # closed already: as it should be
    assert client.until_closed() == 4429
    assert server.closed("messages") == 1
    client.close()


def test_handshakes_of_all(notifier, connect):
    server = notifier(WS_MAX_HANDSHAKES_S=2)
    came, seconds, last = crowd(lambda number: connect(server.ws, f"192.0.2.{number}"))
    assert 20 <= came <= 20 + 2 * seconds + 1
    refused(last, "too many new connections", 2)
    eventually(lambda: events(server)[1].get("retry-after") == "2", interval=0)
    assert server.http.get("/healthz").status == 200  # what asks for health is no listener
    assert server.closed("handshakes") >= 2


def test_clients_of_a_user(notifier, connect):
    server = notifier(WS_MAX_USER_CLIENTS=2, JWT_SECRET=SECRET)
    first = connect(server.ws, **bearer(1))
    second = connect(server.ws)
    second.subscribe(1, token=token(1))
    third = connect(server.ws)
    third.send({"type": "subscribe", "user_id": 1, "token": token(1)})
    refused(third, "too many connections of this user", 30)
    refused(connect(server.ws, **bearer(1)), "too many connections of this user", 30)
    status, answer = events(server, **bearer(1))
    assert (status, answer["retry-after"]) == (429, "30")
    connect(server.ws, **bearer(2)).subscribe(2)
    assert events(server, 2, **bearer(2))[0] == 200
    second.subscribe(1, token=token(1, jti="fresh"))
    first.close()
    eventually(lambda: is_in(connect(server.ws, **bearer(1)), 1))


def test_subscriptions_of_a_user(notifier, connect):
    server = notifier(WS_MAX_USER_SUBSCRIPTIONS=3, JWT_SECRET=SECRET)
    admin = bearer(9, scope="tasks:admin")
    first, second = connect(server.ws, **admin), connect(server.ws, **admin)
    for user in (1, 2, 1):
        first.subscribe(user)
    second.subscribe(1)
    assert events(server, 5, **admin)[0] == 429
    second.send({"type": "subscribe", "user_id": 2})
    refused(second, "too many subscriptions of this user", 30)
    eventually(lambda: is_in(connect(server.ws, **admin), 7))
    assert first.is_open


def test_without_tokens_nobody_has_a_share(notifier, connect):
    server = notifier(WS_MAX_USER_CLIENTS=1, WS_MAX_USER_SUBSCRIPTIONS=1)
    for _ in range(5):
        connect(server.ws).subscribe(1)


def test_messages(notifier, connect):
    server = notifier(WS_MAX_MESSAGES_S=2)
    flooding, patient = connect(server.ws), connect(server.ws)
    patient.subscribe(1)
    with pytest.raises((Closed, websockets.ConnectionClosed)):
        for _ in range(200):
            flooding.send({"type": "subscribe", "user_id": 1})
        while True:
            flooding.recv()
    refused(flooding, "too many messages", 10)
    patient.subscribe(2)
    assert server.closed("messages") == 1


def test_bytes(notifier, connect):
    server = notifier(WS_MAX_BYTES_S=1000, WS_MAX_MESSAGE_BYTES=100_000)
    client = connect(server.ws)
    client.send("x" * 8000)
    assert client.recv()["code"] == "bad_request"
    with contextlib.suppress(websockets.ConnectionClosed):  # it may be closed before all was sent
        client.send(["y" * 500] * 100)  # in pieces; half a minute of stalls allows less
    refused(client, "too many bytes", 10)
    assert server.closed("bytes") == 1


def test_who_hears_nobody(notifier, connect):
    server = notifier(WS_SILENT_S=1, WS_PING_S=1, WS_PONG_TIMEOUT_S=8)  # it is looked at when a ping or its pong is due

    def subscribed():
        """Within a second of its connect: on a machine that stalls, another one."""
        client = connect(server.ws)
        return client if is_in(client) else None

    listening, leaving = eventually(subscribed), eventually(subscribed)
    before, silent = server.closed("silent"), connect(server.ws)
    assert silent.wait_closed() == (4408, "nothing was subscribed")
    assert listening.is_open and leaving.is_open
    leaving.send({"type": "unsubscribe", "user_id": 1})
    assert leaving.wait_closed(60) == (4408, "nothing was subscribed")
    assert listening.is_open
    assert server.closed("silent") == before + 2


def test_a_stream_that_is_left(notifier):
    """Its place is free again soon, not at the next heartbeat (and till then its end would keep the loop awake)."""
    server = notifier(WS_HEARTBEAT_S=600)

    def count(name):
        return int(re.search(rf"^carillon_notifier_{name} (\d+)$", server.http.get("/metrics").text, re.MULTILINE)[1])

    assert [events(server)[0] for _ in range(3)] == [200, 200, 200]  # each leaves
    eventually(lambda: count("clients") == 0)


def ends_before_the_library_would(ended):
    """ended(): how long it took. libwebsockets' own patience is 10 s, each time; ours takes longer only where the machine
    stalls."""
    taken = []
    while min(taken, default=10) >= 9 and len(taken) < 4:
        taken.append(ended())
    assert min(taken) < 9, taken


@pytest.mark.parametrize("said", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"])
def test_headers_that_do_not_come(notifier, said):
    server = notifier(WS_HEADERS_S=1)

    def ended():
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(said)
            while True:
                try:
                    if connection.recv(1000) == b"":
                        break
                except ConnectionError:
                    break
        return time.monotonic() - began

    ends_before_the_library_would(ended)
    assert server.http.get("/healthz").status == 200


def test_headers_that_come_letter_by_letter(notifier):
    """Each byte is a sign of life, and yet the time is limited."""
    server = notifier(WS_HEADERS_S=1)

    def ended():
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=0.2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            while time.monotonic() < began + 9:
                try:
                    connection.sendall(b"X")
                    if connection.recv(1000) == b"":
                        break
                except TimeoutError:
                    pass
                except OSError:
                    break
        return time.monotonic() - began

    ends_before_the_library_would(ended)


def test_by_default_one_address_may_come_with_thousands(notifier):
    server = notifier(WS_PING_S=3600, WS_SILENT_S=0)  # they neither answer pings nor subscribe, and 500 take a while
    clients = [RawWebSocket(server.ws) for _ in range(500)]
    assert "carillon_notifier_clients 500" in server.http.get("/metrics").text
    for client in clients:
        client.close()
