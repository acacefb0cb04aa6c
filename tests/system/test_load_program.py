# SPDX-License-Identifier: MIT
"""The load program of scripts/bench, briefly: whether it counts right, not how fast anything is."""

import json
import subprocess

import pytest

from lib.stack import ROOT

USERS = 5
PATIENT = ("--patience", 60)


@pytest.fixture(scope="module")
def wsload():
    subprocess.run(["make", "-C", ROOT, "BUILD=build", "build/bench/wsload"], check=True, capture_output=True, timeout=600)

    def run(*arguments):
        command = [str(ROOT / "build/bench/wsload"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    return run


def crowd(stack):
    """Users with a task each, as the program wants them: ids without a gap."""
    users = stack.new_users(USERS)
    tasks = stack.new_tasks(users)
    assert users == list(range(users[0], users[0] + USERS)) and tasks == list(range(tasks[0], tasks[0] + USERS))
    address = stack.http.removeprefix("http://")
    return [
        *("--users", USERS, "--user-base", users[0], "--tasks", USERS, "--task-base", tasks[0]),
        *("--trigger", "patch", "--http", address, "--ws", stack.ws.removeprefix("ws://"), "--slots", 4),
    ]


def test_every_delivery_is_counted(stack, wsload):
    done = wsload(*crowd(stack), "--clients", 3 * USERS, "--events", 50, *PATIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["expected"] == result["delivered"] == 150


def test_who_comes_back_has_all_he_missed(stack, wsload):
    done = wsload(*crowd(stack), "--clients", 2 * USERS, "--comeback", 4, "--rounds", 2, *PATIENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["delivered"] == 4 * 2 * USERS


def test_a_lost_delivery_is_a_failure(stack, wsload):
    """Clients that listen to other users than those whose tasks change hear nothing of it."""
    arguments = crowd(stack)
    arguments[3] = stack.new_users(USERS)[0]
    done = wsload(*arguments, "--clients", USERS, "--events", 10, "--patience", 12)  # also for the answers
    assert done.returncode == 1
    assert "10 lost" in done.stderr


def test_nginx_takes_the_configuration_of_a_peer(tmp_path):
    render = [ROOT / "bench/lib/render-nginx", tmp_path, "61999", tmp_path / "pool.sock", "/index.php"]
    subprocess.run(render, check=True, capture_output=True, timeout=300)
    (tmp_path / "log").mkdir(exist_ok=True)
    taken = subprocess.run(["nginx", "-t", "-e", "stderr", "-c", tmp_path / "etc/nginx/nginx.conf"], capture_output=True, text=True, timeout=60)  # fmt: skip
    assert taken.returncode == 0, taken.stderr
