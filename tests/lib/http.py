# SPDX-License-Identifier: MIT
"""HTTP as an ordinary client speaks it, and bytes that no client should send."""

import http.client
import json
import socket
import ssl
import threading
import urllib.parse

from .wait import eventually


class Response:
    def __init__(self, status, headers, body, version=11):
        self.status, self.headers, self.body, self.version = status, headers, body, version

    def header(self, name, default=None):
        return self.headers.get(name, default)

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Http:
    """A client of one base address. Each call opens its own connection unless `keep` is set. For https, `trust`
    is the file of the CA; the server's name is verified. judge(method, path, response, headers, body) sees each answer."""

    def __init__(self, base, keep=False, timeout=30, trust=None, judge=None):
        parts = urllib.parse.urlsplit(base)
        self.host, self.port, self.base = parts.hostname, parts.port or 80, base.rstrip("/")
        self.timeout, self.judge = timeout, judge
        self._tls = ssl.create_default_context(cafile=trust) if parts.scheme == "https" else None
        self._kept = self._connection() if keep else None

    def _connection(self, timeout=None):
        if self._tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=timeout or self.timeout, context=self._tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout or self.timeout)

    def call(self, method, path, data=None, headers=None, timeout=None):
        """`data` is sent as it is when bytes or str, else as JSON."""
        if data is not None and not isinstance(data, (bytes, str)):
            data = json.dumps(data)
        if isinstance(data, str):
            data = data.encode()
        connection = self._kept or self._connection(timeout)
        try:
            connection.request(method, path, body=data, headers=headers or {})
            answer = connection.getresponse()
            response = Response(answer.status, answer.headers, answer.read(), answer.version)
        except Exception:
            connection.close()
            raise
        finally:
            if connection is not self._kept:
                connection.close()
        if self.judge:
            self.judge(method, path, response, headers, data)
        return response

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, data=None, **more):
        return self.call("POST", path, data, **more)

    def patch(self, path, data=None, **more):
        return self.call("PATCH", path, data, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    def connect(self, timeout=None):
        """A bare socket to the server."""
        return socket.create_connection((self.host, self.port), timeout or self.timeout)

    def raw(self, request, timeout=None, method="GET"):
        """Sends bytes (or an iterable of pieces) as they are and reads one answer; None when the
        server closes without an answer. A server may answer before it has read all."""
        with self.connect(timeout) as sock:

            def push():
                try:
                    for piece in [request] if isinstance(request, bytes) else request:
                        sock.sendall(piece)
                except OSError:
                    pass  # it answered and closed already

            sender = threading.Thread(target=push, daemon=True)
            sender.start()
            answer = http.client.HTTPResponse(sock, method=method)
            try:
                answer.begin()
                body = answer.read()
                return Response(answer.status, answer.headers, body, answer.version)
            except (http.client.BadStatusLine, ConnectionResetError, BrokenPipeError):
                return None
            finally:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                sender.join(timeout=5)
                answer.close()


def once_free(ask):
    """The answer of ask(), repeated while it is 503, as Retry-After asks clients to: nothing has happened then. A request
    that waits for another one's lock gets it when that one stands still for a second."""
    answers = []

    def free():
        answers.append(ask())
        return answers[-1].status != 503

    eventually(free, 60, "no more 503", interval=0.2)
    assert all(answer.header("Retry-After") for answer in answers[:-1]), answers
    return answers[-1]


def assert_problem(response, status, slug=None, field=None):
    """An error as RFC 9457 and docs/protocol.md want it."""
    assert response is not None, "closed without an answer"
    assert response.status == status, response
    assert response.header("Content-Type", "").split(";")[0] == "application/problem+json", dict(response.headers)
    problem = response.json()
    assert problem["status"] == status, problem
    assert problem["type"].startswith("/problems/"), problem
    assert isinstance(problem["title"], str) and problem["title"], problem
    if slug:
        assert problem["type"] == f"/problems/{slug}", problem
    for word in ("mysql", "mariadb", "select ", "insert ", "errno"):
        assert word not in response.text.lower(), problem
    if field:
        assert field in [error["field"] for error in problem["errors"]], problem
        assert all(error["message"] for error in problem["errors"]), problem
    return problem
