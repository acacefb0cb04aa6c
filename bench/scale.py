# SPDX-License-Identifier: MIT
"""What many browsers over several notifiers take; scripts/scale builds what it needs and starts it."""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.carillon import CROWD_USER  # noqa: E402
from lib.crowd import Crowds  # noqa: E402
from lib.place import SPARE_FILES, Place  # noqa: E402
from lib.scale import MEASURES, Session, number  # noqa: E402
from lib.tools import ROOT, Failed, Programs, elapsed, remove, say  # noqa: E402
from run import machine, output  # noqa: E402

NOTIFIERS_MAX = 8  # of scripts/run
SOCKET_BYTES = 20_000  # of memory, in all processes and in the kernel, for both ends


def whole(least, most):
    def parse(text):
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most:,}, not '{text}'")
        return int(text)

    return parse


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failed(f"{message}; see scripts/scale --help")


def parse():
    parser = Parser(add_help=False)
    parser.add_argument("--sockets", type=whole(1, 1_000_000), default=100_000)
    parser.add_argument("--notifiers", type=whole(1, NOTIFIERS_MAX), default=6)
    parser.add_argument("--rate", type=whole(1, 100_000), default=200)
    parser.add_argument("--seconds", type=whole(1, 3600), default=30)
    parser.add_argument("--nginx", action="store_true")
    parser.add_argument("--stack")
    parser.add_argument("--output")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    if arguments.stack:
        upstreams = Path(arguments.stack) / "etc/nginx/conf.d/upstreams.conf"
        if not upstreams.is_file():
            raise Failed(f"{arguments.stack} is no directory of scripts/run")
        arguments.notifiers = upstreams.read_text().count("upstream ws_notifier_")
    if arguments.sockets < arguments.notifiers:
        raise Failed(f"{arguments.sockets} sockets are less than one for each of {arguments.notifiers} notifiers")
    return arguments


def check_machine(arguments):
    """What the kernel would refuse later is said now. Returns how many files a process may have open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 65_536 if files == resource.RLIM_INFINITY else min(files, 65_536)
    each = -(-arguments.sockets // arguments.notifiers)
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    free = int(re.search(r"^MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)[1]) * 1024
    if each > files - SPARE_FILES:
        raise Failed(f"{each:,} sockets for each notifier are more than the {files:,} open files of a process allow (ulimit -Hn): "
                     f"more notifiers, fewer sockets, or a higher limit")  # fmt: skip
    if arguments.nginx and each > (last - first) // 2:
        raise Failed(f"{each:,} connections of nginx to one notifier are more than the {(last - first) // 2:,} that the kernel has ports for "
                     "at hand (half of ip_local_port_range): more notifiers, or fewer sockets")  # fmt: skip
    if arguments.nginx and arguments.notifiers > 1 and arguments.sockets / (arguments.notifiers - 1) > files - SPARE_FILES:
        raise Failed("while one notifier restarts the others cannot hold all sockets: more notifiers, or fewer sockets")
    if arguments.nginx and 2 * arguments.sockets > 0.8 * files * os.cpu_count():
        raise Failed(f"{arguments.sockets:,} sockets are two each in nginx, and its {os.cpu_count()} workers have {files:,} each")
    if free < 500e6 + arguments.sockets * SOCKET_BYTES:
        raise Failed(f"{arguments.sockets:,} sockets take about {(500e6 + arguments.sockets * SOCKET_BYTES) / 1e9:.1f} GB, and {free / 1e9:.1f} are free")
    return files


def show(arguments, rows):
    found = machine()
    revision = output("git", "rev-parse", "--short", "HEAD") or "?"
    words = " ".join(sys.argv[1:])
    print(f"\nscripts/scale{f' {words}' if words else ''}: {arguments.sockets:,} sockets, {arguments.notifiers} notifiers, revision {revision}, "
          f"{found['cores']} cores ({found['cpu']}), {found['system']}\n")  # fmt: skip
    print("| | | |\n|---|---:|---|")
    for row in rows:
        print(f"| {row['what']} | {number(row['value'])} {row['unit']} | {row['note']} |")
    if arguments.output:
        result = {"arguments": vars(arguments), "revision": revision, "machine": found, "rows": rows}
        Path(arguments.output).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def measure(place, arguments, programs):
    say(f"starting a stack with {arguments.notifiers} notifiers" if place.own else f"measuring the stack in {place.run_dir}")
    place.start()
    say(f"{arguments.sockets:,} users with a task each")
    place.fill_crowd(arguments.sockets)
    door = [f"{place.http}/ws"] * len(place.doors) if arguments.nginx else [f"{address}/ws" for address in place.doors]
    crowds = Crowds(programs.path("crowd"), door, arguments.sockets, CROWD_USER, place.http)
    try:
        session = Session(place, crowds, programs, arguments)
        for one in MEASURES:
            say(one.__name__.replace("_", " "))
            one(session)
        return session.rows
    finally:
        crowds.stop()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory, place, kept = None, None, False
    try:
        arguments = parse()
        files = check_machine(arguments)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        directory = Path(tempfile.mkdtemp(prefix="carillon-scale-", dir=os.environ.get("TMPDIR", "/tmp")))
        kept = arguments.keep
        place = Place(directory, arguments, files)
        rows = measure(place, arguments, Programs(Path(os.environ.get("BUILD_DIR", ROOT / "build"))))
        show(arguments, rows)
        say(f"done in {elapsed() / 60:.0f} minutes")
        return 0
    except (Failed, subprocess.SubprocessError) as error:
        print(f"scale: {error}", file=sys.stderr)
        if place and place.own:
            print(f"scale: the logs are in {directory}", file=sys.stderr)
            kept = True
        return 1
    finally:
        for what in (signal.SIGTERM, signal.SIGINT):  # a second one must not leave half of it behind
            signal.signal(what, signal.SIG_IGN)
        if place:
            place.stop()
        if directory and not kept:
            remove(directory)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
