# SPDX-License-Identifier: MIT
"""Both programs, once they run, have given up what they do not need. tests/unit/test_sandbox.c tests which calls are
refused. Every other test shows that no needed call is among them: conftest searches the logs."""

import os
import subprocess
from pathlib import Path

import pytest

from lib.ports import Block
from lib.stack import BUILD_DIR
from lib.wait import eventually

pytestmark = pytest.mark.skipif(BUILD_DIR.name == "asan", reason="sanitizers need more: such a build has no sandbox")


def facts(pid):
    """Of every thread: [(Seccomp, NoNewPrivs, size of a core dump)]."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":\t") for line in (task / "status").read_text().splitlines() if ":\t" in line)
        [core] = [line.split()[4] for line in (task / "limits").read_text().splitlines() if line.startswith("Max core")]
        found.append((status["Seccomp"], status["NoNewPrivs"], core))
    return found


def test_every_worker(stack):
    def confined():
        """Also one that a test before this one has had started again."""
        workers = stack.workers()
        assert workers
        for worker in workers:
            found = facts(worker.pid)
            assert len(found) >= 2 and set(found) == {("2", "1", "0")}, found  # the requests' thread and the publisher's
        return True

    eventually(confined)


def test_the_notifier(stack):
    found = facts(stack.notifier().pid)
    assert set(found) == {("2", "1", "0")}, found


@pytest.mark.parametrize("mode, seccomp", [("on", "2"), ("log", "2"), ("off", "0")])
def test_the_setting(mode, seccomp):
    block = Block()
    notifier = subprocess.Popen(
        [BUILD_DIR / "ws-notifier"],
        env={"PATH": os.environ["PATH"], "SECCOMP": mode, "AMQP_PASSWORD": "x", "AMQP_PORT": "1", "WS_PORT": str(block.first)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in notifier.stderr:
            if "listening on" in line:
                break
        found = facts(notifier.pid)
        assert {value for value, *_ in found} == {seccomp}, found
        assert {core for *_, core in found} == ({"0"} if mode == "on" else {core for *_, core in found})
    finally:
        notifier.terminate()
        notifier.communicate(timeout=60)
        block.release()
    assert notifier.returncode == 0
