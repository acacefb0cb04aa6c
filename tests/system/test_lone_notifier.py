# SPDX-License-Identifier: MIT
"""A notifier alone, without a broker: the memory that sockets may take, and the effect of a stopped process on them."""

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

from lib.http import Http
from lib.ports import Block
from lib.stack import BUILD_DIR
from lib.wait import eventually, patience
from lib.ws import OP_CONTINUE, OP_PING, OP_PONG, OP_TEXT, RawWebSocket, WebSocket, close_code


class Lone:
    def __init__(self, port, process, log):
        self.url, self.process, self._log = f"ws://127.0.0.1:{port}/ws", process, log
        self.http = Http(f"http://127.0.0.1:{port}")

    def log(self):
        return self._log.read_text()

    def metric(self, name):
        lines = [line.rpartition(" ") for line in self.http.get("/metrics").text.splitlines()]
        [value] = [value for key, _, value in lines if key == f"carillon_notifier_{name}"]
        return int(value)


@contextmanager
def notifier(log, **settings):
    block = Block()
    environment = {"PATH": os.environ["PATH"], "AMQP_PASSWORD": "x", "AMQP_PORT": "1", "WS_PORT": str(block.first)}
    environment.update({name: str(value) for name, value in settings.items()})
    with open(log, "wb") as file:
        process = subprocess.Popen([BUILD_DIR / "ws-notifier"], env=environment, stderr=file)
    one = Lone(block.first, process, log)
    try:
        eventually(lambda: "listening on" in one.log() or process.poll() is not None, 60, "it listens")
        yield one
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)
        block.release()


