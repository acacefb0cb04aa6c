# SPDX-License-Identifier: MIT
"""The stack that scripts/scale measures, and what its parts take."""

import os
import re
import subprocess
import time
from pathlib import Path

from lib.carillon import CROWD_TASK, CROWD_USER, Carillon
from lib.tools import cpu_by_process, process_tree

SHARED_USER, SHARED_TASK = CROWD_USER - 1, CROWD_TASK - 1  # what all clients hear, and its only task
SPARE_FILES = 400  # of a notifier, beside its sockets: ws-notifier/server.c
MOST_CLIENTS = 60_000  # NOTIFIER_MEMORY_BYTES would have to grow beyond that


class Place(Carillon):
    """The stack that is measured: one of its own, or one that runs already."""

    def __init__(self, directory, arguments, files):
        super().__init__(directory)
        self.own = not arguments.stack
        if self.own:
            self.environment.update(NOTIFIERS=str(arguments.notifiers), WS_MAX_CLIENTS=str(min(files - SPARE_FILES, MOST_CLIENTS)))
        else:
            self.run_dir = Path(arguments.stack).resolve()
            self.environment["RUN_DIR"] = str(self.run_dir)

    def start(self):
        if self.own:
            super().start()
        else:
            self.look()
        upstreams = (self.run_dir / "etc/nginx/conf.d/upstreams.conf").read_text()
        self.doors = re.findall(r"upstream ws_notifier_\d+ \{ server ([0-9.:]+)", upstreams)
        self.notifiers = ["ws-notifier" if index == 0 else f"ws-notifier-{index + 1}" for index in range(len(self.doors))]

    def look(self):
        super().look()
        self.port = int(re.search(r"^PORT=(\d+)$", (self.run_dir / "ports.env").read_text(), re.M)[1])
        self.http = f"127.0.0.1:{self.port}"
        self.ws = f"{self.http}/ws"

    def stop(self):
        if self.own:
            super().stop()

    def fill_crowd(self, count):
        self.sql(f"""
            INSERT IGNORE INTO users (id, name) VALUES ({SHARED_USER}, 'everyone');
            INSERT IGNORE INTO tasks (id, user_id, content) VALUES ({SHARED_TASK}, {SHARED_USER}, 'Acheter du pain')""")
        self.need_crowd(count)

    def push_pids(self):
        return [pid for name in self.notifiers for pid in self.part_pids(name)]

    def cpu(self):
        """{part: {pid: seconds}}"""
        found = {}
        for folder in [*self.run_dir.glob("service/*"), *self.run_dir.glob("service/*/log")]:
            told = subprocess.run(["s6-svstat", "-o", "pid", folder], capture_output=True, text=True).stdout.strip()
            if told.isdigit():
                name = "logs" if folder.name == "log" else "ws-notifier" if folder.name.startswith("ws-notifier") else folder.name
                found.setdefault(name, {}).update(cpu_by_process(process_tree(int(told))))
        return found

    def figure(self, index, name):
        """A metric of a notifier; 0 when it does not answer."""
        page = self.page("/metrics", int(self.doors[index].rsplit(":", 1)[1])) or ""
        found = re.search(rf"^{name} (\S+)$", page, re.M)
        return float(found[1]) if found else 0

    def stream_bytes(self):
        return sum(file.stat().st_size for file in self.run_dir.glob("rabbitmq/**/*.segment"))


class Meter:
    """CPU by part from its making to read()."""

    def __init__(self, place, crowds):
        self.place, self.crowds = place, crowds
        self.before, self.load = place.cpu(), cpu_by_process(crowds.pids())
        self.machine, self.begin = busy_seconds(), time.monotonic()

    def read(self):
        seconds = time.monotonic() - self.begin
        machine = busy_seconds() - self.machine
        used = {part: sum(after - self.before.get(part, {}).get(pid, 0) for pid, after in pids.items()) for part, pids in self.place.cpu().items()}
        used["load programs"] = sum(cpu_by_process(self.crowds.pids()).values()) - sum(self.load.values())
        return seconds, used, machine - sum(used.values())


def busy_seconds():
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def kernel_memory():
    """Bytes of the kernel's own structures and of what waits in sockets."""
    slab = int(re.search(r"^Slab:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[1]) * 1024
    pages = int(re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.M)[1])
    return slab + pages * os.sysconf("SC_PAGE_SIZE")
