# SPDX-License-Identifier: MIT
"""The load of lib.load before a server that refuses: what the drill does before and after its strikes must not fail because
the machine stood still."""

from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lib.load import Load

TOTAL = 20


class Refusing(BaseHTTPRequestHandler):
    """Refuses each address once."""

    protocol_version = "HTTP/1.1"
    asked = Counter()

    def do_GET(self):
        self.asked[self.path] += 1
        first = self.asked[self.path] == 1
        self.send_response(503 if first else 200)
        if first:
            self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def base():
    Refusing.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(base, **more):
    return Load(base, lambda number: ("GET", f"/{number}", None), 1000, TOTAL, connections=4, **more).start().finish()


def test_what_is_refused_is_sent_again(base):
    load = run(base, patient=True)
    load.assert_none_failed()
    assert len(load.results) == TOTAL and set(Refusing.asked.values()) == {2}


def test_a_refusal_shows_otherwise(base):
    load = run(base)
    assert len(load.failed) == TOTAL and set(Refusing.asked.values()) == {1}
