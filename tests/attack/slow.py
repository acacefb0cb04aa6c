# SPDX-License-Identifier: MIT
"""slowhttptest: slow headers, slow bodies and slow readers. Its own verdict does not count; ordinary clients must be
answered meanwhile."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

# (how, arguments): slow headers, slow body, slow read of the largest answer that there is.
WAYS = (
    ("slow headers", ["-H", "-i", "3", "-x", "24"]),
    ("slow body", ["-B", "-i", "3", "-s", "60000", "-x", "10", "-t", "POST"]),
    ("slow read", ["-X", "-w", "1", "-y", "32", "-n", "3", "-z", "8", "-k", "3"]),
)


LOOKS_S = 5  # between two of its progress reports
OPENS_S = 10  # all at once they would be a flood, which is another attack: of the largest lists, more than fit into the backlog


def one(ground, judge, way, arguments, path, connections, seconds):
    done = subprocess.run(
        ["slowhttptest", "-c", str(connections), "-r", str(connections // OPENS_S), "-l", str(seconds), "-p", "10", *arguments]
        + ["-u", ground.stack.http + path],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds + 120,
    )  # fmt: skip
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    held = max((int(number) for number in re.findall(r"connected:\s*(\d+)", text)), default=0)
    judge.check(held > connections // 4, f"{way}: only {held} connections were held: {text[-600:]}")
    judge.check("service available:   NO" not in text, f"{way}: the service was not available: {text[-600:]}")
    judge.counts[way] += connections
    return held


def run(ground, judge):
    connections, seconds = (200, 2 * LOOKS_S + 2) if ground.short else (4000, 45)
    user, _ = ground.prey()
    ground.stack.new_tasks([user] * 300)
    paths = {"slow headers": "/index.html", "slow body": "/tasks", "slow read": f"/tasks?user_id={user}&limit=200"}
    with ThreadPoolExecutor(len(WAYS)) as pool:
        running = [(way, pool.submit(one, ground, judge, way, more, paths[way], connections, seconds)) for way, more in WAYS]
        held = {way: done.result() for way, done in running}
    ground.holds(sum(held.values()))
    ground.note("at a time up to " + ", ".join(f"{connections:,} {way}" for way, connections in held.items()))
