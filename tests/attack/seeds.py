# SPDX-License-Identifier: MIT
"""Inputs to begin with: those of the fuzz targets, in the form in which clients send them."""

from lib.stack import ROOT

CORPUS = ROOT / "fuzz" / "corpus"

BODIES = [
    b'{"status":1}',
    b'{"status":0,"content":"Acheter du pain"}',
    b'{"user_id":1,"content":"Acheter du lait"}',
    b'{"content":"\\u00e9\\ud83e\\udd56"}',
]
PATHS = [
    b"/",
    b"/index.html?user_id=1",
    b"/client/feed.js",
    b"/tasks",
    b"/tasks/1",
    b"/tasks?user_id=1&status=0&limit=5&after=1",
    b"/users",
    b"/users/1",
    b"/users/1/events?since=k3:1&limit=5",
    b"/healthz",
    b"/readyz",
    b"/ws",
    b"/events?user_id=1",
    b"/notifier/healthz",
    b"/.problem",
    b"/.problem-502",
]
HEADERS = [
    b'If-Match: "1"',
    b"If-None-Match: *",
    b"Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324",
    b"X-Request-Id: abc-123",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"Content-Type: application/json; charset=utf-8",
    b"Accept: text/html,*/*;q=0.1",
    b"Accept-Encoding: gzip, deflate, br",
    b"Range: bytes=0-3,5-",
    b"If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT",
    b"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    b"Origin: http://localhost",
    b"Access-Control-Request-Method: PATCH",
    b"X-Forwarded-For: 203.0.113.7, 127.0.0.1",
    b"X-Forwarded-Host: elsewhere.example",
    b"Forwarded: for=203.0.113.7;proto=https",
    b"X-HTTP-Method-Override: DELETE",
    b"Last-Event-ID: k3:1",
    b"Cookie: session=1; theme=dark",
    b"Proxy: http://elsewhere.example",
    b"Expect: 100-continue",
    b"Connection: keep-alive, X-Request-Id",
    b"Upgrade: h2c",
    b"TE: trailers",
]
MESSAGES = [
    b'{"type":"subscribe","user_id":1}',
    b'{"type":"subscribe","user_id":1,"since":null}',
    b'{"type":"subscribe","user_id":1,"since":"k3:1:1700000000","token":"a.b.c"}',
    b'{"type":"unsubscribe","user_id":1}',
]


def _corpus(name):
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def _requests():
    """(parameters, body) of each request in the corpus; the first line is for the fuzz target only."""
    for text in _corpus("request"):
        head, _, body = text.partition(b"\n\n")
        parameters = [line.partition(b"=") for line in head.split(b"\n")[1:] if b"=" in line]
        yield {name: value for name, _, value in parameters}, body


def bodies():
    return sorted(set(BODIES + _corpus("task") + [body for _, body in _requests() if body]))


def paths():
    queries = [base + query for query in _corpus("query") for base in (b"/tasks?", b"/users/1/events?", b"/events?")]
    cursors = [b"/users/1/events?since=" + cursor for cursor in _corpus("cursor")]
    return sorted(set(PATHS + queries + cursors + [p[b"REQUEST_URI"] for p, _ in _requests() if p.get(b"REQUEST_URI")]))


def headers():
    found = set(HEADERS)
    for parameters, _ in _requests():
        for name, value in parameters.items():
            if name.startswith(b"HTTP_"):
                found.add(name[5:].replace(b"_", b"-").title() + b": " + value)
    return sorted(found)


def messages():
    said = [line[2:] for text in _corpus("message") for line in text.split(b"\n") if line[:2] in (b"a ", b"b ", b"c ")]
    return sorted(set(MESSAGES + said))


def words():
    """fuzz/words.dict, as bytes."""
    lines = (ROOT / "fuzz" / "words.dict").read_text().splitlines()
    return [line[1:-1].encode().decode("unicode_escape").encode("latin-1") for line in lines if line.startswith('"')]
