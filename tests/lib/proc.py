# SPDX-License-Identifier: MIT
"""Processes, as /proc shows them."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from .wait import eventually


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    state: str

    @property
    def command(self):
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""

    def alive(self):
        now = read(self.pid)
        return now is not None and now.state not in "ZX"

    def kill(self, sig=signal.SIGKILL):
        """When this returns every thread of the process has stopped."""
        os.kill(self.pid, sig)
        if sig == signal.SIGSTOP:
            eventually(self._stands_still, 5, f"{self.name} stands still", interval=0.001)

    def _stands_still(self):
        threads = (read(f"{self.pid}/task/{thread}") for thread in os.listdir(f"/proc/{self.pid}/task"))
        return all(thread.state in "TtZX" for thread in threads if thread)

    def resident_kb(self):
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1])
        raise AssertionError(f"no Rss of {self}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def read(pid):
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    state, parent = text[text.rindex(")") + 2 :].split()[:2]
    return Process(int(text.split()[0]), int(parent), name, state)


def everything():
    found = (read(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None]


def _children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def tree(pid):
    """The process and all that come from it, parents first; ended ones left out."""
    found, queue = [], [pid]
    while queue:
        pid = queue.pop(0)
        process = read(pid)
        if process and process.state not in "ZX":
            found.append(process)
        queue.extend(_children(pid))
    return found


def of_stack(run_dir):
    """Every process of a stack, whichever parent it has now: by the mark scripts/run gives its
    parts, by the command line, or by where it works (some overwrite their environment)."""
    text, mark, found = str(run_dir), f"CARILLON_RUN_DIR={run_dir}".encode(), []
    for process in everything():
        try:
            cwd = os.readlink(f"/proc/{process.pid}/cwd")
            environment = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if process.pid != os.getpid() and (mark in environment or text in process.command or text in cwd):
            found.append(process)
    return found
