# SPDX-License-Identifier: MIT
"""HTTP as bytes: sends exactly the given bytes, and reads answers with little work. lib.ws sends WebSocket frames."""

import select
import socket
from dataclasses import dataclass, field

PATIENCE_S = 30.0  # for an answer that must come
GLIMPSE_S = 0.5  # for one that may come, where the server may rightly wait for more


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes
    headers: dict = field(default_factory=dict)

    def header(self, name):
        return self.headers.get(name, "")


class Silence(Exception):
    """No answer in time."""


class Closed(Exception):
    """The server closed."""


class Wire:
    """One connection, opened when it is needed and kept as long as the server keeps it."""

    def __init__(self, host, port):
        self.address = host, port
        self.socket = None
        self.buffer = b""

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket, self.buffer = None, b""

    def open(self):
        self.close()
        self.socket = socket.create_connection(self.address, PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _more(self, patience):
        self.socket.settimeout(patience)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise Silence from None
        except ConnectionError:
            raise Closed from None
        if not data:
            raise Closed
        self.buffer += data

    def _until(self, mark, patience):
        while (end := self.buffer.find(mark)) < 0:
            self._more(patience)
        data, self.buffer = self.buffer[:end], self.buffer[end + len(mark) :]
        return data

    def _exactly(self, count, patience):
        while len(self.buffer) < count:
            self._more(patience)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _chunks(self, patience):
        body = b""
        while size := int(self._until(b"\r\n", patience).split(b";")[0], 16):
            body += self._exactly(size, patience)
            self._exactly(2, patience)
        self._until(b"\r\n", patience)
        return body

    def _rest(self, patience):
        try:
            while True:
                self._more(patience)
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def read(self, method=b"GET", patience=PATIENCE_S):
        """The next answer; only the head of one without an end (the live feed)."""
        while True:
            head = self._until(b"\r\n\r\n", patience)
            if not head.startswith(b"HTTP/1.1 100"):
                break
        lines = head.split(b"\r\n")
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        body = b""
        if method == b"HEAD" or status in (204, 304):
            pass
        elif headers.get("content-type", "").startswith("text/event-stream") or status == 101:
            self.close()
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]), patience)
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks(patience)
        else:
            body = self._rest(patience)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, head, body, headers)

    def ask(self, request, method=b"GET"):
        """Over the kept connection; None when the server closed without an answer."""
        kept = self.socket is not None
        if not kept:
            self.open()
        elif select.select([self.socket], [], [], 0)[0]:  # it closed while the request was being made
            self.open()
            kept = False
        try:
            self._send(request)
            return self.read(method)
        except Closed:
            self.close()
            return self.ask(request, method) if kept else None  # it may have closed just then

    def _send(self, request):
        """A server may answer and close before it has read all: the answer counts."""
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.sendall(request)
        except ConnectionError:
            pass

    def burst(self, request, method=b"GET", patience=GLIMPSE_S, after=GLIMPSE_S, most=5):
        """Over a connection of its own: every answer that comes until the server closes or waits for more; `after`
        is the patience once there was one. ([Answer, ...], what came that is no answer, whether it closed)."""
        self.open()
        answers, closed = [], False
        try:
            self._send(request)
            while self.socket and len(answers) < most:
                answers.append(self.read(method, after if answers else patience))
            closed = self.socket is None
        except Silence:
            pass
        except (Closed, ValueError, IndexError):
            closed = True
        rest = self.buffer
        self.close()
        return answers, rest, closed
