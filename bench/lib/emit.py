# SPDX-License-Identifier: MIT
"""Measure 9: events of other programs (CALL carillon_emit). From the moment COMMIT is sent until the frame is there, at a
steady rate; the first one after a pause; and what it costs the publisher to look for such events when there are none."""

import asyncio
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pymysql
import websockets

from lib.measures import column, goal, table
from lib.tools import Failed, cpu_between, interleave, median

RATE = 200
WRITERS, USERS_EACH = 4, 5  # each writer has users of its own, so that their order is known
WARM = RATE  # events before those that count: the publisher has then noticed that some come
BUSY_S = 4  # of the 5 s after an event in which the publisher looks more often (fcgi-api/publisher/emitted.c)
PATIENCE_S = 60


def measure_9(session):
    subjects = [carillon for carillon in session.carillons if _password(carillon).exists()]

    def load(carillon):
        latencies = sorted(emit_and_hear(carillon, WARM + int(RATE * session.seconds * 1.5))[WARM:])
        pool, database = _cost(carillon, BUSY_S)
        told = {"p50": _percentile(latencies, 50), "p99": _percentile(latencies, 99), "pool": pool, "database": database}
        session.progress(f"{carillon.name}: p50 {told['p50']:.1f} ms, p99 {told['p99']:.1f} ms; then {pool:.2f} % of a core to look")
        return told

    def rest(carillon):
        time.sleep(BUSY_S + 1.5)
        pool, database = _cost(carillon, session.rest)
        [first] = emit_and_hear(carillon, 1)
        session.progress(f"{carillon.name}: {pool:.2f} % of a core at rest; the first event took {first:.1f} ms")
        return {"pool": pool, "database": database, "first": first}

    loaded = interleave(subjects, session.rounds, load, "CALL carillon_emit")
    rested = interleave(subjects, session.few_rounds, rest, "no CALL carillon_emit")
    return _tables(session.ours, loaded, rested)


def _tables(ours, loaded, rested):
    title = f"CALL carillon_emit, COMMIT sent to frame received, {RATE}/s: "
    p50, p99, pool = column(loaded, "p50"), column(loaded, "p99"), column(rested, "pool")
    first = ", ".join(f"{name} {median(values):.0f}" for name, values in column(rested, "first").items())
    return [
        table(title + "p50", "ms", "less", p50, [], [f"The first event after a pause, in ms: {first}."]),
        table(title + "p99", "ms", "less", p99, [goal("≤ 100 ms", median(p99[ours]), 100, False)]),
        table("CPU at rest of the pool with its publisher, which looks for such events", "% of a core", "less", pool,
              [goal("< 1 % of a core", median(pool[ours]), 1, False)],
              [f"MariaDB's meanwhile: {_percents(rested, 'database')}. In the seconds after an event, while it looks more often: "
               f"the pool {_percents(loaded, 'pool')}, MariaDB {_percents(loaded, 'database')}."]),
    ]  # fmt: skip


def _percents(results, key):
    return ", ".join(f"{name} {median(values):.2f} %" for name, values in column(results, key).items())


def _percentile(values, percent):
    return values[math.ceil(len(values) * percent / 100) - 1]


# ---- what it costs


def _cost(carillon, seconds):
    """Percents of a core of the pool and of the database, for so long."""
    pools = [carillon.part_pids(name) for name in ("fcgi-api", "mariadb")]
    before, began = [_nanoseconds(pids) for pids in pools], time.monotonic()
    time.sleep(seconds)
    after, took = [_nanoseconds(pids) for pids in pools], time.monotonic() - began
    return [100 * cpu_between(*pair) / 1e9 / took for pair in zip(before, after)]


def _nanoseconds(pids):
    """{thread: of CPU}: ticks of 10 ms are too coarse for what is next to nothing."""
    found = {}
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):
                found[path.parent.name] = int(path.read_text().split()[0])
    return found


# ---- the load


def _password(carillon):
    """The file with it; a revision from before such events has none."""
    return carillon.run_dir / "secrets" / "db_emit_password"


def emit_and_hear(carillon, events):
    """Milliseconds of each event, in the order in which they were due. Each comes once, and a user's in order."""
    return asyncio.run(_emit_and_hear(carillon, events))


async def _emit_and_hear(carillon, events):
    heard, sent = {}, {}
    async with websockets.connect(f"ws://{carillon.ws}", ping_interval=None, compression=None, max_size=None) as socket:
        for user in range(1, WRITERS * USERS_EACH + 1):
            await socket.send(json.dumps({"type": "subscribe", "user_id": user}))
            await asyncio.wait_for(socket.recv(), PATIENCE_S)
        with ThreadPoolExecutor(WRITERS) as threads:
            begin = time.monotonic() + 0.2
            writers = [asyncio.get_running_loop().run_in_executor(threads, _emit, carillon, writer, events, begin, sent) for writer in range(WRITERS)]
            try:
                await asyncio.wait_for(asyncio.gather(_hear(socket, events, heard), *writers), PATIENCE_S + events / RATE)
            except asyncio.TimeoutError:
                raise Failed(f"{len(heard)} of {events} events were heard") from None
            except pymysql.Error as error:
                raise Failed(f"CALL carillon_emit: {error}") from None
    return [1000 * (heard[number] - sent[number]) for number in range(events)]


async def _hear(socket, events, heard):
    last = {}
    while len(heard) < events:
        frame = json.loads(await socket.recv())
        if frame["type"] != "notification":
            continue
        number, user = frame["data"]["number"], frame["data"]["user"]
        if number in heard or number <= last.get(user, -1):
            raise Failed(f"event {number} of user {user} came twice, or after {last[user]}")
        heard[number], last[user] = time.monotonic(), number


def _emit(carillon, writer, events, begin, sent):
    """Every WRITERSth event, when it is due, each in a transaction of its own."""
    connection = pymysql.connect(host="127.0.0.1", port=carillon.db_port, user="carillon-emit", password=_password(carillon).read_text().strip(),
                                 database="carillon", charset="utf8mb4", connect_timeout=10, read_timeout=30)  # fmt: skip
    with closing(connection), connection.cursor() as cursor:
        for turn, number in enumerate(range(writer, events, WRITERS)):
            user = 1 + writer * USERS_EACH + turn % USERS_EACH
            time.sleep(max(0, begin + number / RATE - time.monotonic()))
            cursor.execute("CALL carillon_emit(%s, 'bench.measured', NULL, %s)", (user, json.dumps({"user": user, "number": number})))
            sent[number] = time.monotonic()
            connection.commit()
