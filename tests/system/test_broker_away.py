# SPDX-License-Identifier: MIT
"""RabbitMQ killed, frozen, under an alarm or without its data: writes go on as usual, and every event arrives afterwards."""

import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import contextmanager

import pymysql
import pytest
import websockets

from lib.amqp import first_appearances
from lib.power import BrokerData, settle
from lib.relay import Channels, ConfirmThief
from lib.wait import eventually
from test_metrics import scrape, total

pytestmark = pytest.mark.disturbs


@pytest.fixture
def some(stack):
    users = stack.new_users(5)
    return users, stack.new_tasks(users)


def write_some(http, tasks, rounds, limit=2.0):
    """PATCHes every task `rounds` times; each must be accepted, and most of them soon: were they to wait for the broker,
    each would take as long as a call to it may (3 s), or as long as it is away (after 10 s nginx answers 504)."""
    taken = []
    for number in range(rounds):
        for task in tasks:
            start = time.monotonic()
            answer = http.patch(f"/tasks/{task}", {"content": f"n{number}"})
            taken.append(time.monotonic() - start)
            assert answer.status == 200, answer
    assert sorted(taken)[len(taken) // 2] < limit, f"half of the PATCHes took more than {limit} s: {sorted(taken)}"


def heard_all(socket, users, expected, deadline):
    """Until each user's notifications, doubles aside, are `expected` in order."""
    heard = {user: [] for user in users}

    def take():
        frame = socket.notification(deadline)
        heard[frame["task"]["user_id"]].append(frame["task"]["content"])

    while any(len(contents) < len(expected) for contents in heard.values()):
        take()
    assert heard == {user: expected for user in users}


def in_stream(stack, users, count):
    reader = stack.stream()
    try:
        reader.sync()
        seen = first_appearances(m for m in reader.events() if m.user in users)
        assert seen == {user: list(range(1, count + 1)) for user in users}
    finally:
        reader.close()


def test_broker_frozen(stack, http, some, sockets):
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:
        write_some(http, tasks, 20)
        assert http.get("/healthz").status == 200
        assert socket.is_open
        socket.send({"type": "subscribe", "user_id": 1})  # browsers are answered meanwhile
        assert socket.recv()["type"] == "subscribe"
    finally:
        broker.kill(signal.SIGCONT)
    stack.outbox_empty(40)
    in_stream(stack, users, 20)
    heard_all(socket, users, [f"n{n}" for n in range(20)], 30)
    stack.ready()


@pytest.mark.long
def test_broker_frozen_until_heartbeats_are_missed(stack, http, some, sockets):
    """Longer than two AMQP heartbeats: both programs must notice, let go and come back."""
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:

        def noticed():
            answer = http.get("/readyz")
            assert answer.status == 200, answer
            assert answer.json()["broker"] == "down" and answer.json()["status"] == "degraded", answer
            return True

        write_some(http, tasks, 5)
        eventually(noticed, 45, "the API notices the frozen broker", interval=0.5)
        write_some(http, tasks, 5)
    finally:
        broker.kill(signal.SIGCONT)
    stack.ready(60)
    stack.outbox_empty(40)
    in_stream(stack, users, 10)
    heard_all(socket, users, [f"n{n}" for n in list(range(5)) * 2], 40)


def test_broker_killed(stack, http, some, sockets):
    users, tasks = some
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    write_some(http, tasks, 5)
    settle(stack)
    before = stack.part("rabbitmq")
    stack.broker().kill(signal.SIGKILL)
    for number in range(40):
        write_some(http, tasks, 1)
    assert socket.is_open
    eventually(lambda: stack.part("rabbitmq").restarts > before.restarts, 30, "the supervisor starts the broker again")
    stack.ready(60)
    stack.outbox_empty(40)
    in_stream(stack, users, 45)
    heard_all(socket, users, [f"n{n}" for n in range(5)] + ["n0"] * 40, 40)


def test_writes_while_away_say_degraded_and_log_little(stack, http, some):
    """One line a change of state, not one a try."""
    settle(stack)
    marks = stack.log_marks()
    stack.broker().kill(signal.SIGKILL)
    _, tasks = some
    write_some(http, tasks, 10)
    stack.ready(60)
    stack.outbox_empty(40)
    for part, most in (("fcgi-api", 12 * len(stack.workers())), ("ws-notifier", 20)):
        lines = [
            line
            for line in stack.logs_since(marks, part).splitlines()
            if any(word in line.lower() for word in ("broker", "rabbitmq", "amqp")) and "published" not in line
        ]
        assert len(lines) <= most, f"{len(lines)} lines:\n" + "\n".join(lines[:60])


@pytest.fixture
def robbed(stack, relays, programs):
    """An API of its own, whose first write's confirm was taken out by the relay, and that relay; the write changed
    the first of two tasks."""
    [user] = stack.new_users(1)
    tasks = stack.new_tasks([user] * 2)
    thief = ConfirmThief()
    api = programs(stack, "fcgi-api", AMQP_PORT=relays(stack, "AMQP_PORT", answers=thief).port)
    api.says("broker: connected", 40)
    thief.steals = True
    assert api.ask(f"/tasks/{tasks[0]}", "PATCH", '{"status":1}')[0] == 200
    eventually(lambda: thief.stolen > 0, 20, "the broker confirms, in vain")
    return api, thief, tasks


def sent_again(stack, api):
    eventually(lambda: api.log().count("broker: connected") >= 2, 40, "it has a new connection")
    stack.outbox_empty(40)


@pytest.mark.long
def test_a_message_that_is_never_confirmed(stack, robbed):
    """Whether broker or network lost it, events still in the outbox are sent again on a new connection."""
    api, thief, _ = robbed
    api.says("unconfirmed for", 40)
    thief.steals = False
    sent_again(stack, api)


def test_a_message_that_is_passed_over(stack, robbed):
    """When later messages have been confirmed, waiting is useless."""
    api, thief, tasks = robbed
    thief.steals = False
    assert api.ask(f"/tasks/{tasks[1]}", "PATCH", '{"status":1}')[0] == 200
    api.says("and confirmed later ones", 15)
    sent_again(stack, api)


def test_no_message_precedes_the_confirms_of_its_channel(stack, relays, programs):
    """Or RabbitMQ 3.10 resends under wrong numbers when a stream changes its leader: it lost two messages that it had
    confirmed. For the same reason a channel with confirms carries only what goes into the stream."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    channels = Channels()
    wire = relays(stack, "AMQP_PORT", watch=channels.watch)
    api = programs(stack, "fcgi-api", AMQP_PORT=wire.port)
    api.says("broker: connected", 40)

    def publishes():
        """The stack's own publisher may find an event first that this one is slow to send."""
        assert api.ask(f"/tasks/{task}", "PATCH", '{"status":1}')[0] == 200
        return "Message published" in api.log()

    eventually(publishes, 20, "it publishes an event", interval=0.5)
    connections = api.log().count("broker: connected")
    wire.cut()
    eventually(lambda: api.log().count("broker: connected") > connections, 40, "it has a new connection")
    stack.outbox_empty()
    api.end()
    trusted = [life for life in channels.lives if "confirm.select" in life]
    assert len(trusted) >= 2 and all(life[0] == "confirm.select" for life in trusted), channels.lives
    assert {exchange for life in trusted for _, exchange in life[1:]} <= {"tasks", "tasks_completed.known"}
    others = [life for life in channels.lives if "confirm.select" not in life]
    assert ("publish", "tasks") in sum(trusted, []) and ("publish", "tasks") not in sum(others, [])


def test_a_notifier_asks_for_no_confirms(stack, relays, programs):
    """It sends a marker that was lost again, so its channel may carry markers from the beginning."""
    channels = Channels()
    notifier = programs(stack, "ws-notifier", AMQP_PORT=relays(stack, "AMQP_PORT", watch=channels.watch).port)
    eventually(notifier.ready, 30, "it has read the stream")
    notifier.end()
    said = sum(channels.lives, [])
    assert ("publish", "tasks_completed.markers") in said and "confirm.select" not in said


# ---- alarms, and data that is gone -------------------------------------------------------------------


ALARMS = {
    "memory": (["set_vm_memory_high_watermark", "absolute", "1"], ["set_vm_memory_high_watermark", "0.4"]),
    "disk": (["set_disk_free_limit", "900000GB"], ["set_disk_free_limit", "50MB"]),
}


@pytest.mark.parametrize("alarm", ALARMS)
def test_broker_alarm(stack, http, some, sockets, alarm):
    """It accepts no messages. Writes go on, browsers are answered, also by a notifier that has just started;
    afterwards everything arrives."""
    users, tasks = some
    raise_it, clear_it = ALARMS[alarm]
    socket = sockets()
    for user in users:
        socket.subscribe(user)
    write_some(http, tasks, 5)
    heard_all(socket, users, [f"n{n}" for n in range(5)], 30)
    cursors = {user: f"{stack.epoch()}:5" for user in users}
    stack.rabbitmqctl(*raise_it)

    def ready_says(**members):
        ready = http.get("/readyz")
        assert ready.status == 200 and ready.json()["status"] == "degraded", ready
        assert {name: ready.json()[name] for name in members} == members, ready
        return True

    try:
        # The broker says so to a connection that publishes: at the latest with the next beacon.
        eventually(lambda: ready_says(broker="blocked"), 30, "the alarm is felt")
        write_some(http, tasks, 5)
        assert stack.outbox_count() >= 5 * len(tasks)
        eventually(lambda: ready_says(broker="blocked", events="wait"), 30, "events are seen to wait")
        assert total(scrape(http), "carillon_api_broker_blocked") == 1
        assert sockets().subscribe(users[0], since=cursors[users[0]])["recovered"] is True
        stack.notifier().kill(signal.SIGKILL)
        back = eventually(lambda: come_back(sockets, cursors), 30, "browsers can come back during the alarm")
    finally:
        stack.rabbitmqctl(*clear_it)
    stack.outbox_empty(40)
    in_stream(stack, users, 10)
    for user in users:
        heard_all(back[user], [user], [f"n{n}" for n in range(5)], 30)
    stack.ready()


def test_a_publisher_that_connects_during_an_alarm(stack, http, some):
    """Such a broker takes connections, and answers nothing after the first message on one. It is blocked, not down."""
    _, tasks = some
    raise_it, clear_it = ALARMS["memory"]
    stack.rabbitmqctl(*raise_it)

    def broker():
        return http.get("/readyz").json().get("broker")  # not in nginx's answer for a worker that was just killed

    try:
        before = {worker.pid for worker in stack.workers()}
        for worker in stack.workers():
            worker.kill(signal.SIGKILL)
        eventually(lambda: not before & {worker.pid for worker in stack.workers()}, 60, "all workers are new")
        eventually(lambda: broker() == "blocked", 30, "the alarm is felt")
        write_some(http, tasks, 1)
        connects = total(scrape(http), "carillon_api_broker_connects_total")
        eventually(lambda: total(scrape(http), "carillon_api_broker_connects_total") >= connects + 2, 60, "it has tried again, twice")
        assert broker() == "blocked"
    finally:
        stack.rabbitmqctl(*clear_it)
    stack.ready(60)
    stack.outbox_empty(40)


@contextmanager
def journal_held(stack, users):
    """Locks these users' events, so that no publisher can put them back into the outbox."""
    password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
    place = str(stack.run_dir / "sock" / "mariadb.sock")
    connection = pymysql.connect(unix_socket=place, user="carillon-api", password=password, database="carillon")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT seq FROM events WHERE user_id IN %s FOR UPDATE", (users,))
        yield
    finally:
        connection.close()


def test_healer_killed_half_way(stack, http, some, tmp_path):
    """The broker comes back without its newest messages, and the publisher that heals dies: the next one heals, also
    one that has not seen the broker before."""
    users, tasks = some
    data = BrokerData(stack, tmp_path)
    data.stop()
    data.copy()
    data.start()
    stack.ready(60)
    write_some(http, tasks, 5)
    stack.outbox_empty(60)
    workers = {worker.pid for worker in stack.workers()}

    def healing():
        return stack.sql_number(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT IGNORE INTO outbox%'"
        )

    with journal_held(stack, users):
        data.cut()
        eventually(healing, 120, "a publisher is at it, and waits")
        for worker in stack.workers():
            worker.kill(signal.SIGKILL)
        eventually(lambda: not workers & {worker.pid for worker in stack.workers()}, 60, "all workers are new")
    stack.ready(60)
    stack.outbox_empty(60)
    reader = stack.stream()
    try:
        published = Counter((message.user, message.seq) for message in reader.sync().events())
    finally:
        reader.close()
    lost = [(user, seq) for user in users for seq in range(1, 6) if published[user, seq] < 1]
    assert not lost, f"not published again: {lost}"


def come_back(sockets, cursors):
    """{user: a socket of that user}"""
    back = {}
    try:
        for user, cursor in cursors.items():
            back[user] = sockets()
            answer = back[user].subscribe(user, since=cursor)
            assert answer["recovered"] is True, answer
        return back
    except (OSError, websockets.WebSocketException) as error:
        raise AssertionError(repr(error)) from None


def wipe_the_broker(stack):
    service = stack.run_dir / "service" / "rabbitmq"
    subprocess.run(["s6-svc", "-wD", "-T", "60000", "-d", service], check=True)
    shutil.rmtree(stack.run_dir / "rabbitmq" / "carillon@localhost")
    subprocess.run(["s6-svc", "-u", service], check=True)


def delete_the_stream(stack):
    """While all clients stay connected: the notifier declares it again at once."""
    stack.rabbitmqctl("delete_queue", "tasks_completed")


@pytest.mark.parametrize("lose", [wipe_the_broker, delete_the_stream])
def test_stream_gone(stack, http, some, sockets, lose):
    """The whole journal goes into the new stream. Clients hear each event once, whether they stayed or were away."""
    users, tasks = some
    stayed, left = sockets(), sockets()
    for user in users:
        stayed.subscribe(user, since=None)
        left.subscribe(user, since=None)
    write_some(http, tasks, 5)
    contents = [f"n{n}" for n in range(5)]
    heard_all(stayed, users, contents, 30)
    heard_all(left, users, contents, 30)
    left.close()
    others = stack.sql_number("SELECT COUNT(*) FROM events")
    lose(stack)
    write_some(http, tasks, 5)
    stack.ready(60)
    stack.outbox_empty(60)
    in_stream(stack, users, 10)
    assert stack.sql_number("SELECT COUNT(*) FROM events") == others + 5 * len(tasks)
    whole_journal_is_in_the_stream(stack)
    heard_all(stayed, users, contents, 40)
    for user, socket in come_back(sockets, {user: f"{stack.epoch()}:5" for user in users}).items():
        heard_all(socket, [user], contents, 40)


def whole_journal_is_in_the_stream(stack, offset="first"):
    reader = stack.stream(offset)
    try:
        there = {(message.user, message.seq) for message in reader.sync(60).events()}
    finally:
        reader.close()
    journal = {(int(user), int(seq)) for user, seq in stack.sql("SELECT user_id, seq FROM events")}
    assert journal <= there, sorted(journal - there)[:10]
