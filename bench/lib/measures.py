# SPDX-License-Identifier: MIT
"""The measures; the ninth is in emit.py. Each is a function of the session and returns the data that report.py shows:

    {"title", "unit", "better": "more" | "less", "rows": {subject: figures}, "goals": [...], "notes": [...]}

or a list of such tables. A goal compares Carillon's median with another's."""

import json
import time

from lib.carillon import CROWD_TASK, CROWD_USER, HOT_TASK, HOT_TASKS, HOT_USER, HOT_USERS, SMALL, USERS
from lib.peers import Express, FloorRead, FloorSend, FloorWrite, Mosquitto, Nchan, Php, Ws
from lib.tools import figures, interleave, median


def goal(text, value, limit, at_least=True):
    """value: a ratio; met when it is at least (or at most) the limit."""
    met = value >= limit if at_least else value <= limit
    return {"text": text, "value": round(value, 2), "limit": limit, "at_least": at_least, "met": met}


def table(title, unit, better, rows, goals=(), notes=(), cpu=None):
    """cpu: {subject: [seconds of CPU for one of what is counted, ...]}"""
    made = {name: figures(values) for name, values in rows.items()}
    for name, values in (cpu or {}).items():
        made[name]["cpu_us"] = round(median(values) * 1e6, 1)
    return {"title": title, "unit": unit, "better": better, "rows": made, "goals": list(goals), "notes": list(notes)}


def best(rows, names, better="more"):
    """The better one of several variants of one peer."""
    pick = max if better == "more" else min
    return pick((name for name in rows if name.startswith(names)), key=lambda name: median(rows[name]))


def ratio_goals(rows, ours, wanted, better="more"):
    """wanted: [(prefix of the peer's name, limit)]; the ratio is ours / theirs."""
    goals = []
    for prefix, limit in wanted:
        if not any(name.startswith(prefix) for name in rows):
            continue
        peer = best(rows, prefix, better)
        value = median(rows[ours]) / median(rows[peer])
        sign = "≥" if better == "more" else "≤"
        goals.append(goal(f"{sign} {limit} × {peer}", value, limit, better == "more"))
    return goals


class Peers:
    """Starts peers, remembers them, stops them at the end of a measure."""

    def __init__(self):
        self.started = []

    def __enter__(self):
        return self

    def start(self, peer, *arguments):
        self.started.append(peer)
        peer.start(*arguments)
        return peer

    def __exit__(self, *_):
        for peer in reversed(self.started):
            peer.stop()


# ---- 1 and 2: reading


def reading_peers(session, peers):
    if session.against:
        return list(session.carillons)
    bench = session.bench
    started = [peers.start(Ws(bench))]
    push = started[0]
    return [
        session.carillon,
        peers.start(Express(bench, 1), push),
        peers.start(Express(bench, 2), push),
        peers.start(Php(bench)),
        peers.start(FloorRead(bench)),
    ]


def run_wrk(session, connections, seconds, *arguments):
    def run(subject):
        result, cpu = session.metered(lambda: session.programs.wrk(subject.http, connections, seconds, *arguments))
        result["cpu"] = cpu / max(result["requests"], 1)
        session.progress(f"{subject.name}: {result['per_second']:.0f}/s, p99 {result['p99_ms']:.1f} ms, {result['cpu'] * 1e6:.0f} us of CPU each")
        return result

    return run


def column(results, key):
    return {name: [result[key] for result in values] for name, values in results.items()}


def measure_1(session):
    with Peers() as peers:
        subjects = reading_peers(session, peers)
        for subject in subjects:
            session.programs.wrk(subject.http, 32, 1, "one", SMALL)  # warm
        results = interleave(subjects, session.rounds, run_wrk(session, 32, session.seconds, "one", SMALL), "GET one")
    rows = column(results, "per_second")
    latency = ", ".join(f"{name} {median(column(results, 'p99_ms')[name]):.1f}" for name in rows)
    return table("GET /tasks/{id}, 32 connections, random ids in 10,000", "requests/s", "more", rows,
                 ratio_goals(rows, session.ours, [("Express", 3), ("PHP", 2.2), ("the floor", 1.2)]),
                 [f"p99 in ms: {latency}."], column(results, "cpu"))  # fmt: skip


