# SPDX-License-Identifier: MIT
"""ops/ with a Prometheus that reads a stack: the panels all have data, and each alert fires when what it watches is broken.
What is broken is mended, and in the end none fires."""

import contextlib
import json
import signal
import tempfile
from pathlib import Path

import pika
import pytest

from conftest import finish
from lib.amqp import EXCHANGE
from lib.hang import hanging, publisher_threads
from lib.power import BrokerData
from lib.prometheus import ALERTS, QUERIES, Prometheus
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import OP_TEXT, RawWebSocket
from test_broker_away import ALARMS as BROKER_ALARMS
from test_commit_groups import locked

SOCKETS = 20
SETTINGS = {
    "AUTH": 1,
    "API_WORKERS": 2,
    "ADMINER_PORT": "off",
    "DB_TIMEOUT_MS": 3000,
    "REQUEST_MAX_AGE_MS": 6000,
    "HOLE_WAIT_S": 1,
    "WS_MAX_CLIENTS": SOCKETS,
    "WS_SILENT_S": 0,
    "WS_PING_S": 60,
    "WS_QUEUE_BYTES": 64_000_000,  # more than the memory: that is what runs short
    "NOTIFIER_MEMORY_BYTES": 6_000_000,
}


class Watched:
    """A stack with tokens, for many come with wrong ones; a user with a task; and the Prometheus that reads it."""

    def __init__(self, stack, prometheus):
        self.stack, self.prometheus = stack, prometheus
        self.token = stack.script("token", "2147483647", "--admin").stdout.strip()
        self.bearer = {"Authorization": f"Bearer {self.token}"}
        self.user, self.task = self.new_task()

    def new_task(self):
        [user] = self.stack.new_users()
        return user, *self.stack.new_tasks([user])

    def change(self, task=None):
        return self.stack.client().patch(f"/tasks/{task or self.task}", {"status": 1}, headers=self.bearer).status

    def socket(self):
        return self.stack.socket(headers=self.bearer)

    def fire(self, alerts, meanwhile=None):
        """Each at some time: what has happened once is told for ten seconds, and then no more."""
        missing = set(alerts)

        def all_fired():
            if meanwhile:
                meanwhile()
            firing = self.prometheus.firing()
            missing.difference_update(firing)
            assert not missing, f"{missing} do not fire; {firing} do"
            return True

        eventually(all_fired, 120, f"{alerts} fire", interval=0.2)


@pytest.fixture(scope="module")
def watched():
    """A stack of its own, for it is broken in many places."""
    stack = Stack.start(**SETTINGS)
    try:
        prometheus = Prometheus(stack, SOCKETS)
        try:
            yield Watched(stack, prometheus)
        finally:
            prometheus.stop()
    finally:
        finish(stack, "watched")


@pytest.mark.long
def test_every_panel_has_data(watched):
    """While something happens: a socket that comes back, and changes."""
    missing = {}

    def all_have():
        socket = watched.socket()
        socket.subscribe(watched.user, since=f"{watched.stack.epoch()}:0")
        assert watched.change() == 200
        socket.close()
        missing.clear()
        for query in QUERIES:
            values = watched.prometheus.query(query.replace("$__rate_interval", "10s").replace("15m", "10s"))
            if not values or any(value != value for value in values):  # NaN
                missing[query] = values
        return not missing

    eventually(all_have, 120, missing, interval=0.5)
    # With times this short a machine that stalls sets one off by itself; it ends by itself, too.
    eventually(lambda: not watched.prometheus.firing(), 60, "nothing fires")


# ---- what is broken ----------------------------------------------------------------------------------

BREAKINGS = []


def makes_fire(*phases):
    """Of a generator that breaks something: the alerts that fire by its first `yield`, and by the next one if there is
    any. It yields what to do until they do; when it goes on it mends what it broke."""

    def add(breaking):
        BREAKINGS.append((breaking, phases))
        return breaking

    return add


@contextlib.contextmanager
def frozen(*processes):
    try:
        for process in processes:
            process.kill(signal.SIGSTOP)
        yield
    finally:
        for process in processes:
            process.kill(signal.SIGCONT)


@makes_fire(["CarillonSocketsRefused", "CarillonSocketsNearLimit"])
def more_sockets_than_there_may_be(watched):
    with contextlib.ExitStack() as opened:
        for _ in range(SOCKETS + 5):
            opened.callback(watched.socket().close)
        yield lambda: watched.socket().close()


@makes_fire(["CarillonTokensRefused"])
def tokens_that_will_not_do(watched):
    def come():
        for _ in range(5):
            watched.stack.socket(headers={"Authorization": "Bearer of nothing"}).wait_closed()

    yield come


@makes_fire(["CarillonMemoryShort"])
def a_client_that_does_not_read(watched):
    long = {"message": "x" * 900_000, "task": {"id": watched.task, "user_id": watched.user}}
    with (
        contextlib.closing(watched.stack.publisher()) as publisher,
        contextlib.closing(RawWebSocket(f"ws://127.0.0.1:{watched.stack.port('NOTIFIER_PORT')}/")) as slow,
    ):
        slow.send_frame(OP_TEXT, json.dumps({"type": "subscribe", "user_id": watched.user, "token": watched.token}).encode())
        assert slow.recv_json()["type"] == "subscribe"
        yield lambda: publisher.publish(json.dumps(long).encode())


@makes_fire(["CarillonMessagesSkipped"])
def a_message_that_is_none(watched):
    with contextlib.closing(watched.stack.publisher()) as publisher:
        publisher.publish(b"hello")
        yield


