# SPDX-License-Identifier: MIT
"""Shared by all measures: progress, processes, ports, the load programs, medians."""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_PORT, LAST_PORT = 61000, 65400  # above the range the kernel takes ports for outgoing connections from

_begin = time.monotonic()


class Failed(Exception):
    """The benchmark cannot go on; the text says why."""


def say(text):
    seconds = int(time.monotonic() - _begin)
    print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", flush=True)


def elapsed():
    return time.monotonic() - _begin


# ---- ports and processes


def free_port(count=1):
    """The first port of `count` free ones in a row."""
    for base in range(FIRST_PORT + os.getpid() % 40 * 100, LAST_PORT, 5):
        if base < free_port.next:
            continue
        if all(_is_free(base + i) for i in range(count)):
            free_port.next = base + count
            return base
    raise Failed("no free ports above 61000")


free_port.next = 0


def _is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def wait_port(port, process=None, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise Failed(f"{process.args} ended with {process.returncode} at its start")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failed(f"nobody listens on port {port} after {seconds} s")


class Daemon:
    """A process of a peer, with its children, in a session of its own."""

    def __init__(self, arguments, log, environment=None, shell=False):
        self.log = Path(log)
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                arguments, env=environment, shell=shell, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def pids(self):
        return process_tree(self.process.pid)

    def stop(self):
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self.process.wait(5)
                time.sleep(0.1)
            except subprocess.TimeoutExpired:
                continue


def process_tree(pid):
    found = [pid]
    for pid in found:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


def memory(pids):
    """Bytes of memory of these processes (shared memory is counted once)."""
    total = 0
    for pid in pids:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def cpu_seconds(pids):
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / tick
        except OSError:
            pass
    return total


def cpu_by_process(pids):
    return {pid: cpu_seconds([pid]) for pid in pids}


def cpu_between(before, after):
    """Seconds of the processes that are in both, so without the load program that ran in between."""
    return sum(after[pid] - before[pid] for pid in after if pid in before)


def process_age(pid):
    """Seconds since it was made, to a hundredth."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


# ---- load programs


class Programs:
    def __init__(self, build):
        self.build = Path(build)

    def path(self, name):
        return str(self.build / "bench" / name)

    def wrk(self, address, connections, seconds, *arguments, tolerate=False):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                   "-s", str(ROOT / "bench/wrk/tasks.lua"), f"http://{address}/", "--", *map(str, arguments)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        for line in done.stdout.splitlines():
            if line.startswith("JSON "):
                result = json.loads(line[5:])
                if not tolerate and (result["bad_status"] or result["socket_errors"]):
                    raise Failed(f"{address}: {result['bad_status']} answers were no success, {result['socket_errors']} failed")
                return result
        raise Failed(f"wrk on {address}: {done.stdout[-500:]} {done.stderr[-500:]}")

    def wsload(self, timeout=300, **options):
        done = subprocess.run(self._wsload(options), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failed(f"{' '.join(done.args)}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return json.loads(done.stdout)

    def wsload_hold(self, **options):
        """Clients that stay: a process that gives their result and ends by release()."""
        return Holding(self._wsload({**options, "hold": True}))

    def _wsload(self, options):
        command = [self.path("wsload")]
        for name, value in options.items():
            if value is True:
                command.append("--" + name.replace("_", "-"))
            elif value is not None and value is not False:
                command += ["--" + name.replace("_", "-"), str(value)]
        return command

    def pump(self, environment, *arguments, timeout=300):
        done = subprocess.run([self.path("pump"), *map(str, arguments)], env={**os.environ, **environment},
                              capture_output=True, text=True, timeout=timeout)  # fmt: skip
        if done.returncode:
            raise Failed(f"pump {arguments}: {done.stderr}")
        return json.loads(done.stdout)


class Holding:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{' '.join(command)} ended")
        self.result = json.loads(line)

    def release(self):
        self.process.stdin.close()
        if self.process.wait(60):
            raise Failed("a client was closed, or heard something wrong, while it was held")


# ---- figures


def median(values):
    return statistics.median(values)


def spread(values):
    """Half of the distance between the best and the worst, in percent of the median."""
    middle = median(values)
    return 100 * (max(values) - min(values)) / 2 / middle if middle else 0


def figures(values):
    return {"values": [round(v, 4) for v in values], "median": median(values), "spread_percent": round(spread(values), 1)}


def interleave(subjects, rounds, run, label):
    """A B A B ...: {name: [result, ...]}. A failure is reported with the subject's name."""
    results = {subject.name: [] for subject in subjects}
    for turn in range(rounds):
        for subject in subjects if turn % 2 == 0 else reversed(subjects):
            try:
                results[subject.name].append(run(subject))
            except (Failed, subprocess.TimeoutExpired) as error:
                raise Failed(f"{label}, {subject.name}: {error}") from None
    return results


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def warn(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)
