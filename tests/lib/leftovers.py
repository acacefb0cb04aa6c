# SPDX-License-Identifier: MIT
"""The resources of an idle stack: taken before a drill or an attack and after it, when every client has gone. Any
growth in between was left behind."""

import base64
import json
import re
import time
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass, field

from lib import proc

OURS = ("fcgi-api", "ws-notifier")
MORE_DESCRIPTORS = 3  # a connection may be just being made
DATABASE_CONNECTIONS = 8 + 2  # of a worker at most: DB_CONNECTIONS for reading, one that writes, one that publishes
MORE_KB = {"fcgi-api": 6_000, "ws-notifier": 12_000, "nginx": 12_000}
# nginx's heap stays as large as it was at its fullest: it is freed in pieces that the C library does not give back.
# Measured: 7 to 9 for each connection held, and no more after the fourth 15,000 than after the first.
NGINX_KB_A_CONNECTION = 10


@dataclass
class Snapshot:
    processes: Counter = field(default_factory=Counter)  # command name -> how many
    descriptors: dict = field(default_factory=dict)  # name -> the most that one has
    memory_kb: dict = field(default_factory=dict)  # name -> the most that one has
    database: int = 0  # connections of the programs
    broker: int = 0
    queues: list = field(default_factory=list)
    ring_kb: int = 0  # of the memory of a notifier: recent events


def _management(stack, path):
    parts = urllib.parse.urlsplit(stack.amqp)
    request = urllib.request.Request(f"{stack.endpoints['management']}/api/{path}")
    word = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request.add_header("Authorization", "Basic " + word)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _ring_kb(ports):
    most = 0
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            found = re.search(r"^carillon_notifier_ring_bytes (\d+)", answer.read().decode(), re.M)
        most = max(most, int(found[1]) // 1024)
    return most


def take(stack, notifier_ports):
    snapshot = Snapshot()
    for process in proc.of_stack(stack.run_dir):
        name = process.name
        snapshot.processes[name] += 1
        try:
            descriptors, memory = process.descriptors(), process.resident_kb()
        except OSError:
            continue
        snapshot.descriptors[name] = max(snapshot.descriptors.get(name, 0), descriptors)
        snapshot.memory_kb[name] = max(snapshot.memory_kb.get(name, 0), memory)
    snapshot.database = stack.sql_number("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'carillon-api'")
    snapshot.broker = len(_management(stack, "connections"))
    snapshot.queues = sorted(queue["name"] for queue in _management(stack, "queues"))
    snapshot.ring_kb = _ring_kb(notifier_ports)
    return snapshot


def compare(before, after, held=0):
    """Lines about what was left behind, when so many connections were held at a time in between."""
    found = []
    for name in sorted(before.processes | after.processes):
        if before.processes[name] != after.processes[name]:
            found.append(f"{name}: {before.processes[name]} processes before, {after.processes[name]} after")
    for name in (*OURS, "nginx", "multiwatch"):
        was, now = before.descriptors.get(name, 0), after.descriptors.get(name, 0)
        more = MORE_DESCRIPTORS + (DATABASE_CONNECTIONS if name == "fcgi-api" else 0)
        if now > was + more:
            found.append(f"{name}: {was} descriptors before, {now} after")
    for name, more in MORE_KB.items():
        was, now = before.memory_kb.get(name, 0), after.memory_kb.get(name, 0)
        more += 2 * max(after.ring_kb - before.ring_kb, 0) if name == "ws-notifier" else 0
        more += NGINX_KB_A_CONNECTION * held if name == "nginx" else 0
        if now > was + more:
            found.append(f"{name}: {was} KiB before, {now} after (ring {after.ring_kb} KiB)")
    # A worker has one connection to the broker, and so has a notifier.
    workers, notifiers = before.processes["fcgi-api"], before.processes["ws-notifier"]
    if after.database > DATABASE_CONNECTIONS * workers:
        found.append(f"{after.database} database connections of {workers} workers")
    if after.broker > workers + notifiers:
        found.append(f"{after.broker} broker connections of {workers} workers and {notifiers} notifiers")
    if after.queues != before.queues:
        found.append(f"queues before {before.queues}, after {after.queues}")
    return found


def settle(stack, notifier_ports, before, limit=30, held=0):
    """(snapshot, lines): waits a little for connections that are closing."""
    end = time.monotonic() + limit
    while True:
        after = take(stack, notifier_ports)
        found = compare(before, after, held)
        if not found or time.monotonic() > end:
            return after, found
        time.sleep(1)


def complaints(stack):
    """What no log may contain. Mnesia calls it a core, too, what it writes before it ends because its disk is full."""
    lines = stack.sanitizer_reports()
    for part in stack.log_parts():
        for line in stack.logs(part).splitlines():
            crash = re.search(r"Assertion .* failed|\bassert\b.*failed|core dumped|stack smashing|double free", line)
            if crash and "MnesiaCore" not in line:
                lines.append(f"{part}: {line[:300]}")
    return lines
