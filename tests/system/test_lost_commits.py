# SPDX-License-Identifier: MIT
"""A database that comes back behind what its stream has told: the data gets a new epoch, by itself and once, and browsers
read anew. What has only been killed keeps its epoch.

Each of three comparisons notices by itself (fcgi-api/publisher/compare.c): of what the publisher remembers, of the stream when
the programs start, and of the note that was left in the database."""

import json
import signal

import pytest

from conftest import PATIENT, finish
from lib.database_copy import DatabaseCopy
from lib.load import Load
from lib.power import settle
from lib.stack import Stack
from lib.wait import eventually
from test_metrics import scrape, total

pytestmark = pytest.mark.disturbs

KNOWN = "tasks_completed.known"
NOTE = "SELECT COALESCE(MAX(value), 0) FROM notes WHERE name = 'compared_at'"
RENEWED = "carillon_api_epochs_renewed_total"
LOST = "database: it has lost commits"
OLDER = "the database is older than it was"


@pytest.fixture(scope="module")
def own_stack():
    stack = Stack.start(API_WORKERS=2, ADMINER_PORT="off", **PATIENT)
    yield stack
    finish(stack, "lost_commits")


class Life:
    """A user with a task and a browser that hears it; a copy of the database; and what was heard after that, which the
    copy lacks."""

    def __init__(self, stack, directory):
        self.stack, self.http = stack, stack.client()
        stack.ready()
        [self.user] = stack.new_users(1)
        self.task = self.http.post("/tasks", {"user_id": self.user, "content": "one"}).json()["id"]
        stack.outbox_empty()
        self.copy = DatabaseCopy(stack, directory)
        eventually(lambda: stack.sql_number(NOTE) > 0, 30, "there is a note")
        self.copy.take()
        stack.ready()
        self.socket = stack.socket()
        self.socket.subscribe(self.user, since=None)
        self.epoch, self.renewed, self.marks = stack.epoch(), self._renewed(), stack.log_marks()
        for number in range(5):
            self.write(f"lost {number}")
            assert self.socket.notification(30)["task"]["content"] == f"lost {number}"

    def _renewed(self):
        return total(scrape(self.http), RENEWED)

    def write(self, content):
        def written():
            answer = self.http.patch(f"/tasks/{self.task}", {"content": content})
            assert answer.status == 200, answer
            return answer

        return eventually(written, 30, f"{content} is written")

    def has_a_new_epoch(self):
        eventually(lambda: self.stack.epoch() != self.epoch, 60, "there is a new epoch")
        self.stack.ready()
        eventually(lambda: LOST in self.stack.logs_since(self.marks, "fcgi-api"), 10, "the log says so")
        epoch = self.stack.epoch()
        reset = self.socket.recv_until(lambda frame: frame["type"] == "reset", 30)
        assert reset["reason"] == "epoch" and reset["user_id"] == self.user

        # The browser reads what there is, and goes on from there.
        listed = self.http.get(f"/tasks?user_id={self.user}")
        cursor = listed.header("Event-Cursor")
        assert cursor.startswith(f"{epoch}:"), cursor
        again = self.stack.socket()
        answer = eventually_subscribed(self.stack, again, self.user, cursor)
        assert answer["recovered"] is True, answer
        seq = int(cursor.split(":")[1])
        for number in range(3):
            self.write(f"new {number}")
            frame = again.recv_until(lambda frame: frame["type"] == "notification" and int(frame["cursor"].split(":")[1]) > seq, 30)
            seq += 1
            assert frame["task"]["content"] == f"new {number}" and frame["cursor"] == f"{epoch}:{seq}", frame
        assert [event for event, _, _ in self.stack.journal(self.user)] == list(range(1, seq + 1))
        self.stack.outbox_empty()
        assert self.stack.epoch() == epoch and self._renewed() == self.renewed + 1, "once"
        assert self.stack.logs_since(self.marks, "fcgi-api").count(LOST) == 1

    def keeps_its_epoch(self):
        self.write("kept")
        self.stack.ready()
        self.stack.outbox_empty()
        heard = self.socket.recv_until(lambda frame: frame["type"] != "heartbeat", 30)
        assert heard["type"] == "notification" and heard["task"]["content"] == "kept", heard
        # The sweeper leaves its note only when all has been compared.
        before = self.stack.sql_number(NOTE)
        eventually(lambda: self.stack.sql_number(NOTE) > before, 60, "it was compared")
        assert self.stack.epoch() == self.epoch and self._renewed() == self.renewed
        assert LOST not in self.stack.logs_since(self.marks, "fcgi-api")