def measure_2(session):
    if session.against:
        return measure_2_against(session)
    rows_large, each_small, each_large = session.large, SMALL // USERS, session.large // USERS
    session.progress(f"making {rows_large:,} rows")
    session.carillon.large_table(rows_large)
    kinds = [
        ("10,000 rows, first page", False, ("page", USERS, each_small, 0)),
        ("10,000 rows, deep page", False, ("page", USERS, each_small, 75)),
        (f"{rows_large:,} rows, first page", True, ("page", USERS, each_large, 0)),
        (f"{rows_large:,} rows, deep page", True, ("page", USERS, each_large, 75)),
    ]
    everything = {kind[0]: {} for kind in kinds}
    cpu = {kind[0]: {} for kind in kinds}
    with Peers() as peers:
        subjects = reading_peers(session, peers)
        del subjects[2]  # measure 1 compares one process with two: the better of them here
        for turn in range(session.few_rounds):
            for name, large, arguments in kinds if turn % 2 == 0 else reversed(kinds):
                if large:
                    session.carillon.use_large()
                try:
                    for subject in subjects:
                        if turn == 0:
                            session.programs.wrk(subject.http, 32, 1, *arguments)
                        result = run_wrk(session, 32, session.seconds, *arguments)(subject)
                        everything[name].setdefault(subject.name, []).append(result["per_second"])
                        cpu[name].setdefault(subject.name, []).append(result["cpu"])
                finally:
                    if large:
                        session.carillon.use_small()
        anywhere = anywhere_note(session, each_large, subjects)
    session.carillon.sql("DROP TABLE tasks_large")
    ours = {name: median(rows[session.ours]) for name, rows in everything.items()}
    base = ours[kinds[0][0]]
    tables = []
    for name, rows in everything.items():
        goals = ratio_goals(rows, session.ours, [("Express", 2.2)])
        if ours[name] != base:
            goals.append(goal("time ≤ 1.2 × the first page of the small table", base / ours[name], 1.2, False))
        tables.append(table(f"GET /tasks?user_id=&limit=20: {name}", "requests/s", "more", rows, goals, (), cpu[name]))
    tables[-1]["notes"].append(anywhere)
    return tables


def anywhere_note(session, each, subjects):
    session.carillon.use_large()
    try:
        results = {s.name: session.programs.wrk(s.http, 32, session.seconds, "anywhere", USERS, each)["per_second"] for s in subjects}
    finally:
        session.carillon.use_small()
    text = ", ".join(f"{name} {value:.0f}/s" for name, value in results.items())
    return ("Pages that begin anywhere in the large table touch more of it than MariaDB's default buffer pool (128 MB) holds; "
            f"then all requests wait for the same page reads: {text}.")  # fmt: skip


def measure_2_against(session):
    results = interleave(session.carillons, session.rounds, run_wrk(session, 32, session.seconds, "page", USERS, 100, 0), "GET page")
    return table("GET /tasks?user_id=&limit=20, 10,000 rows, first page", "requests/s", "more", column(results, "per_second"))


# ---- 3 and 4: writing


def writing_peers(session, peers, connection=True):
    if session.against:
        return list(session.carillons)
    bench = session.bench
    push = peers.start(Ws(bench))
    subjects = [session.carillon, peers.start(Express(bench, 1), push), peers.start(Express(bench, 2), push)]
    if connection:
        subjects.append(peers.start(Express(bench, 1, "outbox"), push))
        subjects.append(peers.start(Express(bench, 1, "connection"), push))
    return subjects


SPREAD = {"clients": USERS, "users": USERS, "tasks": SMALL}
HOT = {"clients": HOT_USERS, "users": HOT_USERS, "user_base": HOT_USER, "tasks": HOT_TASKS, "task_base": HOT_TASK}


def measure_3(session):
    before = published(session.carillon)
    spread, hot = write_everything(session, SPREAD), write_everything(session, HOT)
    notes_hot = [f"{name} told {part:.0%} of the changes with the text of a later one." for name, part in hot[2].items() if part > 0]
    after = published(session.carillon)
    notes = ["Until every event was delivered to the one client that each of the users has; every delivery is counted.",
             "The floor is one transaction a request, in C, without a web server or a broker."]  # fmt: skip
    if before and after and after[1] > before[1]:
        notes.append(f"Carillon published each event {(after[0] - before[0]) / (after[1] - before[1]):.2f} times.")
    wanted = [("Express, 1 process", 3), ("Express, 2", 3), ("Express, outbox", 5), ("Express, connection", 20), ("the floor", 1.4)]
    wanted_hot = [("Express, 1 process", 4)]
    tables = []
    for (rows, cpu, _), text, goals, said in ((spread, f"{SMALL:,} random tasks of {USERS} users", wanted, notes),
                                              (hot, f"{HOT_TASKS} hot tasks of {HOT_USERS} users", wanted_hot, notes_hot)):  # fmt: skip
        goals = ratio_goals(rows, session.ours, goals) if not session.against else []
        tables.append(table(f"PATCH /tasks/{{id}}, 32 connections, {text}", "events/s", "more", rows, goals, said, cpu))
    return tables


