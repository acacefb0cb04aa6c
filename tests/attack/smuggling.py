# SPDX-License-Identifier: MIT
"""Requests that two readers could read in two ways. Each hides a second one, a DELETE, in what one reader takes for a
body or a value: it must not be executed, and no part of it may come back as a header."""

from concurrent.futures import ThreadPoolExecutor

from .wire import Wire

HIDDEN = b"DELETE /tasks/%d HTTP/1.1\r\nHost: x\r\nX-Hidden: yes\r\n\r\n"

# {what: what the answers may be}; the head's lines and the body of a PATCH of a task. %H is the hidden request, and %N
# its length. "any": there is only one way to read it, so any status is right, but there must be one answer.
REFUSED, ANY = {400, 501}, {200, 400, 403, 404, 405, 411, 412, 413, 415, 417, 422, 426, 431, 501}
LENGTHS = {
    "two lengths": (b"Content-Length: 12\r\nContent-Length: %N", REFUSED),
    "two equal lengths": (b"Content-Length: 12\r\nContent-Length: 12", REFUSED),
    "two lengths in one": (b"Content-Length: 12, 12", REFUSED),
    "length and chunks": (b"Content-Length: 12\r\nTransfer-Encoding: chunked", REFUSED),
    "chunks and length": (b"Transfer-Encoding: chunked\r\nContent-Length: 12", REFUSED),
    "a length with a sign": (b"Content-Length: +12", REFUSED),
    "a negative length": (b"Content-Length: -12", REFUSED),
    "a length in hexadecimal": (b"Content-Length: 0xc", REFUSED),
    "a length and a word": (b"Content-Length: 12 x", REFUSED),
    "a length with a point": (b"Content-Length: 12.0", REFUSED),
    "no length": (b"Content-Length:", REFUSED),
    "a length beyond 64 bits": (b"Content-Length: 18446744073709551628", REFUSED | {413}),
    "a length behind a space": (b"Content-Length : 0\r\nContent-Length: 12", REFUSED),
    "a length on a folded line": (b"X: y\r\n Content-Length: 0\r\nContent-Length: 12", ANY),
    "a length with an underscore": (b"Content_Length: 0\r\nContent-Length: 12", {200}),
    "a length behind a bare CR": (b"X: y\rContent-Length: 0\r\nContent-Length: 12", ANY),
    "a length behind a NUL": (b"X: y\0\r\nContent-Length: 12", ANY),
}
CODINGS = {
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", REFUSED),
    "chunked, and another": (b"Transfer-Encoding: chunked, identity", REFUSED),
    "another, and chunked": (b"Transfer-Encoding: gzip, chunked", REFUSED),
    "xchunked": (b"Transfer-Encoding: xchunked", REFUSED),
    "identity": (b"Transfer-Encoding: identity", REFUSED),
    "quoted": (b'Transfer-Encoding: "chunked"', REFUSED),
    "a vertical tab": (b"Transfer-Encoding: \x0bchunked", REFUSED),
    "a tab": (b"Transfer-Encoding:\tchunked", REFUSED | {200}),
    "a trailing byte": (b"Transfer-Encoding: chunked\xff", REFUSED),
    "a space before the colon": (b"Transfer-Encoding : chunked", ANY),
    "an underscore": (b"Transfer_Encoding: chunked", ANY),
    "a folded line": (b"Transfer-Encoding:\r\n chunked", ANY),
    "HTTP/1.0": (b"Transfer-Encoding: chunked", ANY),
}
CHUNKS = {
    "a size beyond 64 bits": b"10000000000000000c\r\n%B\r\n0\r\n\r\n",
    "the largest size": b"ffffffffffffffff\r\n%B\r\n0\r\n\r\n",
    "a negative size": b"-c\r\n%B\r\n0\r\n\r\n",
    "a size with 0x": b"0xc\r\n%B\r\n0\r\n\r\n",
    "a size with a plus": b"+c\r\n%B\r\n0\r\n\r\n",
    "no size": b"\r\n%B\r\n0\r\n\r\n",
    "a bare LF after the size": b"c\n%B\r\n0\r\n\r\n",
    "a bare CR after the size": b"c\r%B\r\n0\r\n\r\n",
    "a bare LF in an extension": b"c;x\n%B\r\n0\r\n\r\n",
    "an extension that hides": b'c;x="\r\n%H"\r\n%B\r\n0\r\n\r\n',
    "no end of the chunk": b"c\r\n%B0\r\n\r\n",
    "two bytes too many": b"c\r\n%Bxx\r\n0\r\n\r\n",
    "a last chunk of zeros": b"c\r\n%B\r\n00000\r\n\r\n",
    "trailers": b"c\r\n%B\r\n0\r\nContent-Length: 0\r\nHost: y\r\n\r\n",
    "a trailer that hides": b"c\r\n%B\r\n0\r\nX: y\r\n%T\r\n\r\n",
    "a long extension": b"c;" + b"x" * 20_000 + b"\r\n%B\r\n0\r\n\r\n",
    "chunks of one byte": b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"status":1}') + b"0\r\n\r\n",
}
# Names that become a FastCGI parameter of the same name as one of nginx's, and values that would end a line.
VALUES = {
    "Proxy": (b"Proxy: http://127.0.0.1:9", {200}),
    "REQUEST_METHOD": (b"REQUEST_METHOD: DELETE", {200}),
    "Request-Method": (b"Request-Method: DELETE\r\nRequest-Uri: /users\r\nQuery-String: x=1", {200}),
    "HTTP_REQUEST_METHOD": (b"HTTP_REQUEST_METHOD: DELETE\r\nHTTP-Request-Method: DELETE", {200}),
    "REMOTE_ADDR": (b"REMOTE_ADDR: 10.0.0.1\r\nRemote-Addr: 10.0.0.1", {200}),
    "REQUEST_ID": (b"REQUEST_ID: evil-id\r\nRequest-Id: evil-id\r\nX_Request_Id: evil-id", {200}),
    "REQUEST_START": (b"REQUEST_START: 1\r\nRequest-Start: 1", {200}),
    "If_Match": (b'If_Match: "999"', {200}),
    "Authorization_": (b"Authorization_: Bearer x\r\nAuthoriz_ation: Bearer x", {200}),
    "two If-Match": (b'If-Match: *\r\nIf-Match: "999"', ANY),
    "two Content-Types": (b"Content-Type: application/json\r\nContent-Type: text/xml", ANY),
    "X-HTTP-Method-Override": (b"X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\nX-HTTP-Method: DELETE", {200}),
    "X-Original-URL": (b"X-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\nX-Accel-Redirect: /metrics", {200}),
    "two Hosts": (b"Host: y", {400}),
    "a Host of its own kind": (b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example", {200}),
    "CR in X-Request-Id": (b"X-Request-Id: a\rX-Evil: yes", ANY),
    "an encoded CRLF in X-Request-Id": (b"X-Request-Id: a%0d%0aX-Evil: yes", {200}),
    "a tab in X-Request-Id": (b"X-Request-Id: a\tX-Evil: yes", {200}),
    "CR in traceparent": (b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\rX-Evil: yes", ANY),
    "CR in Origin": (b"Origin: http://x\rX-Evil: yes", ANY),
    "CR in If-Match": (b'If-Match: "1"\rX-Evil: yes', ANY),
    "a hop of ours named": (b"Connection: close, X-Request-Id, Host, Content-Length", ANY),
    "HTTP/2 asked for": (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", {200}),
    "a promise to wait": (b"Expect: 100-continue", {200}),
    "another promise": (b"Expect: 200-ok", ANY),
    "Trailer": (b"Trailer: Content-Length", {200}),
}
LINES = {  # request lines; the address is the victim's where it is %T
    "an encoded CRLF in the path": b"GET /tasks/%I%0d%0aX-Evil:%20yes HTTP/1.1",
    "an encoded CRLF in a query": b"GET /tasks?limit=1&after=0%0d%0aX-Evil:%20yes HTTP/1.1",
    "an encoded CRLF in a path that redirects": b"GET /js%0d%0aX-Evil:%20yes HTTP/1.1",
    "a folder without its slash": b"GET //evil.example/..;/js HTTP/1.1",
    "two versions": b"GET /tasks/%I HTTP/1.1 HTTP/1.1",
    "no version": b"GET /tasks/%I",
    "HTTP/1.2": b"GET /tasks/%I HTTP/1.2",
    "HTTP/2.0": b"GET /tasks/%I HTTP/2.0",
    "HTTP/9.9": b"GET /tasks/%I HTTP/9.9",
    "an address with a host": b"GET http://evil.example/tasks/%I HTTP/1.1",
    "an address with a user": b"GET http://a:b@evil.example/tasks/%I HTTP/1.1",
    "CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1",
    "TRACE": b"TRACE /tasks/%I HTTP/1.1",
    "a method with a tab": b"DELETE\t/tasks/%I HTTP/1.1",
    "a small method": b"delete /tasks/%I HTTP/1.1",
    "a NUL in the path": b"GET /tasks/%I\0 HTTP/1.1",
    "the metrics by another name": b"GET /tasks/../metrics HTTP/1.1",
    "OPTIONS *": b"OPTIONS * HTTP/1.1",
}
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADES = {
    "a version that is none": b"Upgrade: websocket\r\nSec-WebSocket-Version: 777\r\n" + KEY,
    "no version": b"Upgrade: websocket\r\n" + KEY,
    "no key": b"Upgrade: websocket\r\nSec-WebSocket-Version: 13",
    "a short key": b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA",
    "HTTP/2": b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "HTTP/2 and a key": b"Upgrade: h2c\r\nSec-WebSocket-Version: 13\r\n" + KEY,
    "HTTP/2 or WebSocket": b"Upgrade: h2c, websocket\r\nSec-WebSocket-Version: 13\r\n" + KEY,
    "two upgrades": b"Upgrade: websocket\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 777\r\n" + KEY,
    "nothing known": b"Upgrade: nothing",
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
BODY = b'{"status":1}'


class Smuggler:
    def __init__(self, ground, judge):
        self.ground, self.judge = ground, judge
        self.user, self.task = ground.prey()
        _, self.victim = ground.prey()
        self.hidden = HIDDEN % self.victim
        self.before = self.rows()

    def wire(self):
        return Wire(self.ground.host, self.ground.port)

    def at_once(self, shapes):
        """[(what, request, allowed, most), ...]: some of them wait for bytes that do not come."""
        with ThreadPoolExecutor(8) as pool:
            for sent in [pool.submit(self.send, *shape) for shape in shapes]:
                sent.result()

    def rows(self):
        return self.ground.stack.sql(f"SELECT status, content, version FROM tasks WHERE id = {self.victim}")

    def fill(self, text):
        for mark, value in (
            (b"%H", self.hidden),
            (b"%N", str(len(BODY) + len(self.hidden)).encode()),
            (b"%B", BODY),
            (b"%T", self.hidden.split(b"\r\n")[0]),
            (b"%I", str(self.task).encode()),
        ):
            text = text.replace(mark, value)
        return text

    def send(self, what, request, allowed, most=1):
        """At most one answer: two would mean that the hidden request was executed."""
        answers, rest, closed = self.wire().burst(request)
        for answer in answers:
            self.judge.answer(request, answer)
            if allowed:
                self.judge.check(answer.status in allowed, f"{what}: {answer.status}\n    sent     {request[:400]!r}")
            self.judge.check("x-evil" not in answer.headers, f"{what}: a header of ours came back: {answer.head!r}")
            self.judge.check("evil" not in answer.header("location"), f"{what}: redirects to {answer.header('location')!r}")
            self.judge.check(answer.header("x-request-id") != "evil-id", f"{what}: a request id that was not asked for so")
        self.judge.check(len(answers) <= most, f"{what}: {len(answers)} answers\n    sent     {request[:400]!r}")
        self.judge.check(not rest.startswith(b"HTTP/"), f"{what}: and more: {rest[:200]!r}")
        if not answers:
            self.judge.happened("closed" if closed else "waits")

    def check_victim(self, what):
        now = self.rows()
        self.judge.check(now == self.before, f"{what}: the hidden request was carried out: {now}")
        self.before = now

    def patch(self, lines, version=b"1.1"):
        return b"PATCH /tasks/%d HTTP/%s\r\nHost: x\r\n%s\r\n\r\n" % (self.task, version, lines)

    def lengths(self):
        for what, (lines, allowed) in LENGTHS.items():
            # The bytes after the body are rightly read as the next request where there is one length, and it is right.
            true = 200 in allowed
            yield f"length: {what}", self.patch(self.fill(lines)) + BODY + (b"" if true else self.hidden), allowed

    def codings(self):
        chunked = b"c\r\n%s\r\n0\r\n\r\n" % BODY
        for what, (lines, allowed) in CODINGS.items():
            version = b"1.0" if what == "HTTP/1.0" else b"1.1"
            tail = b"" if 200 in allowed else self.hidden
            # A name with an underscore is no header: there is no body, and the chunk is read as a malformed request.
            yield f"coding: {what}", self.patch(lines, version) + chunked + tail, allowed, 2 if what == "an underscore" else 1

    def chunks(self):
        for what, body in CHUNKS.items():
            yield f"chunk: {what}", self.patch(b"Transfer-Encoding: chunked") + self.fill(body), ANY

    def values(self):
        for what, (lines, allowed) in VALUES.items():
            yield f"header: {what}", self.patch(b"Content-Length: %d\r\n%s" % (len(BODY), lines)) + BODY, allowed

    def lines(self):
        for what, line in LINES.items():
            yield f"line: {what}", self.fill(line) + b"\r\nHost: x\r\n\r\n", None
        yield "line: HTTP/2's preface", PREFACE, None
        yield "line: HTTP/0.9 with one hidden", b"GET /\r\n" + self.hidden, None

    def tunnels(self):
        """An upgrade to something else than WebSocket must not leave an open connection to the notifier."""
        for what, lines in UPGRADES.items():
            head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n%s\r\n\r\n" % lines
            yield f"upgrade: {what}", head, {400, 426}
            yield f"upgrade: {what}", head + b"GET /metrics HTTP/1.1\r\nHost: y\r\n\r\n", ANY, 2


def run(ground, judge):
    smuggler = Smuggler(ground, judge)
    for part in (smuggler.lengths, smuggler.codings, smuggler.chunks, smuggler.values, smuggler.lines, smuggler.tunnels):
        smuggler.at_once(part())
        smuggler.check_victim(part.__name__)