@makes_fire(["CarillonEventsRefused"])
def a_full_queue_of_another_service(watched):
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(watched.stack.amqp))) as connection:
        channel = connection.channel()
        channel.queue_declare("full", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.queue_bind("full", EXCHANGE, "#")
        yield watched.change


@makes_fire(["CarillonWritesRefused", "CarillonErrors"])
def a_database_that_takes_no_writes(watched):
    watched.stack.sql("SET GLOBAL read_only = 1")
    try:
        yield watched.change
    finally:
        watched.stack.sql("SET GLOBAL read_only = 0")
    eventually(lambda: watched.change() == 200, 30, "a write is taken, which ends the one alert")


@makes_fire(["CarillonRequestsSlow"])
def a_lock_of_another_program(watched):
    with locked(watched.stack, f"SELECT * FROM tasks WHERE id = {watched.task} FOR UPDATE"):
        yield watched.change


@makes_fire(["CarillonApiAway"], ["CarillonRequestsDropped"])
def a_pool_that_stands_still(watched):
    """Until nginx has given up on a request, which a worker finds when it goes on."""
    with frozen(*watched.stack.workers()):
        assert watched.change() == 504
        yield
    yield


@makes_fire(["CarillonWorkersRestart"])
def workers_that_end(watched):
    def kill_a_worker():
        workers = watched.stack.workers()
        if len(workers) == 2:  # else the one that is left tells Prometheus of it
            with contextlib.suppress(ProcessLookupError):
                workers[0].kill(signal.SIGKILL)

    yield kill_a_worker
    eventually(lambda: len(watched.stack.workers()) == 2, 30, "the pool is complete")


@makes_fire(["CarillonPublisherIdle"])
def publishers_that_hang(watched):
    """In every worker, whose other threads answer: were it in one, another worker would publish after eight seconds."""
    try:
        with hanging(eventually(lambda: publisher_threads(watched.stack), 20, "each worker has its publisher")):
            yield
    except PermissionError as error:
        pytest.skip(f"no process may stop another one's threads here: {error}")


@makes_fire(["CarillonOutboxOld"], ["CarillonDeliveriesLate"])
def a_broker_that_stands_still(watched):
    with frozen(watched.stack.broker()):
        yield watched.change
    yield


@makes_fire(
    ["CarillonBrokerAway", "CarillonNotifierCutOff", "CarillonNotifierBehind"], ["CarillonEventsHealed", "CarillonStreamLost"]
)
def a_power_cut(watched):
    """Of the broker's machine and the notifier's. Two events are not on disk: one is published again; of the other one that
    is not known any more, so it is missing, which the user's next event shows."""
    user, task = watched.new_task()
    with tempfile.TemporaryDirectory() as place:
        data = BrokerData(watched.stack, Path(place))
        assert watched.change(task) == 200
        watched.stack.outbox_empty()
        data.settle()
        with frozen(watched.stack.broker()):
            data.copy()
        assert watched.change(task) == watched.change() == 200
        watched.stack.outbox_empty()
        watched.stack.sql(f"DELETE FROM confirmed WHERE user_id = {user}")  # as when HEAL_WINDOW_S is over
        try:
            data.lose()
            watched.stack.notifier().kill()
            yield lambda: watched.change(task)
        finally:
            data.start()
    yield


@makes_fire(["CarillonCommitsLost"])
def a_database_without_its_last_commits(watched):
    """As it comes back: the publisher remembers what it has lost."""
    user, task = watched.new_task()
    assert watched.change(task) == 200
    watched.stack.outbox_empty()
    watched.stack.sql(f"DELETE FROM events WHERE user_id = {user}; UPDATE users SET event_seq = 0 WHERE id = {user}")
    watched.stack.database().kill()
    yield
    watched.stack.ready(60)


@makes_fire(["CarillonBrokerBlocked", "CarillonNothingConfirmed"])
def a_broker_with_an_alarm(watched):
    raise_it, clear_it = BROKER_ALARMS["memory"]
    watched.stack.rabbitmqctl(*raise_it)
    try:
        yield watched.change
    finally:
        watched.stack.rabbitmqctl(*clear_it)


@makes_fire(["CarillonNotifierAway"])
def a_notifier_that_is_away(watched):
    watched.stack.s6("-d", "ws-notifier")
    try:
        yield
    finally:
        watched.stack.s6("-u", "ws-notifier")


# ---- that they fire ----------------------------------------------------------------------------------


def test_each_alert_of_the_rules_is_made_to_fire():
    made = [alert for _, phases in BREAKINGS for alerts in phases for alert in alerts]
    assert sorted(made) == sorted(ALERTS)


@pytest.mark.long
@pytest.mark.parametrize("breaking, phases", BREAKINGS, ids=[breaking.__name__ for breaking, _ in BREAKINGS])
def test_alerts_fire_when_what_they_watch_is_broken(watched, breaking, phases):
    own = {alert for alerts in phases for alert in alerts}
    watched.stack.ready(60)
    eventually(lambda: not own & watched.prometheus.firing(), 60, f"none of {own} fires before")
    run = breaking(watched)
    try:
        for alerts in phases:
            watched.fire(alerts, next(run))
        assert next(run, "mended") == "mended"
    finally:
        run.close()


@pytest.mark.long
def test_none_fires_when_all_is_mended(watched):
    watched.stack.ready(60)
    eventually(lambda: not watched.prometheus.firing(), 60, "nothing fires")