def write_everything(session, load):
    """{subject: events a second, ...}, {subject: seconds of CPU an event, ...}, {subject: part of events told by another's text, ...}"""

    def run(subject):
        events = session.events // 8 if "connection" in subject.name else session.events
        result, cpu = session.metered(lambda: session.programs.wsload(
            dialect=subject.dialect, ws=subject.ws, trigger="patch", http=subject.http, events=events, slots=32, patience=30,
            repeats=load is HOT and getattr(subject, "repeats", False), **load))  # fmt: skip
        rate = events / max(result["delivered_s"], result["answered_s"])
        session.progress(f"{subject.name}: {rate:.0f}/s (answers alone {events / result['answered_s']:.0f}/s), {cpu / events * 1e6:.0f} us of CPU each")
        return {"rate": rate, "cpu": cpu / events, "repeated": result["repeated"] / events}

    def run_floor(floor):
        told, cpu = session.metered(lambda: floor.run(session.seconds))
        result = json.loads(told)
        each = (cpu + result["cpu_seconds"]) / result["transactions"]
        session.progress(f"{floor.name}: {result['per_second']:.0f}/s, {each * 1e6:.0f} us of CPU each")
        return {"rate": result["per_second"], "cpu": each, "repeated": 0}

    with Peers() as peers:
        subjects = writing_peers(session, peers)
        if not session.against and load is SPREAD:
            subjects.append(peers.start(FloorWrite(session.bench, SMALL)))
        results = interleave(subjects, session.rounds, lambda s: run_floor(s) if isinstance(s, FloorWrite) else run(s), "PATCH")
    repeated = {name: median(parts) for name, parts in column(results, "repeated").items()}
    return column(results, "rate"), column(results, "cpu"), repeated


def published(carillon):
    total = carillon.metric("carillon_api_events_published_total"), carillon.metric("carillon_api_events_committed_total")
    return None if None in total else total


def measure_4(session):
    rate, clients = 500, 200

    def run(subject):
        result = session.programs.wsload(
            dialect=subject.dialect, ws=subject.ws, clients=clients, users=USERS, tasks=SMALL, trigger="patch",
            http=subject.http, events=int(rate * session.seconds * 1.5), rate=rate, slots=64, patience=30)  # fmt: skip
        frame = result["frame_ms"]
        session.progress(f"{subject.name}: p50 {frame['p50']:.2f} ms, p99 {frame['p99']:.2f} ms")
        return frame

    with Peers() as peers:
        subjects = writing_peers(session, peers, connection=False)
        results = interleave(subjects, session.rounds, run, "PATCH to frame")
    tables = []
    for key, limit in (("p50", 1.0), ("p99", 0.4)):
        rows = column(results, key)
        tables.append(table(f"PATCH sent to frame received, {rate}/s, {clients} clients of {USERS} users: {key}", "ms", "less", rows,
                            ratio_goals(rows, session.ours, [("Express", limit)], "less")))  # fmt: skip
    return tables


# ---- 5 to 7: the push servers by themselves


def push_servers(session, peers):
    if session.against:
        servers = list(session.carillons)
    else:
        servers = [session.carillon, peers.start(Ws(session.bench)), peers.start(Nchan(session.bench)),
                   peers.start(Mosquitto(session.bench))]  # fmt: skip
    for carillon in session.carillons:
        carillon.need_crowd(session.clients)
    return servers


