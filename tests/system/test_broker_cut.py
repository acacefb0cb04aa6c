# SPDX-License-Identifier: MIT
"""A broker that comes back without messages it had confirmed, as after a power cut: it confirms a stream's messages before
they are on disk. Its data is copied back; everything is in the stream again, and readers have missed nothing."""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from lib.amqp import first_appearances
from lib.emit import emit_many
from lib.power import BrokerData, settle
from lib.wait import eventually
from test_accounts import management
from test_metrics import scrape, total
from test_prefix_rule import publisher_pid

pytestmark = pytest.mark.disturbs

LIFE = "exchanges/%2F/tasks_completed.life"


def appeared(stack, users):
    """These users' events in the stream, as of now."""
    reader = stack.stream()
    try:
        return first_appearances(m for m in reader.sync(60).events() if m.user in users)
    finally:
        reader.close()


def in_stream(stack, users, count):
    assert appeared(stack, users) == {user: list(range(1, count + 1)) for user in users}


@pytest.fixture
def data(stack, tmp_path):
    return BrokerData(stack, tmp_path)


@pytest.fixture(params=["Mnesia", "Khepri"])
def definitions(request, stack):
    """Where RabbitMQ keeps its definitions in Khepri (from 4.0), an exchange that is not durable outlives a crash. A
    durable one stands for it here."""
    if request.param == "Khepri":
        management(stack, LIFE, method="DELETE")
        management(stack, LIFE, method="PUT", body=b'{"type":"fanout","durable":true}')
    yield request.param
    if request.param == "Khepri":
        management(stack, LIFE, method="DELETE")


class Terms:
    """Kills publishers that have been at work for so long."""

    def __init__(self, stack, seconds):
        self.stack, self.seconds = stack, seconds
        self.killed, self.longest, self._pid, self._since = 0, 0, None, None

    def look(self):
        pid, now = publisher_pid(self.stack), time.monotonic()
        if pid != self._pid:
            self._pid, self._since = pid, now
        elif pid and now - self._since >= self.seconds:
            self.longest = max(self.longest, now - self._since)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed += 1
                self._since = float("inf")  # it may hold its lock for a moment more

    @contextmanager
    def watched(self):
        """Looks all the time, whatever the test waits for."""
        over = threading.Event()

        def watch():
            while not over.wait(0.05):
                self.look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.mark.long
def test_confirmed_long_after_it_was_made(stack, http, data, definitions, sockets):
    """It matters when the broker confirmed an event, not when it was made, nor how long the broker was away, nor
    which clock says so, nor how many publishers have died since. After a heal the same can happen again."""
    users = stack.new_users(3)
    tasks = stack.new_tasks(users)
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    data.stop()
    data.copy()
    for task in tasks:
        assert http.patch(f"/tasks/{task}", {"content": "made while it was away"}).status == 200
    ids = ",".join(map(str, users))
    stack.sql(f"UPDATE events SET created_at = created_at - INTERVAL 1 HOUR WHERE user_id IN ({ids})")
    data.start()
    stack.ready(60)
    stack.outbox_empty(40)
    terms = Terms(stack, 1.2)
    with terms.watched():
        eventually(lambda: terms.killed >= 4, 40, "four publishers have died", interval=0.1)
    for _ in range(2 if definitions == "Mnesia" else 1):
        data.cut()
        stack.ready(60)
        stack.outbox_empty(40)
        in_stream(stack, users, 1)
    assert sorted(socket.notification(30)["task"]["user_id"] for _ in users) == users


@pytest.mark.long
def test_what_is_kept_of_a_long_journal(stack):
    """Putting events back takes time in proportion to their number, not to the journal's length: otherwise no piece
    would ever be done in time."""
    [user] = stack.new_users(1)
    stack.outbox_empty()
    settle(stack)
    try:
        stack.sql(
            "INSERT INTO events (user_id, seq, type, task_id, payload, created_at)"
            f" SELECT {user}, seq, 'task.updated', 1, '{{}}', UTC_TIMESTAMP(3) FROM seq_1_to_100000;"
            f"UPDATE users SET event_seq = 100000 WHERE id = {user};"
            "INSERT INTO confirmed (user_id, first_seq, last_seq, lived_ms)"
            f" SELECT {user}, seq, seq, lived_ms FROM seq_99001_to_100000, broker"
        )
        stack.broker().kill(signal.SIGKILL)
        stack.ready(60)
        eventually(lambda: appeared(stack, [user]) == {user: list(range(99001, 100001))}, 150, "it is in the stream again", interval=1)
    finally:
        stack.sql(f"DELETE FROM outbox WHERE user_id = {user}; DELETE FROM confirmed WHERE user_id = {user}; DELETE FROM events WHERE user_id = {user}")


