# SPDX-License-Identifier: MIT
"""The benchmark itself; scripts/bench builds what it needs and starts it."""

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib import growth, report  # noqa: E402
from lib.carillon import Carillon, other_revision  # noqa: E402
from lib.emit import measure_9  # noqa: E402
from lib.measures import MEASURES  # noqa: E402
from lib.peers import Bench  # noqa: E402
from lib.tools import ROOT, Failed, Programs, cpu_between, cpu_by_process, elapsed, process_tree, remove, say, warn  # noqa: E402

WHOLE = {"rounds": 5, "few_rounds": 3, "seconds": 6, "short": 3, "events": 12_000, "large": 5_000_000, "clients": 10_000,
         "crowd": 10_000, "rest": 25, "fan_out": 15, "ring": 250_000}  # fmt: skip
QUICK = {"rounds": 2, "few_rounds": 1, "seconds": 2, "short": 1, "events": 2_000, "large": 500_000, "clients": 2_000,
         "crowd": 1_000, "rest": 5, "fan_out": 5, "ring": 50_000}  # fmt: skip


MEASURES[9] = measure_9
PARTIAL = ROOT / "build/bench/report"  # of a run that was not whole


class Session:
    """The amount of work, the subjects, and the results so far."""

    def __init__(self, arguments, directory):
        for name, value in (QUICK if arguments.quick else WHOLE).items():
            setattr(self, name, value)
        self.against = arguments.against
        self.programs = Programs(ROOT / "build")
        self.carillon = Carillon(directory)
        self.carillons = [self.carillon]
        if self.against:
            self.carillons.insert(0, other_revision(directory, self.against))
        self.ours = self.carillon.name
        self.prefix = ""

    def metered(self, run):
        """The result of `run`, and the CPU seconds of all processes except the load program."""
        pids = [pid for carillon in self.carillons for pid in carillon.all_pids()] + process_tree(os.getpid())[1:]
        before = cpu_by_process(pids)
        result = run()
        return result, cpu_between(before, cpu_by_process(pids))

    def progress(self, text):
        say(f"{self.prefix} {text}")

    def start(self, directory):
        for carillon in self.carillons:
            say(f"starting {carillon.name}")
            carillon.start()
        self.bench = Bench(directory, self.carillon, self.programs)

    def stop(self):
        for carillon in self.carillons:
            carillon.stop()


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", type=int, choices=range(0, 10), metavar="N")
    parser.add_argument("--against", metavar="REV")
    parser.add_argument("--output", metavar="DIRECTORY")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    if arguments.resume and (arguments.quick or arguments.only or arguments.against):
        parser.error("--resume goes on with a whole run: not with --quick, --only or --against")
    return arguments


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="carillon-bench-", dir=os.environ.get("TMPDIR", "/tmp")))
    os.chmod(directory, 0o700)
    results = begin(arguments)
    session = None
    try:
        if arguments.resume:
            take_over(results, PARTIAL / "benchmarks/results.json")
        session = Session(arguments, directory)
        session.start(directory)
        measure(session, arguments, results)
    except (Failed, subprocess.SubprocessError) as error:
        warn(str(error))
        warn(f"the logs are in {directory}")
        arguments.keep = True
        results["failed"] = str(error)
    except KeyboardInterrupt:
        warn("stopped; --resume goes on from the last whole measure")
        results["failed"] = "stopped"
    finally:
        if session:
            session.stop()
        if not arguments.keep:
            remove(directory)
    return finish(arguments, results)


def take_over(results, path):
    """The measures of a whole run that failed on this machine."""
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failed(f"there is nothing to resume: {error}") from error
    if before["quick"] or before["against"] or "failed" not in before or not before["measures"]:
        raise Failed(f"there is nothing to resume: {path} is not of a whole run that failed")
    if before["machine"] != results["machine"]:
        raise Failed(f"there is nothing to resume: {path} is of another machine, or of other versions of its programs")
    earlier = before.get("earlier", [])
    measured = [key for key in before["measures"] if not any(key in part["measures"] for part in earlier)]
    results["measures"] = before["measures"]
    results["earlier"] = [*earlier, {"measures": measured} | {key: before[key] for key in ("date", "revision", "minutes")}]


def measure(session, arguments, results):
    wanted = arguments.only or [*MEASURES, *([] if arguments.quick or arguments.against else [0])]
    for key in wanted:
        if str(key) in results["measures"]:
            continue
        if key == 0:
            for make in growth.GROWTH:
                session.prefix = f"growth, {make.__name__}:"
                made = make(session)
                results["plots"] += made if isinstance(made, list) else [made]
            continue
        session.prefix = f"measure {key}:"
        made = MEASURES[key](session)
        results["measures"][str(key)] = made if isinstance(made, list) else [made]
    results["ours"] = session.ours


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        return (done.stdout + done.stderr).strip()
    except OSError:
        return ""


def begin(arguments):
    dirty = " with changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    load = os.getloadavg()[0]
    if load > 0.5 * os.cpu_count():
        warn(f"this machine is busy (load average {load:.1f}): the figures will be noisy")
    return {
        "command": "scripts/bench" + "".join(" " + shlex.quote(word) for word in sys.argv[1:]),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": output("git", "rev-parse", "--short", "HEAD") + dirty,
        "quick": arguments.quick, "against": arguments.against, "ours": "Carillon",
        "busy": load if load > 0.5 * os.cpu_count() else 0,
        "machine": machine(), "measures": {}, "plots": [],
    }  # fmt: skip


def machine():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())

    def version(*command):
        found = re.search(r"\d+\.\d+(\.\d+)?", output(*command))
        return found[0] if found else "?"

    return {
        "cores": os.cpu_count(), "cpu": cpu[1] if cpu else platform.machine(),
        "system": f"{system[1] if system else platform.system()}, Linux {platform.release().split('-')[0]}",
        "versions": {
            "nginx": version("nginx", "-v"), "MariaDB": version("mariadbd", "--version"),
            "RabbitMQ": version("dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"), "Node": version("node", "--version"),
            "PHP": version("php", "-v"), "mosquitto": version("dpkg-query", "-W", "-f", "${Version}", "mosquitto"),
            "nchan": version("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"),
        },
    }  # fmt: skip


def finish(arguments, results):
    results["minutes"] = elapsed() / 60
    report.terminal(results)
    whole = not (arguments.quick or arguments.only or arguments.against or results.get("failed"))
    target = Path(arguments.output) if arguments.output else ROOT / "docs" if whole else PARTIAL
    if results["measures"] or results["plots"]:
        print(f"\nwritten: {report.write(results, target)}")
    return 1 if results.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