def test_every_address_of_a_name(tmp_path):
    """Which of them a client takes is its own choice."""
    with notifier(tmp_path / "log", WS_HOST="localhost") as one:
        port = int(one.url.split(":")[2].split("/")[0])
        there = {address[4][0] for address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        for host in there | {"127.0.0.1"}:
            try:
                socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
            except OSError:
                continue  # this machine has no such address
            with socket.create_connection((host, port), 30) as sock:
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert sock.recv(1000).startswith(b"HTTP/1.1 200"), host


def test_an_address_that_is_taken_is_an_error(tmp_path):
    with notifier(tmp_path / "first") as first:
        port = first.url.split(":")[2].split("/")[0]
        with notifier(tmp_path / "second", WS_HOST="localhost", WS_PORT=port) as second:
            assert second.process.wait(60) == 1
            assert f"localhost port {port}: Address already in use" in second.log()


def test_memory_must_have_room_for_the_sockets(tmp_path):
    with notifier(tmp_path / "log", NOTIFIER_MEMORY_BYTES=1_000_000) as one:
        assert one.process.wait(60) == 1
        [line] = [line for line in one.log().splitlines() if "cannot start" in line]
        assert "NOTIFIER_MEMORY_BYTES is 1000000: WS_MAX_CLIENTS=16000 sockets want half of it" in line


def test_subscriptions_end_where_their_memory_does(tmp_path):
    """500,000 bytes for 10 sockets and subscriptions: existing ones stay, a further subscription is refused."""
    settings = {"NOTIFIER_MEMORY_BYTES": 1_000_000, "WS_MAX_CLIENTS": 10, "WS_MAX_SUBSCRIPTIONS": 1000, "WS_MAX_MESSAGES_S": 0, "WS_SILENT_S": 0}
    with notifier(tmp_path / "log", **settings) as one:
        sockets = [WebSocket(one.url) for _ in range(3)]
        refused = 0
        for greedy in sockets[:2]:
            for user in range(1, 1001):
                greedy.send({"type": "subscribe", "user_id": user})
            answers = [greedy.recv() for _ in range(1000)]
            refused += sum(answer["type"] == "error" and answer["code"] == "limit" for answer in answers)
        assert 1000 - 700 < 2000 - one.metric("subscriptions") == refused
        sockets[2].send({"type": "subscribe", "user_id": 1})
        assert sockets[2].recv()["code"] == "limit"
        assert all(one.is_open for one in sockets) and one.metric("clients") == 3
        assert one.metric("memory_bytes") <= 500_000
        for each in sockets:
            each.close()


def test_messages_that_come_in_part_are_counted(tmp_path):
    """Each holds 8,000 bytes before it has sent a token; a sixteenth of the memory is for all of them."""
    with notifier(tmp_path / "log", NOTIFIER_MEMORY_BYTES=1_000_000, WS_MAX_CLIENTS=50, WS_PING_S=3600) as one:
        sockets = [RawWebSocket(one.url) for _ in range(20)]
        for number, each in enumerate(sockets, 1):  # one after the other: a busy notifier reads them in any order
            each.send_frame(OP_TEXT, b"x" * 8000, final=False)
            eventually(lambda: one.metric('closed_total{reason="slow"}') >= number - 8, 60, "the first ones are closed")
        assert 40_000 < one.metric("memory_bytes") < 150_000
        assert sockets[0].until_closed() == 4408
        sockets[-1].send_frame(OP_CONTINUE, b"x")
        assert sockets[-1].recv_json()["code"] == "bad_request", "the last one may finish"
        for each in sockets:
            each.close()
        eventually(lambda: one.metric("clients") == 0, 60, "all have left")
        eventually(lambda: one.metric("memory_bytes") < 10_000, 60, "and so has what they held")


def flood(one, begin, again):
    """Sends until it is closed, a minute at most. Returns the close code and the frames it got rid of."""
    raw = RawWebSocket(one.url)
    raw.send_bytes(begin)
    raw.socket.setblocking(False)
    rest, sent, heard, end = b"", 0, b"", time.monotonic() + 60
    while time.monotonic() < end:
        try:
            rest = rest or again * 10_000
            count = raw.socket.send(rest)
            rest, sent = rest[count:], sent + count
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:
            break
        try:
            piece = raw.socket.recv(65536)
            if not piece:
                break
            heard = (heard + piece)[-200:]
        except BlockingIOError:
            pass
        except OSError:
            break
    else:
        raise AssertionError(f"{sent // len(again)} frames in 60 s, and still open")
    raw.close()
    return heard, sent // len(again)


@pytest.mark.parametrize("kind", ["empty fragments", "pings", "pongs"])
def test_what_is_no_message_is_limited_too(tmp_path, kind):
    frames = {
        "empty fragments": (RawWebSocket.frame(OP_TEXT, b"", final=False), RawWebSocket.frame(OP_CONTINUE, b"", final=False)),
        "pings": (b"", RawWebSocket.frame(OP_PING, b"")),
        "pongs": (b"", RawWebSocket.frame(OP_PONG, b"")),
    }
    # So few bytes that a machine on which the notifier is slow comes to the limit, too.
    with notifier(tmp_path / "log", WS_MAX_BYTES_S=40_000) as one:
        good = WebSocket(one.url)
        good.subscribe(1)
        _, sent = flood(one, *frames[kind])
        print(f"{sent} {kind} before it was dropped")
        assert one.metric(f'closed_total{{reason="{"messages" if kind == "pings" else "bytes"}"}}') == 1
        eventually(lambda: one.metric("clients") == 1, 30, "it has left")
        good.subscribe(2)
        good.close()


@pytest.mark.long
def test_a_pause_of_the_process_costs_no_socket(tmp_path):
    """Stopped for longer than a peer may be silent: the pongs and messages that wait are read first."""
    with notifier(tmp_path / "log", WS_PING_S=1, WS_PONG_TIMEOUT_S=7) as one:  # the test itself may stand still for a while
        sockets = [WebSocket(one.url) for _ in range(20)]
        for each in sockets:
            each.subscribe(1)
        for _ in range(2):
            one.process.send_signal(signal.SIGSTOP)
            time.sleep(10)
            one.process.send_signal(signal.SIGCONT)
            for each in sockets:
                each.subscribe(1)
        assert one.metric('closed_total{reason="dead"}') == 0
        assert "stood still for" in one.log()
        for each in sockets:
            each.close()


def test_one_that_is_dead_is_still_found(tmp_path):
    with notifier(tmp_path / "log", WS_PING_S=1, WS_PONG_TIMEOUT_S=1) as one:
        raw = RawWebSocket(one.url)  # answers no ping
        eventually(lambda: one.metric('closed_total{reason="dead"}') == 1, 6, "it is dropped")  # by default after 35 s
        raw.close()


@pytest.mark.long
def test_one_that_speaks_again_is_pinged_before_it_is_dead(tmp_path):
    """It is looked at by the time of its first message, and its ping is due by that of its second."""
    with notifier(tmp_path / "log", WS_PING_S=16, WS_PONG_TIMEOUT_S=1) as one:
        sockets = [RawWebSocket(one.url) for _ in range(200)]
        for turn in range(2):
            for number, each in enumerate(sockets, 1):
                each.send_frame(OP_TEXT, json.dumps({"type": "subscribe", "user_id": number}).encode())
            if turn == 0:
                time.sleep(1.3)  # it is looked at after a second, and then when its ping is due
        for each in sockets:
            heard = []
            with suppress(EOFError, ConnectionError):
                while True:
                    heard.append(each.recv_frame(patience(60))[0])
            assert heard == [OP_TEXT, OP_TEXT, OP_PING]
            each.close()
