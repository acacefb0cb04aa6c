# SPDX-License-Identifier: MIT
"""The pool's socket, spoken to without nginx."""

import socket
import struct

BEGIN, END, PARAMS, STDIN = 1, 3, 4, 5


def record(kind, content=b""):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def request(path):
    parameters = {"REQUEST_METHOD": "GET", "REQUEST_URI": path, "SCRIPT_NAME": path, "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    pairs = b"".join(bytes((len(name), len(value))) + name.encode() + value.encode() for name, value in parameters.items())
    return record(BEGIN, struct.pack("!HB5x", 1, 0)) + record(PARAMS, pairs) + record(PARAMS) + record(STDIN)


def whole(connection):
    """All bytes until the other side closes."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_a_worker_does_not_wait_for_its_peer_to_close(stack):
    """An answered connection that nginx leaves open for a while keeps no thread: a library that waits for its end does so
    for two seconds, and with the connection open. So it is its descriptors that tell, at any speed."""

    def descriptors():
        return sum(worker.descriptors() for worker in stack.workers())

    before = descriptors()
    kept = []
    for _ in range(20):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(str(stack.run_dir / "sock" / "fcgi.sock"))
        connection.sendall(request("/healthz"))
        answer = whole(connection)
        assert b"Status: 200 OK" in answer, answer
        assert answer[-16:-14] == bytes((1, END)), "the answer is cut"
        kept.append(connection)
    held = descriptors() - before
    for connection in kept:
        connection.close()
    assert held < 10, f"{held} descriptors more after {len(kept)} answers"
