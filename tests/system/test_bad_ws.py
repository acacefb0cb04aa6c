# SPDX-License-Identifier: MIT
"""Frames that no client should send over a WebSocket, and the answers: an error, or a close code with the reason;
never a lost frame for another client."""

import json
import os
import re
import time

import pytest

from lib.http import Http, assert_problem
from lib.proc import read
from lib.wait import patience
from lib.ws import OP_CLOSE, OP_CONTINUE, OP_PING, OP_PONG, OP_TEXT, RawWebSocket


@pytest.fixture
def raw(stack):
    opened = []

    def open_one(url=None):
        opened.append(RawWebSocket(url or stack.ws))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def witness(stack, http, sockets):
    """An honest client; calling it checks that it still hears of its task at once."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    honest = sockets()
    honest.subscribe(user)

    def check():
        assert http.patch(f"/tasks/{task}", {"status": 1}).status == 200
        assert honest.notification()["task"]["id"] == task

    check()
    return check


def is_error(frame):
    return frame["type"] == "error" and frame["code"] == "bad_request" and frame["message"]


BAD_TEXTS = [
    "",
    " ",
    "hello",
    "{",
    "[]",
    "null",
    "1",
    '"subscribe"',
    "{}",
    '{"type":"subscribe"}',
    '{"user_id":1}',
    '{"type":null,"user_id":1}',
    '{"type":1,"user_id":1}',
    '{"type":"","user_id":1}',
    '{"type":"Subscribe","user_id":1}',
    '{"type":"publish","user_id":1}',
    '{"type":"subscribe","user_id":"1"}',
    '{"type":"subscribe","user_id":-1}',
    '{"type":"subscribe","user_id":0}',
    '{"type":"subscribe","user_id":1.5}',
    '{"type":"subscribe","user_id":1e400}',
    '{"type":"subscribe","user_id":4294967296}',
    '{"type":"subscribe","user_id":18446744073709551617}',
    '{"type":"subscribe","user_id":true}',
    '{"type":"subscribe","user_id":null}',
    '{"type":"subscribe","user_id":[1]}',
    '{"type":"subscribe","user_id":{}}',
    '{"type":"subscribe","USER_ID":1}',
    '{"type":"subscribe","user_id":1,"user_id":2}',
    '{"type":"subscribe","user_id":1} x',
    '{"type":"subscribe","user_id":1,"since":1}',
    '{"type":"subscribe","user_id":1,"since":""}',
    '{"type":"subscribe","user_id":1,"since":"nonsense"}',
    '{"type":"subscribe","user_id":1,"since":"a:b"}',
    '{"type":"subscribe","user_id":1,"since":[]}',
    '{"type":"unsubscribe"}',
    '{"type":"unsubscribe","user_id":"1"}',
    '{"type":"subscribe\\u0000","user_id":1}',
    '{"type":"ping","user_id":1}',
    '{"type":"pong"}',
    "[" * 8000,
    '{"a":' * 1500,
]


@pytest.mark.parametrize("text", BAD_TEXTS, ids=lambda text: text[:45])
def test_bad_text(ws, text):
    ws.send(text)
    assert is_error(ws.recv()), ws.texts
    ws.send('{"type":"subscribe","user_id":1}')  # the connection stays open
    assert ws.recv_text() == '{"type":"subscribe","user_id":1}'


def test_all_bad_texts_on_one_socket(ws, witness):
    for text in BAD_TEXTS:
        ws.send(text)
    for text in BAD_TEXTS:
        assert is_error(ws.recv()), text
    witness()


def test_binary_frame(ws, witness):
    ws.send(b'{"type":"subscribe","user_id":1}')
    assert is_error(ws.recv())
    witness()


def test_invalid_utf8(raw, witness):
    client = raw()
    client.send_frame(OP_TEXT, b'{"type":"subscribe","user_id":1,"x":"\xff"}')
    assert client.until_closed() == 1007
    witness()


@pytest.mark.parametrize("size", [9_000, 100_000, 10_000_000])
def test_message_too_large(raw, witness, size):
    client = raw()
    try:
        client.send_frame(OP_TEXT, b"a" * size)
    except OSError:
        pass  # closed before all was sent: as it should be
    code = client.until_closed()
    assert code in (1009, 1006) if size > 9_000 else code == 1009, code
    witness()


def test_message_of_the_largest_size(ws):
    text = '{"type":"subscribe","user_id":1}'
    ws.send(text + " " * (8192 - len(text)))
    assert ws.recv()["type"] in ("subscribe", "error")
    assert ws.is_open


def test_a_thousand_fragments(raw, witness):
    client = raw()
    text = b'{"type":"subscribe","user_id":1' + b" " * 968 + b"}"
    assert len(text) == 1000
    for place, byte in enumerate(text):
        client.send_frame(OP_TEXT if place == 0 else OP_CONTINUE, bytes([byte]), final=place == 999)
    assert client.recv_json()["type"] == "subscribe"
    witness()


def test_fragments_too_large_together(raw, witness):
    client = raw()
    try:
        client.send_frame(OP_TEXT, b"a" * 1000, final=False)
        for _ in range(1000):
            client.send_frame(OP_CONTINUE, b"a" * 1000, final=False)
    except OSError:
        pass
    assert client.until_closed() in (1009, 1006)
    witness()


def test_ping_between_fragments(raw):
    client = raw()
    client.send_frame(OP_TEXT, b'{"type":"subscribe",', final=False)
    client.send_frame(OP_PING, b"hello")
    client.send_frame(OP_CONTINUE, b'"user_id":1}')
    frames = [client.recv_frame(), client.recv_frame()]
    assert (OP_PONG, b"hello") in frames
    assert (OP_TEXT, b'{"type":"subscribe","user_id":1}') in frames


def test_frame_without_mask(raw, witness):
    client = raw()
    client.send_frame(OP_TEXT, b'{"type":"subscribe","user_id":1}', masked=False)
    assert client.until_closed() == 1002
    witness()


@pytest.mark.parametrize("opcode", [3, 7, 11, 15])
def test_reserved_opcode(raw, witness, opcode):
    client = raw()
    client.send_frame(opcode, b"x")
    assert client.until_closed() == 1002
    witness()


def test_noise_after_the_handshake(raw, witness):
    for _ in range(20):
        client = raw()
        try:
            client.send_bytes(os.urandom(5000))
        except OSError:
            pass
        client.close()
    witness()


def test_a_thousand_subscriptions_on_one_socket(ws, witness):
    """WS_MAX_SUBSCRIPTIONS (256) of them are taken; the rest are refused, not forgotten."""
    for user in range(1, 1001):
        ws.send({"type": "subscribe", "user_id": user})
    answers = [ws.recv_until(lambda frame: frame["type"] in ("subscribe", "error")) for _ in range(1000)]
    assert [frame["type"] for frame in answers] == ["subscribe"] * 256 + ["error"] * 744
    assert [frame["user_id"] for frame in answers[:256]] == list(range(1, 257))
    ws.send({"type": "unsubscribe", "user_id": 1})
    assert ws.recv_until(lambda frame: frame["type"] != "notification")["type"] == "unsubscribe"
    ws.send({"type": "subscribe", "user_id": 999})
    assert ws.recv_until(lambda frame: frame["type"] != "notification") == {"type": "subscribe", "user_id": 999}
    witness()


def test_subscribing_and_unsubscribing_many_times(ws, witness):
    for _ in range(2000):
        ws.send('{"type":"subscribe","user_id":1}')
        ws.send('{"type":"unsubscribe","user_id":1}')
    for _ in range(2000):
        assert ws.recv_until(lambda frame: frame["type"] != "notification")["type"] == "subscribe"
        assert ws.recv_until(lambda frame: frame["type"] != "notification")["type"] == "unsubscribe"
    witness()


def test_unsubscribe_without_subscription(ws):
    ws.send('{"type":"unsubscribe","user_id":77}')
    assert ws.recv() == {"type": "unsubscribe", "user_id": 77}


def test_half_open_peer_is_closed(small_stack):
    """One that answers no ping (1 s here, 25 s by default) is gone soon after (10 s). It is subscribed, which keeps a
    client that is there for ever."""
    notifier = small_stack.notifier()
    question = b'{"type":"subscribe","user_id":1}'
    client = RawWebSocket(small_stack.ws)
    client.send_frame(OP_TEXT, question)
    end = time.monotonic() + patience(20)
    frames = []
    try:
        while not frames or frames[-1][0] != OP_CLOSE:
            frames.append(client.recv_frame(max(end - time.monotonic(), 0.01)))
    except (EOFError, ConnectionError):
        pass
    assert (OP_TEXT, question) in frames
    assert OP_PING in [opcode for opcode, _ in frames], "no ping was sent"
    assert read(notifier.pid) is not None
    client.close()


def test_peer_that_answers_pings_stays(small_stack):
    client = small_stack.socket()
    client.subscribe(1, since=None)
    for _ in range(5):
        client.recv_until(lambda frame: frame["type"] == "heartbeat")
    assert client.is_open
    client.close()


def test_slow_reader_is_closed_and_delays_nobody(stack, http, publisher, sockets, witness):
    """One that does not read is closed with 4408 once its queue (8 MB) is full; the others hear on at once."""
    [user] = stack.new_users(1)
    slow = RawWebSocket(f"ws://127.0.0.1:{stack.port('NOTIFIER_PORT')}/")
    slow.send_frame(OP_TEXT, json.dumps({"type": "subscribe", "user_id": user}).encode())
    slow.recv_json()
    good = sockets()
    good.subscribe(user)

    def closed_slow():
        found = re.search(r'carillon_notifier_closed_total{reason="slow"} (\d+)', http.get("/notifier/metrics").text)
        return int(found[1])

    before = closed_slow()
    for number in range(100):
        message = f"{number} " + "x" * 400_000
        publisher.publish(json.dumps({"message": message, "task": {"id": 1, "user_id": user}}).encode())
        assert good.notification()["message"] == message
        if closed_slow() > before:
            break
    assert closed_slow() == before + 1
    assert slow.until_closed() in (4408, 1006)
    witness()
    slow.close()


WHOLE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture(params=["nginx", "WS_PORT", "NOTIFIER_PORT"])
def door(request, stack, http):
    """Where a WebSocket is opened, with the path there."""
    if request.param == "nginx":
        return http, "/ws"
    return Http(f"http://127.0.0.1:{stack.port(request.param)}"), "/"


def handshake(door, without=None, method="GET", version="HTTP/1.1", **headers):
    client, path = door
    headers = {**WHOLE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    headers.pop(without, None)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return client.raw(f"{method} {path} {version}\r\nHost: {client.host}:{client.port}\r\n{lines}\r\n".encode(), method=method)


def asks_for_an_upgrade(answer, status=426):
    """426 says how: RFC 9110, 15.5.22, and RFC 6455, 4.4."""
    assert_problem(answer, status, "upgrade-required")
    assert answer.header("Upgrade") == "websocket" and answer.header("Sec-WebSocket-Version") == "13"
    assert "upgrade" in [word.strip().lower() for line in answer.headers.get_all("Connection") for word in line.split(",")]


def test_plain_http_where_a_websocket_is(door, witness):
    client, path = door
    asks_for_an_upgrade(client.get(path))
    asks_for_an_upgrade(handshake(door, without="Upgrade"))
    assert client.call("HEAD", path).status == 426
    witness()


@pytest.mark.parametrize("version", ["", "8", "12", "14", "99", "x"])
def test_another_version(door, version):
    """It was taken by the library, and 400 by nginx, without a word of the one that is spoken."""
    asks_for_an_upgrade(handshake(door, Sec_WebSocket_Version=version) if version else handshake(door, without="Sec-WebSocket-Version"))


def test_an_upgrade_that_is_none(door):
    """Without Connection, or by HTTP/1.0, Upgrade is to be ignored (RFC 9110, 7.8): nginx made it whole."""
    asks_for_an_upgrade(handshake(door, without="Connection"))
    asks_for_an_upgrade(handshake(door, Connection="keep-alive"))
    assert_problem(handshake(door, version="HTTP/1.0"), 426, "upgrade-required")
    assert handshake(door, Connection="keep-alive, Upgrade").status == 101


def test_a_subprotocol(door):
    """One is spoken, of which nothing follows; a client that needs another is told."""
    assert handshake(door, Sec_WebSocket_Protocol="chat, carillon").header("Sec-WebSocket-Protocol") == "carillon"
    assert "Sec-WebSocket-Protocol" in assert_problem(handshake(door, Sec_WebSocket_Protocol="chat"), 400)["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/events?user_id=1"])
def test_a_websocket_elsewhere(stack, http, path):
    """Any address of the notifier was one."""
    own = Http(f"http://127.0.0.1:{stack.port('NOTIFIER_PORT')}")
    assert "/ws" in assert_problem(handshake((own, path)), 400, "bad-request")["detail"]
    front = path if path.startswith("/events") else f"/notifier{path}"
    assert_problem(handshake((http, front)), 400, "bad-request")


def test_noise_on_the_notifiers_own_port(stack, witness):
    own = Http(f"http://127.0.0.1:{stack.port('NOTIFIER_PORT')}", timeout=30)
    for data in (b"\r\n\r\n", b"hello\r\n\r\n", os.urandom(2000) + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
                 b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n\r\n"):  # fmt: skip
        with own.connect() as sock:
            try:
                sock.sendall(data)
                sock.shutdown(1)
                sock.recv(1000)
            except OSError:
                pass
    witness()


@pytest.mark.parametrize("key", ["", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR=="])
def test_handshake_with_a_bad_key(door, witness, key):
    answer = handshake(door, Sec_WebSocket_Key=key) if key else handshake(door, without="Sec-WebSocket-Key")
    assert "Sec-WebSocket-Key" in assert_problem(answer, 400, "bad-request")["detail"]
    witness()


def test_clients_that_leave_without_a_word(stack, sockets, witness):
    opened = [sockets() for _ in range(50)]
    for client in opened:
        client.subscribe(1)
    for client in opened:
        client.abort()
    witness()


def test_unknown_fields_are_harmless_or_refused(ws):
    ws.send('{"type":"subscribe","user_id":1,"extra":{"a":[1]}}')
    assert ws.recv()["type"] in ("subscribe", "error")
    assert ws.is_open
