# SPDX-License-Identifier: MIT
"""What no answer may be or contain, whatever the request: an unintended failure, or a disclosure of internals.

Text that an answer repeats from the request is no disclosure, nor is the text of users' tasks."""

import json
import re
import urllib.parse
from collections import Counter

FINDINGS_MAX = 20

INSIDE = re.compile(
    rb"""\b(?:mysql|mariadb|sqlstate|innodb|information_schema|rabbitmq|amqp|erlang|libwebsockets|lws|libuv|libfcgi|fastcgi|cjson
            |libjwt|openssl|libcrypto|seccomp|multiwatch|spawn-fcgi|debian|ubuntu)\b
       | \bselect\b[^"]{1,80}\bfrom\b | \binsert\s+into\b | \bupdate\b[^"]{1,40}\bset\b | \bdelete\s+from\b   # SQL
       | \berrno\b | traceback | stack\s?trace | segmentation | \bassert | core\s+dumped | \bsql\b
       | (?<![\w.:/-])/(?:usr|etc|var|tmp|home|root|proc|opt|srv|lib)/\w                                      # a path
       | \b\w+\.[ch]:\d                                                                                      # a line
       | \b0x[0-9a-f]{8}                                                                                     # an address
       | nginx/\d | <center>                                                                                 # its own page
    """,
    re.I | re.X,
)
WRITTEN_BY_USERS = re.compile(rb'"content":"(?:[^"\\]|\\.)*"')
PAGE = ("text/html", "text/css", "text/javascript", "application/javascript", "image/svg+xml")  # compared by traversal.py
FIGURES = "text/plain; version="  # of /metrics, for private networks only
REDIRECTS = {301, 302, 303, 307, 308}
MEANT = {501, 505}  # a transfer coding or a version that is not spoken here


def disclosed(sent, data):
    """The words of `data` that disclose internals and are not in what was sent."""
    asked = (sent + b"\n" + urllib.parse.unquote_to_bytes(sent)).lower()
    return sorted({found.group().lower() for found in INSIDE.finditer(data) if found.group().lower() not in asked})


class Judge:
    def __init__(self):
        self.counts = Counter()  # status, or another result
        self.findings = []
        self.more = 0

    def find(self, text):
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(text[:1200])
        else:
            self.more += 1

    def check(self, holds, text):
        if not holds:
            self.find(text)

    def add(self, counts, findings, more):
        self.counts.update(counts)
        for text in findings:
            self.find(text)
        self.more += more

    @property
    def sent(self):
        return sum(self.counts.values())

    def happened(self, what):
        self.counts[what] += 1

    def answer(self, sent, answer):
        """Judges one HTTP answer (wire.Answer); None: the server closed without an answer."""
        if answer is None:
            self.counts["closed"] += 1
            return
        self.counts[answer.status] += 1
        for wrong in self.wrong(sent, answer):
            self.find(f"{wrong}\n    sent     {sent[:400]!r}\n    answered {answer.head[:300]!r} {answer.body[:300]!r}")

    def wrong(self, sent, answer):
        status, kind = answer.status, answer.header("content-type")
        if status >= 500 and status not in MEANT:
            if status != 503:
                yield f"{status}"
            elif not answer.header("retry-after"):
                yield "503 without Retry-After"
        if status == 429 and not answer.header("retry-after"):
            yield "429 without Retry-After"
        if answer.header("server") not in ("nginx", ""):
            yield f"the server calls itself {answer.header('server')}"
        for name in ("x-powered-by", "via", "x-backend"):
            if answer.header(name):
                yield f"a header {name}"
        if status >= 400 and answer.body and not kind.startswith("application/problem+json"):
            if not (status == 404 and kind.startswith("text/html")):
                yield f"an error that is no problem: {kind}"
        if kind.startswith("application/") and "json" in kind and answer.body and not is_json(answer.body):
            yield "JSON that is none"
        data = answer.head
        if not kind.startswith(FIGURES):
            own_page = b"<center>" in answer.body and status not in REDIRECTS  # nginx's pages contain only their status line
            data += b"\n" + (b"<center>" if own_page else b"" if kind.startswith(PAGE) else answer.body)
        words = disclosed(sent, WRITTEN_BY_USERS.sub(b"", data))
        if words:
            yield f"tells of the inside: {words}"

    def text(self, sent, text):
        """Judges one text frame of the notifier."""
        if not is_json(text):
            self.find(f"a frame that is no JSON: {text[:300]!r}\n    sent     {sent[:400]!r}")
        self.words(sent, text)

    def words(self, sent, text):
        """Judges any other bytes."""
        words = disclosed(sent, WRITTEN_BY_USERS.sub(b"", text))
        if words:
            self.find(f"tells of the inside: {words} {text[:300]!r}\n    sent     {sent[:400]!r}")


def is_json(data):
    try:
        json.loads(data)
        return True
    except ValueError:
        return False
