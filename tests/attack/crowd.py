# SPDX-License-Identifier: MIT
"""Many sockets of one address that send nothing, or a part of a request, and stay: silent ones, half a request line,
half a header, half a body, kept ones after an answer, and WebSockets that never subscribe. Nginx and the notifier
close them in time, and then they come back."""

import base64
import os
import select
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

PROCESSES = 5
LINE = b"GET /index.html HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
KINDS = {  # what is sent, and how many of twelve send it
    "silent": (b"", 4),
    "half a line": (b"GET /index.ht", 1),
    "half a header": (LINE + b"X-Slow: ", 2),
    "half a body": (b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", 1),
    "kept": (LINE + b"\r\n", 1),
    "half closed": (LINE + b"X-Half: ", 1),
    "WebSocket": (UPGRADE, 2),
}


def _open(address, kind):
    sock = socket.create_connection(address, 30)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    said = KINDS[kind][0]
    try:
        if kind == "WebSocket":
            said = said % base64.b64encode(os.urandom(16))
        sock.sendall(said)
        if kind == "half closed":
            sock.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass
    sock.setblocking(False)
    return sock


def _hold(address, count, seconds):
    """(opened, the most at a time): in a process of its own, because of its limit of descriptors. A closed socket is
    opened again."""
    poll, held, opened, most = select.poll(), {}, 0, 0
    kinds = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]

    def open_one(kind):
        nonlocal opened
        sock = _open(address, kind)
        opened += 1
        held[sock.fileno()] = sock, kind
        poll.register(sock, select.POLLIN)

    end = None
    while end is None or time.monotonic() < end:
        for _ in range(200):
            if len(held) < count:
                open_one(kinds[opened % len(kinds)])
        if end is None and len(held) >= count:
            end = time.monotonic() + seconds
        most = max(most, len(held))
        for descriptor, _ in poll.poll(0 if len(held) < count else 100):
            sock, kind = held[descriptor]
            try:
                gone = not sock.recv(4096)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                poll.unregister(sock)
                del held[descriptor]
                sock.close()
    for sock, _ in held.values():
        sock.close()
    return opened, most


def run(ground, judge):
    seconds = 2 if ground.short else 40  # longer than nginx waits for a header
    each = ground.count // PROCESSES
    address = ground.host, ground.port
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        holders = [pool.submit(_hold, address, each, seconds) for _ in range(PROCESSES)]
        results = [holder.result() for holder in holders]
    judge.counts["sockets"] += sum(opened for opened, _ in results)
    most = sum(most for _, most in results)
    ground.holds(most)
    ground.note(f"up to {most:,} at a time")
    judge.check(most >= each * PROCESSES, f"only {most} sockets were held")
