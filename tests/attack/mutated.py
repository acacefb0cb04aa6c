# SPDX-License-Identifier: MIT
"""Mutated bodies, paths, headers and WebSocket frames, through nginx."""

import socket
import struct
from dataclasses import dataclass

from lib.ws import OP_BINARY, OP_CLOSE, OP_CONTINUE, OP_PING, OP_PONG, OP_TEXT, RawWebSocket, close_code

from . import seeds
from .blast import blast
from .mutator import Mutator
from .wire import GLIMPSE_S, PATIENCE_S, Wire


@dataclass
class Target:
    host: str
    port: int
    ws: str
    user: int
    task: int


class Sender:
    """One thread's sender: its connection, and the judgement of its answers."""

    def __init__(self, target, judge):
        self.target, self.judge = target, judge
        self.wire = Wire(target.host, target.port)
        self.host = f"{target.host}:{target.port}".encode()
        self.words = seeds.words()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def request(self, method, path, lines=(), body=b""):
        head = [method + b" " + path + b" HTTP/1.1", b"Host: " + self.host, *lines]
        if body or method in (b"POST", b"PATCH", b"PUT"):
            head.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def ask(self, request, method):
        self.judge.answer(request, self.wire.ask(request, method))

    def ask_alone(self, request, method):
        """Such a request may end anywhere, so it gets a connection of its own; a silent server is waited for."""
        answers, rest, closed = self.wire.burst(request, method, after=GLIMPSE_S / 10)
        for answer in answers:
            self.judge.answer(request, answer)
        if rest:  # HTTP/0.9 has no head
            self.judge.words(request, rest)
        if not answers:
            self.judge.happened("HTTP/0.9" if rest else "closed" if closed else "waits")


class Bodies(Sender):
    def __init__(self, *both):
        super().__init__(*both)
        self.mutator = Mutator(seeds.bodies(), self.words)

    def send(self, number, chance):
        method, path = chance.choice(((b"POST", b"/tasks"), (b"PATCH", b"/tasks/%d" % self.target.task)))
        self.ask(self.request(method, path, body=self.mutator.make(chance)), method)


class Paths(Sender):
    METHODS = [b"GET"] * 8 + [b"HEAD", b"POST", b"PATCH", b"DELETE", b"OPTIONS", b"PUT", b"TRACE", b"PROPFIND"]

    def __init__(self, *both):
        super().__init__(*both)
        self.mutator = Mutator(seeds.paths(), self.words)

    def send(self, number, chance):
        method, path = chance.choice(self.METHODS), self.mutator.make(chance)
        request = self.request(method, path)
        if b"\n" in path or b" " in path or not path.startswith(b"/"):
            self.ask_alone(request, method)
        else:
            self.ask(request, method)


class Headers(Sender):
    FRAMING = (b"content-length", b"transfer-", b"expect", b"connection", b"upgrade", b"\nhost")

    def __init__(self, *both):
        super().__init__(*both)
        self.mutator = Mutator(seeds.headers(), self.words)

    def send(self, number, chance):
        lines = [self.mutator.make(chance)[:30_000] for _ in range(chance.choice((1, 1, 2, 4)))]
        task = b"/tasks/%d" % self.target.task
        method, path, body = chance.choice(
            (
                (b"GET", task, b""),
                (b"GET", b"/tasks?limit=2", b""),
                (b"PATCH", task, b'{"status":1}'),
                (b"POST", b"/tasks", b'{"user_id":%d,"content":"x"}' % self.target.user),
                (b"GET", b"/index.html", b""),
                (b"OPTIONS", b"/tasks", b""),
            )
        )
        request = self.request(method, path, lines, body)
        low = b"\n" + b"\n".join(lines).lower()
        if any(b"\n" in line or b"\r" in line or not line for line in lines) or any(name in low for name in self.FRAMING):
            self.ask_alone(request, method)
        else:
            self.ask(request, method)


SERVERS_OWN = {1002, 1005, 1007, 1009, 1012, 4401, 4403, 4408, 4429}
TYPES = {"subscribe", "unsubscribe", "notification", "heartbeat", "error", "reset", "pong"}


class Frames:
    """Mutated messages in valid frames, and one time in eight a frame that breaks the protocol. From time to time,
    and after every broken frame, a question whose answer shows that the notifier still reads."""

    QUESTION = b'{"type":"unsubscribe","user_id":2147483647}'
    EACH, MOST = 16, 400  # messages before a question; messages on one socket, below its share

    def __init__(self, target, judge):
        self.target, self.judge = target, judge
        self.mutator = Mutator(seeds.messages(), seeds.words())
        self.socket, self.sent = None, 0
        self.last = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def send(self, number, chance):
        if self.socket is None or self.sent >= self.MOST:
            self.drop()
            self.socket, self.sent = RawWebSocket(self.target.ws, PATIENCE_S), 0
        broken = chance.random() < 0.125
        message = self.mutator.make(chance)
        self.last = self.broken(chance, message) if broken else RawWebSocket.frame(OP_TEXT, message)
        self.judge.happened("broken" if broken else "frames")
        self.sent += 1
        try:
            self.socket.send_bytes(self.last)
            if broken or number % self.EACH < 6 or len(message) > 8000:  # each thread has every second, third... number
                self.socket.send_frame(OP_TEXT, self.QUESTION)
                self.read(GLIMPSE_S if broken else PATIENCE_S)
        except (ConnectionError, EOFError):
            self.judge.happened("ended")
            self.drop()

    @staticmethod
    def broken(chance, message):
        opcode = chance.choice((OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG, 3, 7, 11, 15))
        way = chance.randrange(6)
        if way == 0:
            return RawWebSocket.frame(opcode, message, masked=False)
        if way == 1:
            return RawWebSocket.frame(opcode, message, rsv=chance.randrange(8), final=chance.random() < 0.5)
        if way == 2:  # a wrong length
            return bytes([0x80 | opcode, 0xFF]) + struct.pack("!Q", chance.choice((0, 1, 2**31, 2**32, 2**63, 2**64 - 1)))
        if way == 3:  # a length in a longer form than necessary
            return bytes([0x80 | opcode, 0xFE, 0, 5, 0, 0, 0, 0]) + b"hello"
        if way == 4:
            return chance.randbytes(chance.randrange(1, 60))
        frame = bytearray(RawWebSocket.frame(opcode, message))
        frame[chance.randrange(min(len(frame), 12))] ^= 1 << chance.randrange(8)
        return bytes(frame)

    def read(self, patience):
        try:
            while True:
                opcode, payload = self.socket.recv_frame(patience)
                if opcode == OP_TEXT:
                    self.judge.text(self.last, payload)
                    if payload == self.QUESTION:
                        return
                elif opcode == OP_CLOSE:
                    code, reason = close_code(payload)
                    # The library answers a close frame with the same code, whatever it is.
                    self.judge.happened(f"closed {code}" if code in SERVERS_OWN else "closed as it asked")
                    self.judge.words(self.last, reason.encode())
                    self.drop()
                    return
        except (TimeoutError, socket.timeout):
            if patience == PATIENCE_S:
                self.judge.find(f"no answer to a question within {patience:g} s\n    sent     {self.last[:400]!r}")
            self.judge.happened("waits")
            self.drop()


KINDS = {"bodies": Bodies, "paths": Paths, "headers": Headers, "frames": Frames}


def attack(kind):
    def run(ground, judge):
        user, task = ground.prey()
        target = Target(ground.host, ground.port, ground.stack.ws, user, task)
        blast(judge, __name__, kind, target, ground.seed, ground.count)

    return run
