# SPDX-License-Identifier: MIT
"""Data and programs of revision 7478710, which had one migration: scripts/migrate of today loses nothing of the data, and the
programs of then go on meanwhile and beside those of today. older.sql says how its data were made."""

import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import PATIENT
from lib.amqp import first_appearances
from lib.older import programs_of
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import WebSocket

pytestmark = pytest.mark.long

REVISION = "7478710"
DATA = Path(__file__).with_name("older.sql").read_text()
# As if the data had been made just now: keys are kept for a day, events for a week.
JUST_NOW = "SET @passed = (SELECT TIMESTAMPDIFF(SECOND, MAX(created_at), UTC_TIMESTAMP(3)) FROM events);" + "".join(
    f"UPDATE {table} SET created_at = created_at + INTERVAL @passed SECOND;" for table in ("events", "outbox", "idempotency_keys")
)
COLUMNS = {
    "users": "id, name, event_seq, created_at",
    "tasks": "id, user_id, status, content, created_at, completed_at, version",
    "events": "user_id, seq, type, task_id, request_id, traceparent, payload, created_at",
    "outbox": "user_id, seq, created_at",
    "idempotency_keys": "owner_id, idem_key, HEX(request_hash), status, task_id, etag_version, body, created_at",
}


@pytest.fixture
def build_of_then():
    return programs_of(REVISION)


@pytest.fixture
def older():
    """A stack with the tables and rows of then; its programs are stopped."""
    stack = Stack.start(API_WORKERS=2, ADMINER_PORT="off", **PATIENT)
    try:
        for part in ("ws-notifier", "fcgi-api"):
            stack.s6("-wD", "-T", "60000", "-d", part)
        empty = "DROP DATABASE carillon; CREATE DATABASE carillon CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; USE carillon;"
        stack.script("sql", input=f"{empty}\n{DATA}\n{JUST_NOW}")
        yield stack
    finally:
        stack.stop()


def rows(stack):
    return {table: stack.sql(f"SELECT {columns} FROM {table} ORDER BY 1, 2") for table, columns in COLUMNS.items()}


def start_programs(stack):
    for part in ("fcgi-api", "ws-notifier"):
        stack.s6("-u", part)
    stack.ready(60)


def waiting(stack):
    """{user: the first of the events that wait}. What came before is in the stream of the broker of then, which is not here."""
    return {int(user): int(seq) for user, seq in stack.sql("SELECT user_id, MIN(seq) FROM outbox GROUP BY user_id")}


def all_delivered(stack, stream, begin):
    """From these on every event of the journal is in the stream, as it is in the journal, and each user's in order. Returns
    {user: the last}."""
    stack.outbox_empty(60)
    stream.sync()
    journal = {(int(user), int(seq)): text for user, seq, text in stack.sql("SELECT user_id, seq, payload FROM events")}
    wanted = {(user, seq): text for (user, seq), text in journal.items() if seq >= begin.get(user, 1)}
    assert {(event.user, event.seq): event.body.decode() for event in stream.events()} == wanted
    last = {user: max(seq for of, seq in wanted if of == user) for user, _ in wanted}
    assert first_appearances(stream.events()) == {user: list(range(begin.get(user, 1), seq + 1)) for user, seq in last.items()}
    return last


def test_nothing_is_lost(older):
    before, begin, [(epoch,)] = rows(older), waiting(older), older.sql("SELECT value FROM meta WHERE name = 'epoch'")
    assert all(before.values()) and begin == {1: 11, 2: 3, 3: 3}
    older.script("migrate")
    assert rows(older) == before and older.epoch() == epoch
    stream = older.stream()
    start_programs(older)
    last = all_delivered(older, stream, begin)
    stream.close()
    http, socket = older.client(), older.socket()
    for user in last:
        missed = [f"{epoch}:{seq}" for seq in range(2, last[user] + 1)]
        assert [event["cursor"] for event in http.get(f"/users/{user}/events?since={epoch}:1").json()] == missed
        missed = [f"{epoch}:{seq}" for seq in range(begin[user], last[user] + 1)]
        answer = socket.subscribe(user, since=f"{epoch}:{begin[user] - 1}")
        assert answer["recovered"] and answer["replayed"] == len(missed), answer
        assert [socket.notification()["cursor"] for _ in missed] == missed
    socket.close()

    # A client whose answer was lost sends its request of then again.
    [(key, body)] = older.sql("SELECT idem_key, body FROM idempotency_keys")
    sent = {"user_id": 2, "content": "Acheter des œufs 🥚"}
    again = http.post("/tasks", json.dumps(sent, ensure_ascii=False, separators=(",", ":")), headers={"Idempotency-Key": key})
    assert (again.status, again.header("Idempotency-Replayed"), again.json()) == (201, "true", json.loads(body))
    tasks, events = rows(older)["tasks"], rows(older)["events"]
    assert tasks == before["tasks"] and events == before["events"]

    known = http.get("/tasks/1")
    changed = http.patch("/tasks/1", {"content": "and on"}, headers={"If-Match": known.header("ETag")})
    assert changed.status == 200
    assert [seq for seq, *_ in older.journal(1)][-1] == last[1] + 1


@contextmanager
def steadily(write):
    """write(number) again and again on another thread; gives the list of the answers."""
    answers, done = [], threading.Event()

    def run():
        while not done.is_set():
            answers.append(write(len(answers)))

    writer = threading.Thread(target=run)
    writer.start()
    try:
        yield answers
    finally:
        done.set()
        writer.join()


def test_programs_of_then_beside_those_of_today(build_of_then, older, programs):
    def more(answers, count=20):
        goal = answers.count(200) + count
        eventually(lambda: answers.count(200) >= goal, 60, f"writes go on: {answers[-5:]}")

    begin, users = waiting(older), older.new_users(2)
    tasks = older.new_tasks(users)
    api, notifier = (programs(older, name, build=build_of_then) for name in ("fcgi-api", "ws-notifier"))
    stream = older.stream()
    try:
        eventually(notifier.ready, 60, "the notifier of then has read the stream")
        ears = [WebSocket(f"ws://127.0.0.1:{notifier.ws_port}/")]
        with steadily(lambda n: api.ask(f"/tasks/{tasks[n % 2]}", "PATCH", f'{{"status":{n // 2 % 2}}}')[0]) as then:
            for user in users:
                ears[0].subscribe(user, since=None)
            more(then)
            older.script("migrate")
            more(then)
            start_programs(older)
            ears.append(older.socket())
            for user in users:
                ears[1].subscribe(user, since=f"{older.epoch()}:0")
            http = older.client()
            with steadily(lambda n: http.patch(f"/tasks/{tasks[n % 2]}", {"content": f"n{n}"}).status) as today:
                more(today)
                more(then)
        assert set(then) <= {200, 503} and set(today) == {200}, (then, today)
        last = all_delivered(older, stream, begin)
        assert sum(last[user] for user in users) == (then + today).count(200)
        for user in users:
            place = f"{older.epoch()}:{last[user]}"
            for ear in ears:
                eventually(lambda: any(place in text for text in list(ear.texts)), 60, f"{place} is heard")
                frames = [frame for frame in map(json.loads, ear.texts) if frame["type"] == "notification"]
                seqs = [int(frame["cursor"].split(":")[1]) for frame in frames if frame["task"]["user_id"] == user]
                assert seqs == list(range(seqs[0], last[user] + 1))
    finally:
        stream.close()