def measure_5(session):
    def hold(server, where, used):
        """Bytes that each client costs at that address of the server, and the process that holds the clients."""
        server.restart_push()
        time.sleep(1)
        before = used()
        holding = session.programs.wsload_hold(dialect=server.dialect, ws=getattr(server, where), clients=session.clients,
                                               users=session.clients, user_base=CROWD_USER)  # fmt: skip
        time.sleep(3)
        return (used() - before) / session.clients, holding

    def run(server):
        server.restart_front()  # nginx keeps the memory of the clients that it had
        shipped, holding = hold(server, "shipped", server.shipped_memory)
        holding.release()
        each, holding = hold(server, "push", server.push_memory)
        cpu = server.push_cpu()
        time.sleep(session.rest)
        cpu = 100 * (server.push_cpu() - cpu) / session.rest
        holding.release()
        session.progress(f"{server.name}: {each:.0f} bytes each, {shipped:.0f} as shipped, {cpu:.1f} % of a core")
        return {"bytes": each, "shipped": shipped, "cpu": cpu}

    with Peers() as peers:
        servers = push_servers(session, peers)
        results = interleave(servers, session.few_rounds, run, "idle connections")
    rows, cpu = column(results, "bytes"), column(results, "cpu")
    goals = [goal("≤ 3,000 bytes each", median(rows[session.ours]), 3000, False)]
    goals += [goal("the least of all", median(rows[session.ours]) / min(median(v) for n, v in rows.items() if n != session.ours), 1.0, False)]
    shipped = column(results, "shipped")
    others = [median(values) for name, values in shipped.items() if name != session.ours]
    goals_shipped = [goal("≤ 7,000 bytes each", median(shipped[session.ours]), 7000, False)]
    if others:
        goals_shipped.append(goal("the least of all", median(shipped[session.ours]) / min(others), 1.0, False))
    return [table(f"{session.clients:,} subscribed idle connections: memory of the push server alone", "bytes each", "less", rows, goals,
                  ["Memory of the server's own processes (what they share counted once), not of the kernel."]),
            table(f"{session.clients:,} subscribed idle connections: memory as shipped", "bytes each", "less", shipped, goals_shipped,
                  ["With the nginx in front: Carillon's as scripts/run sets it up, before `ws` one with nginx's defaults; nchan is nginx, "
                   "and mosquitto stands alone."]),
            table(f"{session.clients:,} subscribed idle connections: CPU at rest", "% of a core", "less", cpu)]  # fmt: skip


def measure_6(session):
    missed = 10
    count = session.crowd

    def run(server):
        server.restart_push()
        time.sleep(0.5)
        comes_back = not isinstance(server, Ws)
        cpu = server.push_cpu()
        live = session.programs.wsload(dialect=server.dialect, ws=server.push, clients=session.clients, users=session.clients,
                                       user_base=CROWD_USER)["connect_s"]  # fmt: skip
        cpu = (server.push_cpu() - cpu) / session.clients
        if not comes_back:
            session.progress(f"{server.name}: connected in {live:.2f} s, {cpu * 1e6:.0f} us of CPU each")
            return {"connect": live, "cpu": cpu}
        result = session.programs.wsload(
            timeout=600, dialect=getattr(server, "comeback_dialect", server.dialect), ws=getattr(server, "comeback_push", server.push),
            clients=count, users=count, user_base=CROWD_USER, task_base=CROWD_TASK, comeback=missed, rounds=2,
            trigger=server.trigger, http=server.trigger_address, slots=32, patience=60)  # fmt: skip
        back = min(r["complete_s"] for r in result["rounds"])
        session.progress(f"{server.name}: connected in {live:.2f} s, {cpu * 1e6:.0f} us of CPU each, back with {missed} missed each in {back:.2f} s")
        return {"connect": live, "back": back, "cpu": cpu}

    with Peers() as peers:
        servers = push_servers(session, peers)
        results = interleave(servers, session.few_rounds, run, "connecting")
    connect = column(results, "connect")
    back = {name: [r["back"] for r in values if "back" in r] for name, values in results.items() if "back" in values[0]}
    return [table(f"{session.clients:,} clients connect and subscribe at once", "s", "less", connect, fastest(session, connect),
                  ["CPU is that of the push server alone, for a connection from its beginning to its end."], column(results, "cpu")),
            table(f"{count:,} clients come back, each missing {missed} events, until all have them", "s", "less", back,
                  fastest(session, back), ["`ws` by itself has nothing to come back to: what was missed is gone."])]  # fmt: skip


def fastest(session, rows):
    others = [median(values) for name, values in rows.items() if name != session.ours]
    return [goal("time ≤ 1.0 × the fastest other", median(rows[session.ours]) / min(others), 1.0, False)] if others else []


