# SPDX-License-Identifier: MIT
"""WebSocket clients that ordinary (blocking) test code can use, and one that breaks the rules."""

import asyncio
import base64
import inspect
import json
import os
import queue
import socket
import struct
import threading
import time
import urllib.parse

import websockets

from .wait import patience

# From websockets 14 on its argument is called otherwise.
ACCEPTED = inspect.signature(websockets.connect.__init__).parameters
HEADERS = "additional_headers" if "additional_headers" in ACCEPTED else "extra_headers"


class _Loop:
    """One asyncio loop on a thread of its own, for all clients."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="websockets", daemon=True).start()

    def run(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)


_shared = None


def shared_loop():
    global _shared
    if _shared is None:
        _shared = _Loop()
    return _shared


class Closed(AssertionError):
    def __init__(self, code, reason):
        super().__init__(f"the socket was closed: {code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """Reads all the time; recv() hands out frames in order. `texts` holds every frame seen so far. Each `timeout` is for
    a quiet machine (lib/wait.py)."""

    def __init__(self, url, headers=None, judge=None, **options):
        """judge(text) sees each frame when it is received."""
        self.judge = judge
        self._loop = shared_loop()
        self._queue = queue.Queue()
        self.texts = []
        self._closed = threading.Event()
        options.setdefault("ping_interval", None)
        options.setdefault("max_size", None)
        options.setdefault("open_timeout", 45)
        options.setdefault("compression", None)
        if headers:
            options[HEADERS] = headers
        self._loop.run(self._open(url, options))

    async def _open(self, url, options):
        self._socket = await websockets.connect(url, **options)
        self._reader = asyncio.create_task(self._read())

    async def _read(self):
        try:
            async for frame in self._socket:
                self.texts.append(frame)
                self._queue.put(frame)
        except websockets.ConnectionClosed:
            pass
        finally:
            self._queue.put(None)
            self._closed.set()

    def send(self, message):
        """str and bytes (and lists of them, as fragments) go out as they are, anything else as JSON."""
        if not isinstance(message, (str, bytes, list)):
            message = json.dumps(message, separators=(",", ":"))
        self._loop.run(self._socket.send(message))

    def _next(self, seconds):
        try:
            frame = self._queue.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            raise AssertionError(f"no frame within {seconds:.3g} s (so far: {self.texts[-5:]})") from None
        if frame is None:
            self._queue.put(None)
            raise Closed(self._socket.close_code, self._socket.close_reason)
        if self.judge:
            self.judge(frame)
        return frame

    def recv_text(self, timeout=10):
        return self._next(patience(timeout))

    def recv(self, timeout=10):
        return json.loads(self.recv_text(timeout))

    def recv_until(self, wanted, timeout=10):
        """Skips frames until wanted(frame) is true."""
        end = time.monotonic() + patience(timeout)
        while True:
            frame = json.loads(self._next(end - time.monotonic()))
            if wanted(frame):
                return frame

    def notification(self, timeout=10):
        """The next notification, past heartbeats."""
        frame = self.recv_until(lambda frame: frame["type"] != "heartbeat", timeout)
        assert frame["type"] == "notification", frame
        return frame

    def subscribe(self, user_id, **more):
        self.send({"type": "subscribe", "user_id": user_id, **more})
        frame = self.recv_until(lambda frame: frame["type"] not in ("notification", "heartbeat"))
        assert frame["type"] == "subscribe" and frame["user_id"] == user_id, frame
        return frame

    def nothing_before_answer(self):
        """Fails if anything but heartbeats and the answer to a question asked now is waiting in the socket."""
        self.send({"type": "unsubscribe", "user_id": 2147483647})
        frame = self.recv_until(lambda frame: frame.get("type") != "heartbeat")
        assert frame.get("type") in ("unsubscribe", "error"), f"unexpected frame {frame}"

    @property
    def is_open(self):
        return not self._closed.is_set()

    def wait_closed(self, timeout=10):
        """(code, reason); 1006 when the connection just ended."""
        assert self._closed.wait(patience(timeout)), f"still open after {patience(timeout)} s"
        return self._socket.close_code, self._socket.close_reason

    def close(self):
        try:
            self._loop.run(self._socket.close(), timeout=15)
        except Exception:  # the peer may be frozen or gone: the test is over anyway
            if self._socket.transport:
                self._loop.loop.call_soon_threadsafe(self._socket.transport.abort)

    def abort(self):
        """Ends the connection without the closing handshake."""
        self._loop.loop.call_soon_threadsafe(self._socket.transport.abort)


OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE, OP_PING, OP_PONG = 0, 1, 2, 8, 9, 10


class RawWebSocket:
    """Speaks the protocol frame by frame on a blocking socket: answers no ping, and sends what it is told."""

    def __init__(self, url, timeout=60, early=b""):
        """`early` goes out with the handshake, without waiting for its answer."""
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        path = parts.path or "/"
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + early
        )
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            chunk = self.socket.recv(4096)
            assert chunk, "closed during the handshake"
            self._buffer += chunk
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        assert self.status == 101, head

    @staticmethod
    def frame(opcode, payload, final=True, masked=True, rsv=0):
        head = bytes([(0x80 if final else 0) | rsv << 4 | opcode])
        bit = 0x80 if masked else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
        if not masked:
            return head + payload
        mask = os.urandom(4)
        repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
        mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        return head + mask + mixed.to_bytes(len(payload), "big")

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send_frame(self, opcode, payload=b"", **more):
        self.send_bytes(self.frame(opcode, payload, **more))

    def _take(self, count):
        while len(self._buffer) < count:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def recv_frame(self, timeout=60):
        """(opcode, payload); EOFError at the end, TimeoutError when nothing comes for exactly so long."""
        self.socket.settimeout(timeout)
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0F, self._take(length)

    def recv_json(self, timeout=15):
        """The next text frame, past pings."""
        while True:
            opcode, payload = self.recv_frame(patience(timeout))
            if opcode == OP_TEXT:
                return json.loads(payload)
            if opcode == OP_CLOSE:
                raise Closed(*close_code(payload))

    def until_closed(self, timeout=15):
        """Reads on to the end: the close frame's code, or 1006 when there is none."""
        end = time.monotonic() + patience(timeout)
        code = 1006
        try:
            while True:
                opcode, payload = self.recv_frame(max(end - time.monotonic(), 0.01))
                if opcode == OP_CLOSE:
                    code = close_code(payload)[0]
                    self.send_frame(OP_CLOSE, payload[:2])
        except (EOFError, ConnectionError):
            return code

    def close(self):
        self.socket.close()


def first_frame(data):
    """(opcode, payload, how many bytes it takes) of the frame that the data begin with; None while it is not complete."""
    if len(data) < 2:
        return None
    length, at = data[1] & 0x7F, 2
    if length > 125:
        at += 2 if length == 126 else 8
        length = int.from_bytes(data[2:at], "big")
    mask = bytes(4)
    if data[1] & 0x80:
        mask, at = data[at : at + 4], at + 4
    if len(data) < at or len(data) < at + length:
        return None
    payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data[at : at + length]))
    return data[0] & 0x0F, payload, at + length


def close_code(payload):
    if len(payload) < 2:
        return 1005, ""
    return struct.unpack("!H", payload[:2])[0], payload[2:].decode(errors="replace")
