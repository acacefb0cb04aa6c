# SPDX-License-Identifier: MIT
"""Cost as work grows: each function returns one plot.

    {"name", "title", "x", "y", "logx", "series": {subject: [[x, y], ...]}, "text"}"""

from lib.carillon import CROWD_TASK, CROWD_USER, SMALL, USERS
from lib.measures import Peers, push_servers, reading_peers
from lib.peers import Express, Ws
from lib.tools import Failed


def plot(name, title, x, y, series, text, logx=True, logy=False):
    return {"name": name, "title": title, "x": x, "y": y, "logx": logx, "logy": logy, "series": series, "text": text}


def connections(session):
    series = {}
    with Peers() as peers:
        for subject in reading_peers(session, peers):
            if subject.name == "Express, 2 processes":
                continue
            for count in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
                result = session.programs.wrk(subject.http, count, session.short, "one", SMALL, tolerate=True)
                good = (result["requests"] - result["bad_status"]) / result["seconds"]
                series.setdefault(subject.name, []).append([count, good])
            session.progress(f"{subject.name}: {max(y for _, y in series[subject.name]):.0f}/s at best")
    return plot("connections", "GET /tasks/{id} against connections", "connections", "requests/s", series,
                "The pools of PHP and of the floor take one request in each process, and are full at 16 connections; further "
                "connections wait in the socket's backlog and cost nothing.")  # fmt: skip


def offered_rate(session):
    """Open loop: requests are sent when they are due, whether or not earlier ones were answered. Two plots."""
    best = session.programs.wrk(session.carillon.http, 64, session.short, "one", SMALL)["per_second"]
    latency, answered, refused = {}, {}, {}
    with Peers() as peers:
        express = peers.start(Express(session.bench, 1), peers.start(Ws(session.bench)))
        for subject in (session.carillon, express):
            for share in (0.1, 0.25, 0.5, 0.7, 0.85, 1.0, 1.25, 1.5):
                rate = int(best * share)
                if subject is express and series_is_over(latency.get(subject.name)):
                    break
                result = session.programs.wsload(
                    clients=0, tasks=SMALL, users=USERS, trigger="get", http=subject.http, rate=rate,
                    events=int(rate * session.short), slots=3000, tolerate=True, patience=30)  # fmt: skip
                good = result["status"].get("200", 0)
                latency.setdefault(subject.name, []).append([rate, result["response_ms"]["p99"]])
                answered.setdefault(f"{subject.name}: answered", []).append([rate, good / max(result["answered_s"], session.short)])
                busy = result["status"].get("503", 0)
                if busy or subject is session.carillon:
                    refused.setdefault(f"{subject.name}: told to come again (503)", []).append([rate, busy / session.short])
            session.progress(f"{subject.name}: p99 {latency[subject.name][-1][1]:.0f} ms at {latency[subject.name][-1][0]}/s offered")
    return [
        plot("offered-latency", "Latency (p99) against offered requests", "offered requests/s", "ms", latency,
             "Times count from the moment a request was due. Up to saturation they stay flat.", logx=False, logy=True),
        plot("offered-answers", "Answers against offered requests", "offered requests/s", "answers/s", {**answered, **refused},
             "Past saturation the pool goes on at its best rate; what does not fit into the backlog gets 503 with "
             "Retry-After at once, and nothing collapses.", logx=False),
    ]  # fmt: skip


def series_is_over(points):
    return bool(points) and points[-1][1] > 2000


def memory_of_connections(session):
    series = {}
    with Peers() as peers:
        for server in push_servers(session, peers):
            server.restart_push()
            for count in (100, 1000, session.clients // 4, session.clients // 2, session.clients):
                before = server.push_memory()
                holding = session.programs.wsload_hold(dialect=server.dialect, ws=server.push, clients=count, users=count, user_base=CROWD_USER)
                series.setdefault(server.name, []).append([count, max(0, server.push_memory() - before) / 1e6])
                holding.release()
                server.restart_push()
            session.progress(f"{server.name}: {series[server.name][-1][1]:.1f} MB")
    return plot("memory", "Memory against subscribed connections", "connections", "MB", series,
                "Memory of the server's processes above that of a fresh one.", logx=False)  # fmt: skip


def replay(session):
    series, clients = {}, 100
    with Peers() as peers:
        for server in push_servers(session, peers):
            if isinstance(server, Ws):
                continue
            for missed in (1, 3, 10, 30, 100, 300):
                server.restart_push()
                try:
                    result = session.programs.wsload(
                        dialect=getattr(server, "comeback_dialect", server.dialect), ws=getattr(server, "comeback_push", server.push),
                        clients=clients, users=clients, user_base=CROWD_USER, task_base=CROWD_TASK, comeback=missed, rounds=2,
                        trigger=server.trigger, http=server.trigger_address, slots=32, patience=30)  # fmt: skip
                except Failed as error:
                    session.progress(f"{server.name}, {missed} missed: {str(error).splitlines()[-1]}")
                    break
                best = min(r["complete_s"] for r in result["rounds"])
                series.setdefault(server.name, []).append([missed, best * 1000])
            session.progress(f"{server.name}: {series[server.name][-1][1]:.0f} ms for {series[server.name][-1][0]} missed each")
    return plot("replay", f"{clients} clients come back: time until all have what they missed", "events missed by each", "ms",
                series, "Replay comes from the notifier's memory; no query is made.", logy=True)  # fmt: skip


def deliveries(session):
    series = {}
    with Peers() as peers:
        for server in push_servers(session, peers):
            if isinstance(server, Ws):
                server.trigger_address = peers.start(Express(session.bench, 1), server).http
            for count in (10, 100, 1000, session.clients):
                result = session.programs.wsload(
                    dialect=server.dialect, ws=server.push, clients=count, users=1, tasks=1, trigger=server.trigger,
                    http=server.trigger_address, events=session.fan_out, one_at_a_time=True, slots=1)  # fmt: skip
                series.setdefault(server.name, []).append([count, count / max(result["first_to_last_ms"]["p50"], 0.001) * 1000])
            session.progress(f"{server.name}: {series[server.name][-1][1]:.0f} deliveries/s to {count}")
    return plot("deliveries", "Deliveries of one event against subscribers", "subscribers", "deliveries/s", series,
                "Subscribers divided by the time from the first to the last frame of an event.")  # fmt: skip


GROWTH = [connections, offered_rate, memory_of_connections, replay, deliveries]
