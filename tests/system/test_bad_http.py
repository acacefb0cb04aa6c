# SPDX-License-Identifier: MIT
"""Requests that no client should send, and their answers: a clear 4xx, never a 5xx, and no effect on other clients."""

import json
import re
import select
import socket
import struct

import pytest

from lib.http import Http, assert_problem
from lib.wait import eventually

API_THREADS = 32  # of a worker, unless a stack says otherwise


@pytest.fixture(scope="module")
def victim(stack):
    """One user with one task, the target of all refused requests; checked to be unchanged at the end."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    yield user, task
    rows = stack.sql(f"SELECT status, content, version FROM tasks WHERE user_id = {user}")
    assert rows == [("0", "test", "1")], f"a refused request had an effect: {rows}"
    assert stack.journal(user) == []


@pytest.fixture
def send(http, victim):
    """send(method, body): the body aimed at the victim by POST or PATCH."""

    def call(method, body, **more):
        return http.call(method, "/tasks" if method == "POST" else f"/tasks/{victim[1]}", body, **more)

    return call


METHODS = pytest.mark.parametrize("method", ["POST", "PATCH"])


@METHODS
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"status=1",
        b"{",
        b'{"status":1',
        b'{"status":1}}',
        b'{"status":1} x',
        b'{"status":1}{"status":0}',
        b'{"status":1,}',
        b"{'status':1}",
        b"{status:1}",
        b'{"status":01}',
        b'{"status":+1}',
        b'{"status":1.}',
        b'{"status":.5}',
        b'{"status":0x1}',
        b'{"status":NaN}',
        b'{"status":Infinity}',
        b'{"status":1,"status":1}',
        b'{"status":1,"stat\\u0075s":0}',
        b'{"content":"a\\u0000b"}',
        b'{"content":"a\x00b"}',
        b'{"content":"\\ud800"}',
        b'{"content":"\\udc00\\ud800"}',
        b'{"content":"\\x41"}',
        b'{"content":"a\nb"}',
        b'{"content":"\xff\xfe"}',
        b'{"content":"\xc0\xaf"}',
        b'{"content":"\xed\xa0\x80"}',
        b'{"content":"\xf4\x90\x80\x80"}',
        b'{"content":"\xf0\x9f\xa5"}',
        b'{"status":1}\x00',
        b"null",
        b"true",
        b"1",
        b'"status"',
        b"[]",
        b'[{"status":1}]',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"content":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"[" * 60_000,
    ],
    ids=lambda body: repr(body[:40])[2:-1],
)
def test_not_a_json_object(send, method, body):
    assert_problem(send(method, body), 400, "not-json")


@pytest.mark.parametrize(
    "value", ['"1"', "2", "-1", "1.5", "true", "false", "null", "1e400", "-1e400", "[]", "{}", "1e-1", "18446744073709551617"]
)
def test_status_out_of_range(send, value):
    answer = send("PATCH", f'{{"status":{value}}}')
    if value in ("1e400", "-1e400") and answer.status == 400:
        return  # a number no machine can hold may also count as no JSON
    assert_problem(answer, 422, "validation", field="status")


@METHODS
@pytest.mark.parametrize(
    "content", ['""', '" "', '"\\t\\n\\r "', '"\\u00a0\\u3000"', "1", "null", "true", "[]", "{}"], ids=lambda text: text[:20]
)
def test_content_that_says_nothing(send, victim, method, content):
    answer = send(method, f'{{"user_id":{victim[0]},"content":{content}}}' if method == "POST" else f'{{"content":{content}}}')
    assert_problem(answer, 422, "validation", field="content")


@METHODS
@pytest.mark.parametrize("letter", ["a", "é", "漢", "🥖"])
def test_content_too_long(send, victim, method, letter):
    body = {"content": letter * 1001}
    if method == "POST":
        body["user_id"] = victim[0]
    assert_problem(send(method, json.dumps(body, ensure_ascii=False)), 422, "validation", field="content")


@METHODS
@pytest.mark.parametrize("name", ["extra", "id", "createdAt", "completedAt", "Status", "STATUS", "version", "__proto__", ""])
def test_unknown_field(send, victim, method, name):
    body = {"user_id": victim[0], "content": "x"} if method == "POST" else {"status": 1}
    assert_problem(send(method, {**body, name: 1}), 422, "validation", field=name)


def test_patch_cannot_move_a_task_to_another_user(send):
    assert_problem(send("PATCH", {"user_id": 1}), 422, "validation", field="user_id")


def test_patch_nothing(send):
    assert_problem(send("PATCH", {}), 422, "validation")


@pytest.mark.parametrize("missing", ["user_id", "content"])
def test_post_with_a_field_missing(http, victim, missing):
    body = {"user_id": victim[0], "content": "x"}
    del body[missing]
    assert_problem(http.post("/tasks", body), 422, "validation", field=missing)


def test_all_wrong_fields_are_named_at_once(http):
    problem = assert_problem(http.post("/tasks", {"user_id": "x", "content": "", "more": 1}), 422, "validation")
    assert {error["field"] for error in problem["errors"]} == {"user_id", "content", "more"}


@pytest.mark.parametrize(
    "number",
    ["0", "-1", "1.5", '"1"', "2147483648", "4294967297", "18446744073709551616", "1e400", "true", "null", "[1]", "2147483647"],
)
def test_post_for_no_user(http, number):
    answer = http.post("/tasks", f'{{"user_id":{number},"content":"x"}}')
    if number == "1e400" and answer.status == 400:
        return
    assert_problem(answer, 422, "validation", field="user_id")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "number",
    ["0", "-1", "01", "+1", "1.0", "1e0", "2147483648", "4294967297", "18446744073709551616", "18446744073709551617",
     "abc", "1abc", "%00", "1%00", "1%0a", "2147483647", "%F0%9F%A5%96", "0x1", "1%20", "%2e%2e"],
)  # fmt: skip
def test_path_that_is_no_task(http, method, number):
    answer = http.call(method, f"/tasks/{number}", {"status": 1} if method == "PATCH" else None)
    if "%00" in number:  # nginx refuses it before we see it
        assert answer.status in (400, 404), answer
    elif number == "%2e%2e":  # the path above: the page
        assert answer.status in (200, 404, 405), answer
    else:
        assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize("path", ["/tasks/1/2", "/tasks//1", "/tasks/1/", "/users/1/events/1", "/users/1/tasks", "/users/1/"])
def test_path_that_is_nothing(http, path):
    answer = http.get(path)
    if path.count("//") or path.endswith("/"):  # may be taken as the same path, tidied
        assert answer.status in (200, 301, 308, 404)
    else:
        assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    "query, field",
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=abc", "limit"),
        ("limit=5.0", "limit"),
        ("limit=1e1", "limit"),
        ("limit=%35%00", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("limit=5&limit=5", "limit"),
        ("user_id=abc", "user_id"),
        ("user_id=", "user_id"),
        ("user_id=-1", "user_id"),
        ("user_id=0", "user_id"),
        ("user_id=01", "user_id"),
        ("user_id=4294967296", "user_id"),
        ("user_id=18446744073709551617", "user_id"),
        ("user_id", "user_id"),
        ("status=2", "status"),
        ("status=true", "status"),
        ("status=", "status"),
        ("status=1&status=0", "status"),
        ("after=x", "after"),
        ("after=-1", "after"),
        ("after=99999999999", "after"),
        ("unknown=1", "unknown"),
        ("User_id=1", "User_id"),
        ("limit=5&foo=bar", "foo"),
    ],
)
def test_query(http, query, field):
    assert_problem(http.get(f"/tasks?{query}"), 422, "validation", field=field)


def test_query_that_is_fine(http):
    for query in ("", "limit=1", "limit=200", "%6cimit=5", "user_id=1&status=0&limit=3&after=0"):
        assert http.get(f"/tasks?{query}").status == 200, query


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("PUT", "/tasks", {"GET", "POST"}),
        ("DELETE", "/tasks", {"GET", "POST"}),
        ("PATCH", "/tasks", {"GET", "POST"}),
        ("POST", "/tasks/1", {"GET", "PATCH", "DELETE"}),
        ("PUT", "/tasks/1", {"GET", "PATCH", "DELETE"}),
        ("PUT", "/users/1/events", {"GET", "POST"}),
        ("FOO", "/tasks", {"GET", "POST"}),
        ("POST", "/healthz", {"GET"}),
    ],
)
def test_wrong_method(http, method, path, allowed):
    answer = http.call(method, path, {"status": 1})
    assert_problem(answer, 405, "method-not-allowed")
    assert allowed <= {word.strip() for word in answer.header("Allow").split(",")}


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "G E T", "\x01"])
def test_method_that_is_none(http, method):
    answer = http.raw(f"{method} /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer is None or 400 <= answer.status < 500, answer


@METHODS
@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/xml", "text/xml", "application/soap+xml", "TEXT/XML; charset=utf-8"]
)
def test_another_format(send, method, kind):
    assert_problem(send(method, {"status": 1}, headers={"Content-Type": kind}), 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded",
     "application/merge-patch+json", "", "nonsense"],
)  # fmt: skip
def test_any_other_content_type_is_read_as_json(stack, http, kind):
    [user] = stack.new_users(1)
    assert http.post("/tasks", {"user_id": user, "content": "x"}, headers={"Content-Type": kind}).status == 201


def test_byte_order_mark(http, task):
    """RFC 8259 lets a reader ignore it."""
    answer = http.patch(f"/tasks/{task['id']}", b'\xef\xbb\xbf{"status":1}')
    assert answer.status in (200, 400), answer


# -- sizes


@METHODS
@pytest.mark.parametrize("size", [90_000, 1_100_000, 10_000_000])
def test_body_too_large(stack, victim, method, size):
    body = b'{"content":"' + b"a" * size + b'"}'
    path = "/tasks" if method == "POST" else f"/tasks/{victim[1]}"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert_problem(stack.client().raw([head, body]), 413, "payload-too-large")


def test_body_too_large_in_chunks(stack, victim):
    head = f"PATCH /tasks/{victim[1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"2000\r\n" + b"a" * 0x2000 + b"\r\n"
    assert_problem(stack.client().raw([head] + [chunk] * 1200 + [b"0\r\n\r\n"]), 413, "payload-too-large")


def test_body_in_chunks_is_fine(stack, http, task):
    body = b'{"status":1}'
    request = f"PATCH /tasks/{task['id']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for byte in body:
        request += b"1\r\n" + bytes([byte]) + b"\r\n"
    assert http.raw(request + b"0\r\n\r\n").status == 200


def test_largest_body(stack, http, user):
    """80 KiB of JSON that is mostly white space: at the limit, not over it."""
    body = json.dumps({"user_id": user, "content": "x"}).encode()
    assert http.post("/tasks", body + b" " * (81920 - len(body))).status == 201
    assert_problem(http.post("/tasks", body + b" " * (81921 - len(body))), 413, "payload-too-large")


def test_query_too_long(http):
    assert_problem(http.get(f"/tasks?limit={'1' * 100_000}"), 414, "uri-too-long")


def test_path_too_long(http):
    assert_problem(http.get(f"/tasks/{'1' * 100_000}"), 414, "uri-too-long")


@pytest.mark.parametrize("name", ["X-Long", "If-Match", "Idempotency-Key", "Cookie"])
def test_header_too_long(http, name):
    request = f"GET /tasks/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{name}: {'a' * 100_000}\r\n\r\n".encode()
    answer = http.raw(request)
    assert answer is None or answer.status in (400, 431), answer
    if answer:
        assert_problem(answer, answer.status)


def test_header_of_the_largest_size_nginx_takes(http, task):
    for name in ("If-Match", "If-None-Match", "traceparent", "X-Request-Id", "Content-Type", "X-Other"):
        answer = http.call("GET", f"/tasks/{task['id']}", headers={name: "a" * 7000})
        assert answer.status in (200, 400, 422), (name, answer)
        answer = http.call("PATCH", f"/tasks/{task['id']}", {"status": 1}, headers={name: "a" * 7000})
        assert answer.status in (200, 400, 412, 422), (name, answer)


def test_many_headers(http):
    lines = "".join(f"X-{number}: y\r\n" for number in range(2000))
    answer = http.raw(f"GET /tasks/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n".encode())
    assert answer is None or answer.status in (200, 400, 431)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /tasks HTTP/9.9\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{}",
        b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
        b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"PATCH /tasks/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        bytes(range(256)) * 4,
    ],
    ids=lambda data: repr(data[:30])[2:-1],
)
def test_not_http(http, request_bytes):
    answer = http.raw(request_bytes)
    assert answer is None or 400 <= answer.status < 500 or answer.status == 505, answer


def test_patch_without_a_body_header(http, victim):
    answer = http.raw(f"PATCH /tasks/{victim[1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert_problem(answer, 400, "not-json")


# -- clients that leave


def more_than_threads(stack):
    """So many requests, each of which held a thread, would leave none to any worker."""
    settings = stack.run_dir / "service" / "fcgi-api" / "env"
    threads = settings / "API_THREADS"
    return len(stack.workers()) * (int(threads.read_text()) if threads.exists() else API_THREADS) + 8


def workers_answer(stack):
    """Every worker is free: a request that waits for one gets 504 from nginx, unless nginx gives up another before."""
    client = stack.client()
    for _ in range(3 * len(stack.workers())):
        assert client.get("/tasks/1").status == 200


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
def test_client_leaves_mid_request(stack, http, victim, leave):
    whole = (
        f"PATCH /tasks/{victim[1]} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n".encode()
        + b'{"status":1}'
    )
    for cut in (1, 20, len(whole) - 12, len(whole) - 6, len(whole) - 1):
        for _ in range(5):
            sock = http.connect()
            sock.sendall(whole[:cut])
            leave(sock)
    workers_answer(stack)


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["close", "reset"])
def test_client_leaves_mid_response(stack, http, user, leave):
    big = [int(row[0]) for row in stack.sql(
        "INSERT INTO tasks (user_id, content) VALUES " + ",".join(f"({user}, REPEAT('x', 1000))" for _ in range(200))
        + " RETURNING id"
    )]  # fmt: skip
    assert len(big) == 200
    for _ in range(40):
        sock = http.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(f"GET /tasks?user_id={user}&limit=200 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(100)
        leave(sock)
    workers_answer(stack)


def connect_small(http):
    """A connection on which the kernel keeps little for a client that does not read: on loopback, with its large segments,
    it would be megabytes."""
    sock = socket.socket()
    sock.settimeout(http.timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((http.host, http.port))
    return sock


def test_client_that_does_not_read(stack, http, user):
    """800 KB answers that no client reads must not hold a thread each."""
    stack.sql("INSERT INTO tasks (user_id, content) VALUES " + ",".join(f"({user}, REPEAT(_utf8mb4 X'F09FA596', 1000))" for _ in range(200)))
    stuck = []
    for _ in range(more_than_threads(stack)):
        sock = connect_small(http)
        sock.sendall(f"GET /tasks?user_id={user}&limit=200 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        stuck.append(sock)
    workers_answer(stack)
    for sock in stuck:
        sock.close()


def test_client_that_sends_slowly_holds_no_worker(stack, http, victim):
    head = f"PATCH /tasks/{victim[1]} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
    slow = []
    for _ in range(more_than_threads(stack)):
        sock = http.connect()
        sock.sendall(head + b"{")
        slow.append(sock)
    workers_answer(stack)
    given_up, _, _ = select.select(slow, [], [], 0)
    assert not given_up, "nginx waits 15 s for a body: workers must be free before"
    for sock in slow:
        sock.close()


def test_pipelined_requests(http, task):
    one = f"GET /tasks/{task['id']} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    last = f"GET /tasks/{task['id']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with http.connect() as sock:
        sock.sendall(one * 9 + last)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    assert len(re.findall(rb"HTTP/1.1 200 OK", data)) == 10


def test_a_gateway_error_is_a_problem_too(stack):
    """Not reachable from outside on purpose: the shape of nginx's own errors, by one it makes itself."""
    assert_problem(Http(stack.http).get(f"/tasks?{'x' * 60_000}"), 414, "uri-too-long")
    eventually(lambda: Http(stack.http).get("/healthz").status == 200)
