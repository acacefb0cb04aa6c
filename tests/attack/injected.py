# SPDX-License-Identifier: MIT
"""sqlmap on every parameter, path, body field and header that the API reads. It must find nothing, and none of its
answers may disclose internals."""

import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .wire import Answer

# Its final verdict. A parameter that "appears to be injectable" it tries again, and withdraws when that was by chance:
# answers that repeat the question, or contain the time, always differ.
FOUND = re.compile(r"(is vulnerable|identified the following injection point|back-end DBMS: )")
LIMIT_S = 900

# (method, path, body, headers): * marks where to inject; without one, every parameter. %I is a task, %U its user.
TARGETS = (
    ("GET", "/tasks?user_id=%U&status=0&limit=5&after=1", None, ()),
    ("GET", "/tasks/%I*", None, ()),
    ("GET", "/users?limit=5&after=1", None, ()),
    ("GET", "/users/%U*", None, ()),
    ("GET", "/users/%U*/events?since=k3:1*&limit=5*", None, ()),
    ("POST", "/tasks", '{"user_id":%U,"content":"pain"}', ()),
    ("PATCH", "/tasks/%I", '{"status":1,"content":"pain"}', ()),
    ("PATCH", "/tasks/%I*", '{"status":1}', ()),
    ("DELETE", "/tasks/%I*", None, ()),
    ("POST", "/tasks", '{"user_id":%U,"content":"x"}', ("Idempotency-Key: k1*", "X-Request-Id: r1*")),
    ("PATCH", "/tasks/%I", '{"status":1}', ('If-Match: "1"*', "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01*")),
)
IN_SHORT = (0, 6)


def command(ground, folder, target, user, task):
    method, path, body, headers = target
    fill = lambda text: text.replace("%I", str(task)).replace("%U", str(user))
    arguments = ["sqlmap", "-u", ground.stack.http + fill(path), "--method", method, "--batch", "--flush-session", "--disable-coloring"]
    arguments += ["--dbms", "MySQL", "--timeout", "10", "--retries", "1", "--threads", "2", "--output-dir", folder, "-t", folder / "traffic"]
    # A 4xx is an ordinary answer; without this sqlmap gives up at the first.
    arguments += ["--ignore-code", "*", "--skip-waf", "--answers", "Y"]
    arguments += ["--level", "1", "--technique", "BE"] if ground.short else ["--level", "3", "--risk", "2"]
    if body:
        arguments += ["--data", fill(body)]
    for header in ("Content-Type: application/json", *headers):
        arguments += ["-H", header]
    return [str(argument) for argument in arguments]


def traffic(path):
    """(request, Answer) of each exchange in sqlmap's log."""
    text = path.read_bytes().replace(b"\r\n", b"\n") if path.exists() else b""
    for part in re.split(rb"(?m)^HTTP request \[#\d+\]:\n", text)[1:]:
        sent, _, rest = part.partition(b"HTTP response [#")
        found = re.match(rb"\d+\] \((\d+)[^)]*\):\n(.*?)\n\n(.*?)(?:\n#{20,}|\Z)", rest, re.S)
        if found:
            head = re.sub(rb"(?m)^URI: .*$", b"", found[2])  # sqlmap's own note
            lines = [line.partition(b":") for line in head.split(b"\n")]
            headers = {name.decode("latin-1").strip().lower(): value.strip().decode("latin-1") for name, _, value in lines}
            yield sent, Answer(int(found[1]), head, found[3].strip(), headers)


def one(ground, judge, target):
    user, task = ground.prey()
    with tempfile.TemporaryDirectory(prefix="carillon-sqlmap-") as folder:
        done = subprocess.run(
            command(ground, Path(folder), target, user, task),
            env={**os.environ, "TMPDIR": folder},  # it leaves a directory behind
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=LIMIT_S,
        )  # fmt: skip
        name = f"sqlmap {target[0]} {target[1]}"
        found = [line for line in done.stdout.splitlines() if FOUND.search(line)]
        judge.check(not found, f"{name}: {found[:5]}")
        judge.check("do not appear to be injectable" in done.stdout, f"{name} did not come to an end: {done.stdout[-800:]} {done.stderr[-300:]}")
        for sent, answer in traffic(Path(folder) / "traffic"):
            judge.answer(sent, answer)


def run(ground, judge):
    targets = [TARGETS[n] for n in IN_SHORT] if ground.short else TARGETS
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one, ground, judge, target) for target in targets]:
            done.result()
    judge.check(judge.sent > 20 * len(targets), f"sqlmap asked {judge.sent} questions only")