def eventually_subscribed(stack, socket, user, cursor):
    """The answer, when the notifier has heard of the new epoch."""
    epoch = cursor.split(":")[0]
    eventually(lambda: stack.client().get("/notifier/readyz").json().get("epoch") == epoch, 30, "the notifier knows the epoch")
    return socket.subscribe(user, since=cursor)


def new_pool(stack):
    """Returns when its publisher has compared all there is, and has left its note."""
    old = {worker.pid for worker in stack.workers()}
    stack.signal("fcgi-api", signal.SIGTERM)

    def replaced():
        now = {worker.pid for worker in stack.workers()}
        return len(now) >= 2 and not now & old

    eventually(replaced, 30, "there is a new pool")
    before = stack.sql_number(NOTE)
    eventually(lambda: stack.sql_number(NOTE) > before, 60, "its publisher leaves a note")


@pytest.fixture
def life(own_stack, tmp_path):
    return Life(own_stack, tmp_path)


def test_what_the_publisher_remembers(own_stack, life):
    """Under writes that come as soon as the database takes them again: they get numbers that were given before."""
    life.copy.put_back()
    load = Load(own_stack.http, lambda n: ("PATCH", f"/tasks/{life.task}", {"content": f"meanwhile {n}"}), 30).start()
    try:
        life.copy.start()
        eventually(lambda: own_stack.epoch() != life.epoch, 60, "there is a new epoch")
    finally:
        load.stop()
    assert life.socket.is_open
    contents = [json.loads(payload)["task"]["content"] for _, _, payload in own_stack.journal(life.user)]
    for result in load.accepted:
        assert f"meanwhile {result.index}" in contents
    life.has_a_new_epoch()
    assert OLDER not in own_stack.logs_since(life.marks, "fcgi-api"), "noticed without it"


@pytest.mark.long
def test_programs_that_were_stopped_meanwhile(own_stack, life):
    own_stack.s6("-wD", "-T", "60000", "-d", "fcgi-api")
    life.copy.put_back()
    life.copy.start()
    own_stack.s6("-u", "fcgi-api")
    life.has_a_new_epoch()


def test_publishers_that_die_meanwhile(own_stack, life):
    """The next one begins at once, so what the one before it knew could have been compared. It was not."""
    life.copy.put_back()
    old = {worker.pid for worker in own_stack.workers()}
    for worker in own_stack.workers():
        worker.kill(signal.SIGKILL)
    eventually(lambda: {worker.pid for worker in own_stack.workers()} - old, 30, "there is a new worker")
    life.copy.start()
    life.has_a_new_epoch()


def test_a_publisher_that_has_published_nothing(own_stack, life):
    """It has the note that the one before it left, or it, and nothing else to go by."""
    new_pool(own_stack)
    life.copy.put_back()
    life.copy.start()
    life.has_a_new_epoch()
    assert OLDER in own_stack.logs_since(life.marks, "fcgi-api")


@pytest.mark.long
def test_a_kill_of_all(own_stack, life):
    settle(own_stack)
    for victim in (own_stack.database(), own_stack.broker(), *own_stack.workers()):
        victim.kill(signal.SIGKILL)
    life.keeps_its_epoch()


@pytest.mark.long
def test_a_kill_of_the_database(own_stack, life):
    """Under writes; and again, for a new connection each time."""
    for _ in range(3):
        own_stack.database().kill(signal.SIGKILL)
        life.keeps_its_epoch()


def test_a_forged_number(own_stack, life):
    """From an account that may write where only the API does, and is not the API's."""
    publisher = own_stack.publisher()
    try:
        headers = {"user_id": life.user, "seq": 1_000_000, "epoch": life.epoch}
        publisher.publish(b"{}", exchange=KNOWN, key="", type="task.created", headers=headers)
    finally:
        publisher.close()
    own_stack.s6("-wD", "-T", "60000", "-d", "fcgi-api")
    life.copy.stop()  # so long that the next publisher reads the stream
    life.copy.start()
    before = eventually(lambda: own_stack.sql_number(NOTE), 30, "the database is back")
    own_stack.s6("-u", "fcgi-api")
    eventually(lambda: own_stack.sql_number(NOTE) > before, 60, "it was compared")
    assert own_stack.epoch() == life.epoch and LOST not in own_stack.logs_since(life.marks, "fcgi-api")