def measure_7(session):
    def run(server):
        if isinstance(server, FloorSend):
            told = json.loads(server.run(session.fan_out))
            session.progress(f"{server.name}: {told['p50_ms']:.1f} ms, {told['cpu_us']:.1f} us of CPU each")
            return {"spread": told["p50_ms"], "whole": told["p50_ms"], "cpu": told["cpu_us"] / 1e6}
        before = server.push_cpu()
        result = session.programs.wsload(
            dialect=server.dialect, ws=server.push, clients=session.clients, users=1, user_base=1, tasks=1, task_base=1,
            trigger=server.trigger, http=server.trigger_address, events=session.fan_out, one_at_a_time=True, slots=1)  # fmt: skip
        took = result["first_to_last_ms"]["p50"]
        cpu = (server.push_cpu() - before) / session.clients / (1 + session.fan_out)
        session.progress(f"{server.name}: {took:.1f} ms, {session.clients / took:.0f} deliveries/ms, about {cpu * 1e6:.1f} us of CPU each")
        return {"spread": took, "whole": result["sent_to_last_ms"]["p50"], "cpu": cpu}

    with Peers() as peers:
        servers = push_servers(session, peers)
        for server in servers:
            if isinstance(server, Ws):
                server.trigger_address = peers.start(Express(session.bench, 1), server).http
        if not session.against:
            servers.append(peers.start(FloorSend(session.bench, session.clients)))
        results = interleave(servers, session.few_rounds, run, "fan-out")
    rows = column(results, "spread")
    goals = []
    for name, limit in (("ws on Node", 3), ("nchan", 1.0), ("mosquitto", 1.0), ("the floor", 0.8)):
        if name in rows and name != session.ours:
            goals.append(goal(f"≥ {limit} × as fast as {name}", median(rows[name]) / median(rows[session.ours]), limit))
    whole = ", ".join(f"{n} {median(v):.0f}" for n, v in column(results, "whole").items())
    return table(f"One event to {session.clients:,} subscribers: first to last", "ms", "less", rows, goals,
                 [f"From the request to the last frame, in ms: {whole}.",
                  "CPU is that of the push server alone, for a connection's life with all its deliveries, divided by their number.",
                  "The floor is a bare loop of send() to as many sockets, in C, read by another process."],
                 column(results, "cpu"))  # fmt: skip


# ---- 8: the notifier by itself


def measure_8(session):
    return [busy_notifier(session), starting_notifier(session)]


def busy_notifier(session):
    rate, users = 5000, 10_000
    base = 200_000_000

    def run(carillon):
        nonlocal base
        base += users
        clients = users // 100
        holding = session.programs.wsload_hold(dialect="carillon", ws=carillon.push, clients=clients, users=clients, user_base=base)
        cpu, begin = carillon.push_cpu(), time.monotonic()
        events = int(rate * session.seconds * 1.5)
        session.programs.pump(carillon.amqp_environment(), "write", events, rate, users, base, carillon.epoch())
        time.sleep(0.3)
        used = carillon.push_cpu() - cpu
        holding.release()
        session.progress(f"{carillon.name}: {events / used:.0f} events per second of CPU ({100 * used / (time.monotonic() - begin):.0f} % of a core)")
        return {"per_core": events / used, "percent": 100 * used / (events / rate)}

    results = interleave(session.carillons, session.rounds, run, "busy notifier")
    percent = ", ".join(f"{name} {median(v):.1f} %" for name, v in column(results, "percent").items())
    return table(f"Notifier at {rate:,} events/s, 1 % of {users:,} users connected", "events per second of CPU", "more",
                 column(results, "per_core"), [], [f"At that rate, of one core: {percent}."])  # fmt: skip


def starting_notifier(session):
    """Fills the stream, then reads it from its beginning: with a bare reader, and with the notifier."""
    for carillon in session.carillons:
        environment = carillon.amqp_environment()
        session.programs.pump(environment, "write", session.ring, 0, 10_000, 300_000_000, carillon.epoch())
        time.sleep(2)

    class Reader:
        name = "a bare C reader"

    def run(subject):
        if isinstance(subject, Reader):
            result = session.programs.pump(session.carillon.amqp_environment(), "read", 100_000_000)
            session.progress(f"{subject.name}: {result['per_second']:.0f}/s of {result['events']:,}")
            return {"rate": result["per_second"]}
        took = subject.restart_push()
        count = subject.metric("carillon_notifier_events_total", "/notifier/metrics") or session.ring
        session.progress(f"{subject.name}: ready after {took:.2f} s with {count:,.0f} events, {count / took:.0f}/s")
        return {"rate": count / took}

    subjects = [Reader(), *session.carillons]
    rounds = interleave(subjects, session.rounds if session.rounds % 2 else session.rounds + 1, run, "start-up")
    rows = column(rounds, "rate")
    return table("Start-up with a full ring", "events/s", "more", rows,
                 ratio_goals(rows, session.ours, [("a bare C reader", 0.9)]),
                 ["The notifier's time counts from the start of the process until it is ready to answer subscriptions."])  # fmt: skip


MEASURES = {1: measure_1, 2: measure_2, 3: measure_3, 4: measure_4, 5: measure_5, 6: measure_6, 7: measure_7, 8: measure_8}

