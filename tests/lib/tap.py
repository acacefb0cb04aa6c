# SPDX-License-Identifier: MIT
"""Stands between clients and a stack's nginx and passes everything on. lib/contract.py judges what went by: each request with
its answer, each frame of a WebSocket, each event of a stream."""

import http.client
import io
from contextlib import contextmanager

import pytest

from . import contract
from .http import Response
from .relay import Relay
from .ws import OP_TEXT, first_frame


def head_of(data):
    """(the first line's words, headers, bytes) of a request or an answer; None while it is not complete."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    line, _, lines = bytes(data[:end]).partition(b"\r\n")
    return line.decode("latin-1").split(" "), http.client.parse_headers(io.BytesIO(lines)), end


def pieces_of(data):
    """(body, bytes, whether it is complete) of a chunked one."""
    body, at = b"", 0
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end], 16)
        after = end + 2 + size + 2
        if len(data) < after:
            break
        body, at = body + data[end + 2 : after - 2], after
        if size == 0:
            return body, at, True
    return body, at, False


def body_of(headers, data):
    """(body, bytes); None while it is not complete."""
    if headers.get("Transfer-Encoding") == "chunked":
        body, taken, complete = pieces_of(data)
        return (body, taken) if complete else None
    length = int(headers.get("Content-Length", 0))
    return (data[:length], length) if len(data) >= length else None


class Conversation:
    """What both sides of a connection have said. What is complete is judged, and forgotten."""

    def __init__(self):
        self.asked, self.told, self.complaints = bytearray(), bytearray(), []
        self._go_on = self._exchange
        self._text, self._in_pieces = b"", False

    def judge(self):
        while self._go_on():
            pass

    def _judge(self, judge, *what):
        try:
            judge(*what)
        except (AssertionError, ValueError) as wrong:
            self.complaints.append(f"{wrong}")

    def _exchange(self):
        """A request and its answer; False when they are not complete."""
        asked, told = head_of(self.asked), head_of(self.told)
        if asked is None or told is None:
            return False
        (method, address, *_), headers, asked_head = asked
        (_, status, *_), answered, told_head = told
        status = int(status)
        if status == 100:  # "go on": the answer comes later
            del self.told[:told_head]
            return True
        streamed = answered.get("Content-Type") == "text/event-stream"
        bodiless = method == "HEAD" or status in (101, 204, 304)
        request = body_of(headers, bytes(self.asked[asked_head:]))
        answer = (b"", 0) if streamed or bodiless else body_of(answered, bytes(self.told[told_head:]))
        if answer is None or request is None and status < 400:
            return False
        body, taken = request or (b"", len(self.asked))
        del self.asked[: asked_head + taken]
        del self.told[: told_head + answer[1]]
        self._judge(contract.calls().judge, method, address, Response(status, answered, answer[0]), headers, body)
        if status == 101:
            self._go_on = self._frames
        elif request is None:  # refused before it was complete: nginx closes then
            self._go_on = lambda: False
        elif streamed and not bodiless:
            self._go_on, self._in_pieces = self._stream, "Transfer-Encoding" in answered
        return True

    def _frames(self):
        for said, judge in ((self.asked, contract.frames().judge_sent), (self.told, contract.frames().judge)):
            while frame := first_frame(said):
                opcode, payload, taken = frame
                del said[:taken]
                if opcode == OP_TEXT:
                    self._judge(judge, payload.decode())
        return False

    def _stream(self):
        data, complete = bytes(self.told), False
        taken = len(data)
        if self._in_pieces:
            data, taken, complete = pieces_of(data)
        del self.told[:taken]
        *events, self._text = (self._text + data).split(b"\n\n")
        for event in events:
            self._judge(contract.frames().judge_streamed, event.decode())
        if complete:
            self._go_on = self._exchange
        return complete


class Tap:
    def __init__(self, stack):
        self._conversations = []
        self._relay = Relay(stack.port("PORT"), watch=self._begin)
        address = f"127.0.0.1:{self._relay.port}"
        self.endpoints = {"http": f"http://{address}", "ws": f"ws://{address}/ws"}

    def _begin(self):
        conversation = Conversation()
        self._conversations.append(conversation)
        return conversation.asked.extend, conversation.told.extend

    def complaints(self):
        """What the documents do not allow, since the last call."""
        found = []
        for conversation in self._conversations:
            conversation.judge()
            found += conversation.complaints
            conversation.complaints.clear()
        return found

    def close(self):
        self._relay.close()


@contextmanager
def tapped(stack):
    """Inside, the stack's address is that of a tap."""
    tap, direct = Tap(stack), dict(stack.endpoints)
    stack.endpoints.update(tap.endpoints)
    stack.tap = tap
    try:
        yield tap
    finally:
        stack.tap = None
        stack.endpoints.update(direct)
        tap.close()


# ---- fixtures, for a suite's conftest.py: its stacks are tapped ----------------------------------


@pytest.fixture(scope="session")
def stack(stack):
    with tapped(stack):
        yield stack


@pytest.fixture(scope="session")
def guarded_stack(guarded_stack):
    with tapped(guarded_stack):
        yield guarded_stack


@pytest.fixture(autouse=True)
def judged(request):
    """After each test, what went by in it."""
    yield
    stacks = [value for value in request.node.funcargs.values() if getattr(value, "tap", None)]
    complaints = [complaint for one in stacks for complaint in one.tap.complaints()]
    assert not complaints, "\n\n".join(complaints)
