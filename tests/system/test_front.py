# SPDX-License-Identifier: MIT
"""How nginx handles requests and answers: clients that half-close, compression, a second nginx in front."""

import gzip
import os
import socket
import subprocess
import zlib

import pytest

from lib.http import Http
from lib.program import free_port
from lib.wait import eventually


def half_closed(client, request):
    """Sends a request, closes the sending side and reads what comes."""
    with client.connect() as sock:
        sock.sendall(request.encode())
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    return data


@pytest.mark.parametrize("path", ["/tasks/{}", "/tasks?limit=1", "/healthz", "/readyz", "/metrics", "/notifier/readyz", "/notifier/metrics", "/admin/notifiers/1/metrics", "/index.html", "/nothing"])
def test_a_client_that_has_closed_its_side_is_answered(http, task, path):
    """As `printf ... | socat - TCP:...` does it; it got no answer, although its request was executed."""
    data = half_closed(http, f"GET {path.format(task['id'])} HTTP/1.0\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 404" if path == "/nothing" else b"HTTP/1.1 200"), data[:300]


def test_so_is_one_that_writes(http, task):
    body = '{"status":1}'
    data = half_closed(http, f"PATCH /tasks/{task['id']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    assert data.startswith(b"HTTP/1.1 200") and b'"status":1' in data, data


# -- compression


@pytest.fixture(scope="module")
def many(stack):
    """A user with tasks that are worth compressing."""
    [user] = stack.new_users(1)
    stack.sql(f"INSERT INTO tasks (user_id, content) SELECT {user}, REPEAT('é', 1000) FROM seq_1_to_5")
    return user


@pytest.mark.parametrize("port", ["PORT", "API_PORT"])
def test_lists_are_compressed_for_those_who_ask(stack, many, port):
    client = Http(f"http://127.0.0.1:{stack.port(port)}")
    plain = client.get(f"/tasks?user_id={many}")
    packed = client.get(f"/tasks?user_id={many}", headers={"Accept-Encoding": "gzip", "Via": "1.1 proxy"})
    assert plain.header("Content-Encoding") is None and packed.header("Content-Encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 4
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.header("Vary", ""), dict(answer.headers)
    tiny = client.get("/users/1", headers={"Accept-Encoding": "gzip"})
    assert tiny.header("Content-Encoding") is None


def test_a_task_keeps_its_strong_etag(http, many):
    """A compressed answer would have a weak one, which If-Match may not name (RFC 9110, 13.1.1)."""
    [first, *_] = http.get(f"/tasks?user_id={many}").json()
    answer = http.get(f"/tasks/{first['id']}", headers={"Accept-Encoding": "gzip"})
    assert len(answer.body) > 1024 and answer.header("ETag").startswith('"'), dict(answer.headers)
    changed = http.patch(f"/tasks/{first['id']}", {"status": 1}, headers={"If-Match": answer.header("ETag"), "Accept-Encoding": "gzip"})
    assert changed.status == 200 and changed.header("ETag").startswith('"'), changed
    made = http.post("/tasks", {"user_id": many, "content": "é" * 1000}, headers={"Accept-Encoding": "gzip"})
    assert made.status == 201 and made.header("ETag").startswith('"'), dict(made.headers)


# -- a second nginx

SECOND = """
%s
daemon off; worker_processes 1; pid nginx.pid; error_log stderr;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server { listen 127.0.0.1:%d; location / { proxy_pass %s; } }
    server {
        listen 127.0.0.1:%d;
        location / { proxy_pass %s; proxy_http_version 1.1; proxy_set_header Connection ""; gzip on; gzip_types text/event-stream; gzip_min_length 1; }
    }
}
"""


@pytest.fixture(scope="module")
def second(stack, tmp_path_factory):
    """An nginx with nothing but `proxy_pass`, and one that also compresses everything."""
    folder = tmp_path_factory.mktemp("second")
    folder.chmod(0o755)
    ports = {"plain": free_port(), "gzip": free_port()}
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(SECOND % (user, ports["plain"], stack.http, ports["gzip"], stack.http))
    process = subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
    clients = {name: Http(f"http://127.0.0.1:{port}") for name, port in ports.items()}
    try:
        eventually(lambda: answers(clients["gzip"]), 60, "the second nginx answers")
        yield clients
    finally:
        process.terminate()
        process.wait(60)


def answers(client):
    try:
        return client.get("/healthz").status == 200
    except OSError:
        return False


class Events:
    """GET /events, decompressed as it comes."""

    def __init__(self, client, user, version, packed):
        self.sock = client.connect(timeout=30)
        wish = "Accept-Encoding: gzip\r\n" if packed else ""
        self.sock.sendall(f"GET /events?user_id={user} HTTP/{version}\r\nHost: localhost\r\n{wish}\r\n".encode())
        self.raw = b""

    def head(self):
        while b"\r\n\r\n" not in self.raw:
            self.more()
        return self.raw.partition(b"\r\n\r\n")[0].decode().lower()

    def more(self):
        piece = self.sock.recv(65536)
        assert piece, self.raw
        self.raw += piece

    def text(self):
        head, body = self.head(), self.raw.partition(b"\r\n\r\n")[2]
        if "transfer-encoding: chunked" in head:
            whole = b""
            while b"\r\n" in body:
                size, _, rest = body.partition(b"\r\n")
                whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            body = whole
        return zlib.decompressobj(31).decompress(body) if "content-encoding: gzip" in head else body

    def until(self, word):
        while word not in self.text():
            self.more()


@pytest.mark.parametrize("front", ["none", "plain", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("packed", [False, True], ids=["as it is", "accepts gzip"])
def test_events_pass_a_second_nginx_at_once(stack, http, task, second, front, version, packed):
    """Our nginx removed X-Accel-Buffering, and the second one held events back until a buffer was full."""
    client = http if front == "none" else second[front]
    events = Events(client, task["user_id"], version, packed)
    try:
        events.until(b'"subscribe"')
        assert ("content-encoding: gzip" in events.head()) == (front == "gzip" and packed and version == "1.1"), events.head()
        http.patch(f"/tasks/{task['id']}", {"content": "through both"})
        events.until(b"through both")
    finally:
        events.sock.close()


def test_ours_tells_the_next_proxy_not_to_wait(http, task):
    events = Events(http, task["user_id"], "1.1", False)
    assert "x-accel-buffering: no" in events.head()
    events.sock.close()