@pytest.mark.long
def test_the_journal_in_a_new_stream(stack, http, data):
    """All of it was just confirmed when the power went: also what had been, long ago, in another stream."""
    users = stack.new_users(2)
    data.stop()
    data.copy()
    for task in stack.new_tasks(users):
        assert http.patch(f"/tasks/{task}", {"content": "made while it was away"}).status == 200
    data.start()
    stack.ready(60)
    stack.outbox_empty(40)
    stack.sql("DELETE FROM confirmed")  # as when HEAL_WINDOW_S is over
    data.stop()
    data.wipe()
    data.start()
    stack.ready(60)
    stack.outbox_empty(60)
    data.cut()
    stack.ready(60)
    stack.outbox_empty(60)
    in_stream(stack, users, 1)


def healed(stack):
    return total(scrape(stack.client()), "carillon_api_events_healed_total")


def publications(stack, users):
    """All that the stream has of these users, repeats too."""
    reader = stack.stream()
    try:
        return sorted((m.user, m.seq) for m in reader.sync().events() if m.user in users)
    finally:
        reader.close()


class Kept:
    """Events are kept for 90 s during which the broker is seen alive (HEAL_WINDOW_S); on a slow machine a test can last for
    longer."""

    def __init__(self, stack, users):
        self._stack, self._ids = stack, ",".join(map(str, users))
        self._begun = self._stack.sql_number("SELECT lived_ms FROM broker")

    def at_least(self, count):
        [(kept, lived)] = self._stack.sql(
            f"SELECT (SELECT COALESCE(SUM(last_seq - first_seq + 1), 0) FROM confirmed WHERE user_id IN ({self._ids})), lived_ms FROM broker"
        )
        return int(kept) >= count or int(lived) - self._begun >= 90_000


@pytest.mark.long
def test_what_survived_does_not_go_again(stack, http, data):
    """A broker that is only killed has left everything to the kernel: nothing is published again, and all events stay
    kept."""
    users = stack.new_users(3)
    tasks = stack.new_tasks(users)
    stack.outbox_empty(60)
    before, kept = healed(stack), Kept(stack, users)
    for life in (1, 2):
        for task in tasks:
            assert http.patch(f"/tasks/{task}", {"content": f"life {life}"}).status == 200
        stack.outbox_empty(60)
        data.settle()
        restarts = stack.part("rabbitmq").restarts
        stack.broker().kill(signal.SIGKILL)
        eventually(lambda: stack.part("rabbitmq").restarts > restarts, 20, "it is started again")
        stack.ready(60)
        in_stream(stack, users, life)
    assert kept.at_least(6)
    assert healed(stack) == before
    assert publications(stack, users) == [(user, seq) for user in users for seq in (1, 2)]


def test_only_what_is_missing_goes_again(stack, http, data):
    users = stack.new_users(3)
    tasks = stack.new_tasks(users)
    kept = Kept(stack, users)
    for task in tasks:
        assert http.patch(f"/tasks/{task}", {"content": "on disk"}).status == 200
    stack.outbox_empty(60)
    data.stop()
    data.copy()
    data.start()
    stack.ready(60)
    before = healed(stack)
    for task in tasks[1:]:
        assert http.patch(f"/tasks/{task}", {"content": "not on disk"}).status == 200
    stack.outbox_empty(60)
    data.cut()
    stack.ready(60)
    stack.outbox_empty(60)
    assert kept.at_least(5)
    assert healed(stack) >= before + 2
    assert publications(stack, users) == [(users[0], 1), (users[1], 1), (users[1], 2), (users[2], 1), (users[2], 2)]


# Ends the stream's writer so often, each time when the next one is there.
END_WRITERS = """Writers = fun() -> [P || {_, P, _, [osiris_writer]} <- supervisor:which_children(osiris_server_sup), is_pid(P)] end,
    Next = fun(Self, Old, N) when N > 0 -> case Writers() of [P] when P =/= Old -> P; _ -> timer:sleep(10), Self(Self, Old, N - 1) end end,
    [begin [P] = Writers(), exit(P, kill), Next(Next, P, 500), timer:sleep(30) end || _ <- lists:seq(1, %d)], ok."""


