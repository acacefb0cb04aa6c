# SPDX-License-Identifier: MIT
"""The measures of scripts/scale. Each is a function of the session, in the order of the table that is printed; what the parts take
at rest is subtracted in those that follow."""

import subprocess
import time

from lib.carillon import CROWD_TASK
from lib.crowd import percentile
from lib.place import SHARED_TASK, SHARED_USER, Meter, kernel_memory
from lib.tools import Failed, memory, say

SHARED_EVENTS = 5
UNHEARD_RATES = (200, 1000, 4000)
UNHEARD_USERS = 10_000
RESTART_S = 15  # of changes, while the clients of a notifier go and come back
PATIENCE_S = 180
UNHEARD_S = 5
NS = 1e9


class Session:
    def __init__(self, place, crowds, programs, arguments):
        self.place, self.crowds, self.programs = place, crowds, programs
        self.sockets, self.rate, self.seconds = arguments.sockets, arguments.rate, arguments.seconds
        self.through_nginx = arguments.nginx
        self.rest = {}  # part: CPU seconds a second
        self.rows = []

    def row(self, what, value, unit, note=""):
        self.rows.append({"what": what, "value": value, "unit": unit, "note": note})
        say(f"   {what}: {number(value)} {unit}{f' ({note})' if note else ''}")

    def meter(self):
        return Meter(self.place, self.crowds)

    def above_rest(self, meter):
        """CPU seconds by part since then, less what the parts take at rest."""
        seconds, used, others = meter.read()
        return {part: max(0.0, value - seconds * self.rest.get(part, 0)) for part, value in used.items()}, others / seconds

    def cpu_rows(self, used, count, each):
        """A row for each part: its share of a thing."""
        for part in ("nginx", "fcgi-api", "mariadb", "rabbitmq", "ws-notifier", "logs"):
            label = f"all {len(self.place.doors)} notifiers" if part == "ws-notifier" else part
            self.row(f"CPU {each}: {label}", used.get(part, 0) / count * 1e6, "µs")


def number(value):
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def wait_for(condition, otherwise):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{otherwise} within {PATIENCE_S} s")
        time.sleep(0.05)


# ---- the measures, in their order


def connecting(session):
    place, crowds = session.place, session.crowds
    notifiers, nginx, kernel = memory(place.push_pids()), memory(place.part_pids("nginx")), kernel_memory()
    meter, begin = session.meter(), time.monotonic_ns()
    crowds.report()
    crowds.tell("connect")
    last, total = crowds.wait_in()
    _, used, _ = meter.read()
    session.row("connect and subscribe, all at once", (last - begin) / NS, "s", f"{total['refused_connections']} connections failed first")
    session.row("CPU a socket: notifiers", used["ws-notifier"] / session.sockets * 1e6, "µs")
    if session.through_nginx:
        session.row("CPU a socket: nginx", used["nginx"] / session.sockets * 1e6, "µs")
    time.sleep(min(5, session.seconds))
    session.row("memory a socket: notifiers (PSS)", (memory(place.push_pids()) - notifiers) / session.sockets, "bytes")
    if session.through_nginx:
        session.row("memory a socket: nginx (PSS)", (memory(place.part_pids("nginx")) - nginx) / session.sockets, "bytes")
    session.row("memory a socket: kernel, both ends", (kernel_memory() - kernel) / session.sockets, "bytes", "of the whole machine")


def resting(session):
    meter = session.meter()
    time.sleep(2 * session.seconds)
    seconds, used, others = meter.read()
    session.rest = {part: value / seconds for part, value in used.items()}
    at_rest = 100 * session.rest["ws-notifier"]
    session.row("CPU at rest: all notifiers", at_rest, "% of a core", "a ping and a heartbeat to each socket every 25 s")
    session.row("CPU at rest: for 10,000 sockets", at_rest / session.sockets * 10_000, "% of a core")
    session.row("CPU at rest: nginx", 100 * session.rest["nginx"], "% of a core")
    session.row("CPU at rest: rabbitmq", 100 * session.rest["rabbitmq"], "% of a core")
    session.row("CPU at rest: other processes of the machine", 100 * others / seconds, "% of a core")


def sharing(session):
    crowds, place = session.crowds, session.place
    before = memory(place.push_pids())
    begin = time.monotonic_ns()
    crowds.tell("share", SHARED_USER)
    last, _ = crowds.wait_in()
    session.row("all subscribe to one user more", (last - begin) / NS, "s")
    session.row("memory of that subscription: notifiers (PSS)", (memory(place.push_pids()) - before) / session.sockets, "bytes")


