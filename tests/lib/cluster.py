# SPDX-License-Identifier: MIT
"""A cluster of scripts/cluster in a directory, on a port and in a net of its own."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lib.ports import BLOCK, FIRST, Block
from lib.stack import BUILD_DIR, ROOT, Stack

CLONE_NEWNET = 0x40000000
NETS = 250  # a block of ports each


@dataclass
class Node:
    name: str
    address: str
    namespace: str
    stack: Stack  # what needs no network: processes, logs, the database through its socket

    @property
    def http(self):
        return f"http://{self.address}"

    def ready(self):
        return all(_answers(f"{self.http}{path}") for path in ("/readyz", "/notifier/readyz"))

    def inside(self, work):
        """What work() returns, called where the node's own addresses are."""
        return inside(self.namespace, work)


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def inside(namespace, work):
    """Network namespaces are a thread's: sockets that are made by this one are there."""
    result = []

    def call():
        try:
            with open(f"/run/netns/{namespace}") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            result.append((work(), None))
        except BaseException as error:  # raised where it was asked for
            result.append((None, error))

    thread = threading.Thread(target=call, name=namespace)
    thread.start()
    thread.join()
    value, error = result[0]
    if error is not None:
        raise error
    return value


class Cluster:
    def __init__(self, **settings):
        self._block = Block()
        place = (self._block.first - FIRST) // BLOCK
        self.net = f"10.{100 + place // NETS}.{place % NETS}"
        self.port = self._block.first
        self._directory = Path(tempfile.mkdtemp(prefix="carillon-cluster-"))
        self._directory.chmod(0o755)
        self.directory = self._directory / "cluster"
        kept = {name: value for name, value in os.environ.items() if name not in ("RUN_DIR", "PORT", "NODE")}
        self.environment = {**kept, "CLUSTER_DIR": str(self.directory), "BUILD_DIR": str(BUILD_DIR), **{k: str(v) for k, v in settings.items()}}
        self.nodes = {}

    def command(self, *arguments, check=True, timeout=900):
        done = subprocess.run(
            [ROOT / "scripts/cluster", *arguments], cwd=ROOT, env=self.environment, text=True, errors="replace", capture_output=True,
            stdin=subprocess.DEVNULL, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"scripts/cluster {' '.join(arguments)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def start(self):
        self.command("start", "--no-build", "--port", str(self.port), "--net", self.net)
        for name, node in self.status()["nodes"].items():
            self.nodes[name] = Node(name, node["address"], node["namespace"], Stack(node["run_dir"]))

    def status(self):
        return json.loads(self.command("status", "--json", check=False).stdout)

    @property
    def http(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    def whole(self):
        return all(node.ready() for node in self.nodes.values())

    def stop(self, keep=False):
        try:
            done = self.command("stop", check=False)
            if done.returncode != 0 and self.nodes:
                print(f"scripts/cluster stop ended with {done.returncode}: {done.stderr}", file=sys.stderr)
        finally:
            self._block.release()
            if not keep:
                shutil.rmtree(self._directory, ignore_errors=True)