@pytest.mark.long
def test_a_stream_that_begins_several_times(stack, http, data, sockets):
    """A broker that comes back from a power cut may not have noted which lives of its stream are over, and begins one after
    the other. What is sent to one that ends is lost, and its readers hear nothing more."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    emit_many(stack, user, 10_000)  # so that a beginning takes some time
    stack.outbox_empty(60)
    socket = sockets()
    socket.subscribe(user)
    [noted] = data.folder.glob("coordination/*/meta.dets")
    before = noted.read_bytes()
    stack.rabbitmqctl("eval", END_WRITERS % 40)
    stack.ready(60)
    stack.outbox_empty(60)
    again, marks = healed(stack), stack.log_marks()
    data.die()
    noted.write_bytes(before)
    data.start()
    assert http.patch(f"/tasks/{task}", {"content": "once"}).status == 200
    stack.ready(60)
    stack.outbox_empty(60)
    assert socket.notification(30)["task"]["content"] == "once"
    assert "goes there again" not in stack.logs_since(marks, "fcgi-api")
    assert healed(stack) == again


def markers(http):
    return total(scrape(http, "/notifier/metrics"), "carillon_notifier_marker_seconds", "_count")


@pytest.mark.long
def test_offsets_that_a_notifier_has_read(stack, http, data, sockets):
    """The stream lacks its end, which a notifier had read, but not the place from which the notifier goes on. What comes
    next has the same offsets, and is delivered."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    socket = sockets()
    socket.subscribe(user)
    stack.outbox_empty(60)
    data.settle()
    before = markers(http)
    eventually(lambda: markers(http) > before, 60, "a marker has come back", interval=0.05)
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:
        data.copy()
    finally:
        broker.kill(signal.SIGCONT)
    lost = [f"lost {n}" for n in range(200)]
    publisher = stack.publisher()
    try:
        for message in lost:
            publisher.publish(json.dumps({"message": message, "task": {"id": task, "user_id": user}}).encode())
    finally:
        publisher.close()
    assert [socket.notification(60)["message"] for _ in lost] == lost
    data.cut()
    stack.ready(60)
    for n in range(3):
        assert http.patch(f"/tasks/{task}", {"content": f"n{n}"}).status == 200
    assert [socket.notification(60)["task"]["content"] for _ in range(3)] == ["n0", "n1", "n2"]


@pytest.fixture
def no_reading(stack):
    """The API's account as it was before it might read the stream. A broker takes its accounts from the file at each start."""
    file = stack.run_dir / "etc" / "rabbitmq" / "definitions.json"
    accounts = file.read_text()
    definitions = json.loads(accounts)
    [rights] = [one for one in definitions["permissions"] if one["user"] == "carillon-api"]
    rights["read"] = r"^(tasks|tasks_completed\.(known|life|markers))$"
    file.write_text(json.dumps(definitions))
    yield
    file.write_text(accounts)
    management(stack, "permissions/%2F/carillon-api", method="PUT", body=json.dumps(next(
        one for one in json.loads(accounts)["permissions"] if one["user"] == "carillon-api"
    )).encode())  # fmt: skip


@pytest.mark.long
def test_a_stream_that_may_not_be_read(stack, http, data, no_reading):
    """Then all kept events are published again."""
    users = stack.new_users(2)
    tasks = stack.new_tasks(users)
    before = healed(stack)
    data.stop()
    data.copy()
    data.start()
    stack.ready(60)
    for task in tasks:
        assert http.patch(f"/tasks/{task}", {"content": "not on disk"}).status == 200
    stack.outbox_empty()
    data.cut()
    stack.ready(60)
    stack.outbox_empty(40)
    in_stream(stack, users, 1)
    assert healed(stack) >= before + 2
    eventually(lambda: "cannot be read back" in stack.logs("fcgi-api"), 10, "the log says so")


def lived(stack):
    """How long publishers have seen the broker alive: seconds."""
    return stack.sql_number("SELECT lived_ms FROM broker") / 1000


def seen_kept_and_gone(stack, user, task, terms):
    """One event, from its making until it is forgotten. False: it was forgotten before this process saw it kept."""
    kept, outbox = (f"SELECT COUNT(*) FROM {table} WHERE user_id = {user}" for table in ("confirmed", "outbox"))
    kept_when_out = f"SELECT ({kept}) FROM (SELECT ({outbox}) AS waiting) AS one WHERE waiting = 0"
    asked = time.monotonic()
    before, begun = lived(stack), time.monotonic()
    assert stack.client().patch(f"/tasks/{task}", {"status": 1}).status == 200
    with terms.watched():
        [[seen]] = eventually(lambda: stack.sql(kept_when_out), 20, "the event has left the outbox", interval=0.1)
        eventually(lambda: stack.sql_number(kept) == 0, 60, "it is forgotten", interval=0.1)
    seen_gone = time.monotonic()
    after, ended = lived(stack), time.monotonic()
    assert seen_gone - begun >= 3, "it was forgotten too early"
    assert after - before <= ended - asked + 2, "some time was counted twice"
    return seen == "1"


@pytest.mark.parametrize("term", [1.2, 1000], ids=["publishers die", "one publisher"])
def test_what_is_kept_goes(small_stack, term):
    """Kept for HEAL_WINDOW_S (3 s) and a little, not shorter and not for ever, whichever publishers run. When this
    process gets no CPU for seconds it sees too little, or kills too late: then another event tells."""
    [user] = small_stack.new_users(1)
    [task] = small_stack.new_tasks([user])
    for _ in range(6):
        terms = Terms(small_stack, term)
        told = seen_kept_and_gone(small_stack, user, task, terms)
        if told and (term > 3 or terms.killed >= 3 and terms.longest < 3):
            break
    else:
        pytest.fail("each time it was not seen to be kept, or one of the publishers could do it alone")
    small_stack.ready()
