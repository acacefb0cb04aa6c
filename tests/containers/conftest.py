# SPDX-License-Identifier: MIT
"""The stack of compose.yml as podman-compose runs it; tests/containers/run has built what it needs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.http import Http  # noqa: E402
from lib.wait import eventually  # noqa: E402
from lib.ws import WebSocket  # noqa: E402


def settings_of(path):
    """NAME=value lines as a dictionary; of two the last counts."""
    return dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", path.read_text(), re.M))


def podman(*arguments, check=True, timeout=180):
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=timeout)
    assert not check or done.returncode == 0, f"podman {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout.strip()


def accepted(ask):
    """The answer of ask(), repeated while it is 503 or 504, as Retry-After asks clients to; a POST has its
    Idempotency-Key for that. After a start each worker makes a connection of its own, and Podman's name server may
    keep one waiting longer than a request may."""
    answers = []
    eventually(lambda: answers.append(ask()) or answers[-1].status not in (503, 504), 60, "no more 503 or 504")
    return answers[-1]


class Compose:
    SERVICES = ("nginx", "fcgi-api", "ws-notifier", "mariadb", "rabbitmq", "adminer")

    def __init__(self, tree, project, files=("compose.yml",)):
        self.tree, self.project, self.files = Path(tree), project, files
        self.env = settings_of(self.tree / ".env")

    def command(self):
        return [
            "podman-compose",
            "--project-name",
            self.project,
            f"--podman-run-args={os.environ['CARILLON_RUN_ARGS']}",
            *(word for file in self.files for word in ("-f", file)),
        ]

    def compose(self, *arguments, timeout=400):
        """podman-compose goes on after a failure and ends with 0, so its output is checked."""
        done = subprocess.run(
            [*self.command(), *arguments], cwd=self.tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
        )
        failed = [code for code in re.findall(r"^exit code: (\d+)", done.stdout, re.M) if code != "0"]
        assert done.returncode == 0 and not failed, f"{' '.join(arguments)}:\n{done.stdout}"

    def up(self):
        self.compose("up", "--detach", "--no-build")

    def down(self):
        self.settle_broker()
        self.compose("down", "--timeout", "20")

    def stop(self, service):
        if service == "rabbitmq":
            self.settle_broker()
        podman("stop", "--time", "30", self.container(service))

    def start(self, service):
        podman("start", self.container(service))

    def settle_broker(self, seconds=15):
        """RabbitMQ 3.10 can lose a stream when it is told to stop just after its start; 4.0 is not known to do better."""
        started = datetime.fromisoformat(self.state("rabbitmq")["StartedAt"][:19] + "+00:00").timestamp()
        time.sleep(max(0, started + seconds - time.time()))

    def container(self, service):
        return f"{self.project}_{service}_1"

    def inspect(self, service):
        return json.loads(podman("inspect", self.container(service)))[0]

    def state(self, service):
        return self.inspect(service)["State"]

    def exec(self, service, *command, check=True):
        return podman("exec", self.container(service), *command, check=check)

    def healthy(self, service):
        """Runs the health check of compose.yml or of the image, as Docker would every few seconds."""
        name = self.container(service)
        done = subprocess.run(["podman", "healthcheck", "run", name], capture_output=True, text=True, timeout=180)
        return done.returncode == 0

    def wait_healthy(self, *services, deadline=180):
        for service in services or self.SERVICES:
            eventually(lambda: self.healthy(service), deadline, f"{service} is healthy", interval=0.3)

    def crash(self, service):
        """Kills process 1 from outside, as the kernel does when memory is short."""
        pid = self.state(service)["Pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def logs(self, service):
        done = subprocess.run(
            ["podman", "logs", self.container(service)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.stdout

    def http(self, port="PORT"):
        return Http(f"http://127.0.0.1:{self.env[port]}")

    def websocket(self, port="PORT", path="/ws"):
        return WebSocket(f"ws://127.0.0.1:{self.env[port]}{path}")

    def say_what_happened(self):
        keep = os.environ.get("CARILLON_TEST_LOGS")
        print(podman("ps", "--all", check=False))
        for service in self.SERVICES:
            text = self.logs(service)
            print(f"--- {service}, end of its log\n" + "\n".join(text.splitlines()[-25:]))
            if keep:
                Path(keep).mkdir(parents=True, exist_ok=True)
                (Path(keep) / f"{service}.log").write_text(text)


@pytest.fixture(scope="session")
def stack():
    if "CARILLON_TREE" not in os.environ or not shutil.which("podman-compose"):
        pytest.skip("started by tests/containers/run only")
    return Compose(os.environ["CARILLON_TREE"], os.environ["CARILLON_PROJECT"])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure is reported together with the containers' logs."""
    report = (yield).get_result()
    if report.when == "call" and report.failed and "stack" in item.funcargs:
        item.funcargs["stack"].say_what_happened()
