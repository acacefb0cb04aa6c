# SPDX-License-Identifier: MIT
"""The watch that restarts a broken broker (scripts/parts/watch/start), as servers and containers run it: it asks by
HTTP, and restarts by a command. tests/system/test_broken_broker.py has the rest."""

import socket
import subprocess

import pytest

from lib.stack import ROOT, Stack
from lib.wait import eventually

BOOT_S, STUCK_S = 6, 2


@pytest.fixture(scope="module")
def stack():
    own = Stack.start(API_WORKERS=2, ADMINER_PORT="off", BROKER_STUCK_S=3600)
    yield own
    own.stop()


def addresses(port):
    yield f"127.0.0.1:{port}"
    try:
        socket.create_connection(("::1", port), timeout=5).close()
        yield f"[::1]:{port}"
    except OSError:
        pass


def test_a_broker_that_does_not_listen_has_time_to_start_each_time(stack, tmp_path):
    """Time that it needed at an earlier start does not count."""
    stack.s6("-d", "rabbitmq")
    watches = {}
    try:
        for number, address in enumerate(addresses(stack.port("PORT"))):
            restarts = tmp_path / f"restarts{number}"
            restarts.touch()
            settings = {
                "READY_URL": f"http://{address}/readyz", "READY_HOST": "localhost", "BROKER_PORT": "1", "BROKER_BOOT_S": str(BOOT_S),
                "BROKER_STUCK_S": str(STUCK_S), "BROKER_RESTART": f"date +%s >>{restarts}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            }  # fmt: skip
            watches[restarts] = subprocess.Popen([ROOT / "scripts/parts/watch/start"], env=settings)
        for restarts in watches:
            times = eventually(lambda: restarts.read_text().split()[1:] and restarts.read_text().split(), 180, "a second restart")
            assert int(times[1]) - int(times[0]) >= BOOT_S, times
    finally:
        for process in watches.values():
            process.terminate()
            process.wait()