def telling_all(session):
    crowds = session.crowds
    first, last = [], []
    meter = session.meter()
    for _ in range(SHARED_EVENTS):
        crowds.report()
        crowds.writes(1, 1, SHARED_TASK, 1)
        total = crowds.until("shared", session.sockets, 20, lambda total: total["shared"] >= session.sockets)
        crowds.wait_written(1)
        first.append((total["shared_first_at"] - total["shared_due_at"]) / 1e6)
        last.append((total["shared_last_at"] - total["shared_due_at"]) / 1e6)
    used, _ = session.above_rest(meter)
    total = crowds.report()
    if total["shared"]:
        raise Failed(f"{total['shared']} sockets heard the last event twice")
    spread = f"median of {SHARED_EVENTS}, {min(last):.0f} to {max(last):.0f}"
    session.row("one event to all: until the first has it", sorted(first)[SHARED_EVENTS // 2], "ms")
    session.row("one event to all: until the last has it", sorted(last)[SHARED_EVENTS // 2], "ms", spread)
    deliveries = SHARED_EVENTS * session.sockets
    session.row("CPU a delivery: notifiers", used["ws-notifier"] / deliveries * 1e6, "µs")
    if session.through_nginx:
        session.row("CPU a delivery: nginx", used["nginx"] / deliveries * 1e6, "µs")


def telling_each(session):
    """Changes of random users' tasks; each user has one socket."""
    place, crowds = session.place, session.crowds
    ring_bytes, ring_events = (place.figure(0, f"carillon_notifier_ring_{what}") for what in ("bytes", "events"))
    count = session.rate * session.seconds
    crowds.report()
    meter = session.meter()
    crowds.writes(count, session.rate, CROWD_TASK, session.sockets)
    answers = crowds.wait_written(count, session.seconds + 30)
    total = crowds.until("heard", count, 20, lambda total: total["heard"] >= count)
    used, others = session.above_rest(meter)
    if total["heard"] != count or total["shared"]:
        raise Failed(f"{count} events were heard {total['heard'] + total['shared']} times")
    what = f"{session.rate}/s to random users"
    for percent in (50, 99):
        session.row(f"{what}: PATCH to frame, p{percent}", percentile(total["own_us"], percent) / 1e3, "ms")
    session.row(f"{what}: PATCH to answer, p50", percentile(answers, 50) / 1e3, "ms")
    session.row(f"{what}: other processes of the machine", 100 * others, "% of a core")
    session.cpu_rows(used, count, "an event")
    kept = place.figure(0, "carillon_notifier_ring_bytes") - ring_bytes, place.figure(0, "carillon_notifier_ring_events") - ring_events
    if kept[1] > 0:
        session.row("an event in the memory of each notifier", kept[0] / kept[1], "bytes")


def telling_none(session):
    """Events of users without a client, straight into the stream: what reading them costs."""
    place, crowds = session.place, session.crowds
    # Each run's events are of users of their own: numbers begin at 1.
    base = 400_000_000 + int(time.time()) % 50_000 * len(UNHEARD_RATES) * UNHEARD_USERS
    stream, written = place.stream_bytes(), 0
    for rate in UNHEARD_RATES:
        count = rate * min(UNHEARD_S, session.seconds)
        marks = [place.figure(index, "carillon_notifier_events_total") for index in range(len(place.doors))]
        meter = session.meter()
        session.programs.pump(place.amqp_environment(), "write", count, rate, UNHEARD_USERS, base, place.epoch())
        for index, mark in enumerate(marks):
            wait_for(lambda: place.figure(index, "carillon_notifier_events_total") >= mark + count,  # noqa: B023
                     f"notifier {index + 1} has not read {count} events")  # fmt: skip
        used, _ = session.above_rest(meter)
        base, written = base + UNHEARD_USERS, written + count
        session.row(f"an event of a user without a client, {rate:,}/s: each notifier", used["ws-notifier"] / count / len(place.doors) * 1e6, "µs")
        session.row(f"an event of a user without a client, {rate:,}/s: rabbitmq", used["rabbitmq"] / count * 1e6, "µs", f"for {len(place.doors)} readers")
    session.row("an event in the stream, on disk", (place.stream_bytes() - stream) / written, "bytes")
    crowds.report()


def restarting(session):
    """One notifier stops and starts under load; its clients come back with their cursors, each within 5 s as in a browser."""
    place, crowds = session.place, session.crowds
    count = session.rate * min(RESTART_S, 5 * session.seconds)
    before = place.part_pids(place.notifiers[0])[0]
    crowds.report()
    crowds.writes(count, session.rate, CROWD_TASK, session.sockets)
    begin = time.monotonic_ns()
    subprocess.run(["s6-svc", "-r", place.run_dir / "service" / place.notifiers[0]], check=True)
    wait_for(lambda: place.part_pids(place.notifiers[0])[0] not in (before, -1), "the notifier does not start anew")
    total = crowds.until("in", session.sockets, 60, lambda total: total["in"] == session.sockets and total["back"] > 0)
    share = total["back"]
    session.row("restart of one notifier: sockets that came back", share, "sockets")
    session.row("restart of one notifier: until the last is back", (total["in_at"] - begin) / NS, "s", "they spread over 5 s by themselves")
    crowds.wait_written(count, session.seconds + 30)
    heard = crowds.until("heard", count - total["heard"], 20, lambda more: total["heard"] + more["heard"] >= count)
    if total["heard"] + heard["heard"] != count or total["forgotten"]:
        raise Failed(f"{count} events were heard {total['heard'] + heard['heard']} times; {total['forgotten']} clients were told to read anew")
    session.row("restart of one notifier: events replayed", total["replayed"], "events", f"all {count:,} of the time were heard once")
    times = sorted(total["own_us"] + heard["own_us"])
    session.row("restart of one notifier: PATCH to frame, p50", percentile(times, 50) / 1e3, "ms")
    session.row("restart of one notifier: PATCH to frame, the slowest", times[-1] / 1e3, "ms")


MEASURES = [connecting, resting, sharing, telling_all, telling_each, telling_none, restarting]
