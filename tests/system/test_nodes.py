# SPDX-License-Identifier: MIT
"""Two nodes that share the journal, each with a broker and a notifier of its own: `a` is the stack, `b` has programs beside it,
with the same database and another virtual host of the broker. What only a cluster of databases can do is not tested here."""

import json
import threading
import time

import pymysql
import pytest

from conftest import PATIENT, finish
from lib.database import Database
from lib.http import Http
from lib.program import Program
from lib.relay import Relay
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import Closed, WebSocket
from test_accounts import API, NOTIFIER, management

QUICK = {"WS_HEARTBEAT_S": 1, "MARKER_INTERVAL_S": 1, "HEAL_WINDOW_S": 5}


@pytest.fixture(scope="module")
def a():
    stack = Stack.start(API_WORKERS=2, **PATIENT, **QUICK)
    yield stack
    finish(stack, "nodes")


class Node:
    """Its pool and its notifier reach its broker by a gate each, which the test can shut."""

    def __init__(self, stack, directory, name, **settings):
        self.stack, self.name, self._directory, self._settings = stack, name, directory, settings
        self.id = int(stack.sql(f"CALL node_register('{name}')")[0][0])
        self._count = 0
        management(stack, f"vhosts/{name}", method="PUT", body=b"{}")
        everything = json.dumps({"configure": ".*", "write": ".*", "read": ".*"}).encode()
        for account in (API, NOTIFIER):
            management(stack, f"permissions/{name}/{account}", method="PUT", body=everything)
        self.gates = {program: Relay(stack.port("AMQP_PORT")) for program in ("fcgi-api", "ws-notifier")}
        self.api = self.notifier = None
        self.start_api()
        self.start_notifier()

    def _start(self, program, **more):
        self._count += 1
        folder = self._directory / f"{self.name}{self._count}"
        folder.mkdir()
        settings = {"AMQP_VHOST": self.name, "AMQP_PORT": self.gates[program].port, **self._settings, **more}
        return Program(self.stack, program, folder, **settings)

    def start_api(self, **more):
        self.api = self._start("fcgi-api", NODE=self.name, **more)

    def start_notifier(self, **more):
        self.notifier = self._start("ws-notifier", **more)

    def broker_away(self):
        """Its publisher knows."""
        before = len(self.api.lines)
        self.gates["fcgi-api"].away()
        eventually(lambda: any("connection lost" in line for line in self.api.lines[before:]), 20, "its publisher has no broker")

    def page(self, path):
        return Http(f"http://127.0.0.1:{self.notifier.ws_port}").get(path)

    def ready(self):
        """Its stream has all of the journal."""
        eventually(lambda: (page := self.page("/readyz")).status == 200 and "behind_s" in page.json(), 60, f"{self.name} is ready")

    def waiting(self):
        return self.stack.sql_number(f"SELECT COUNT(*) FROM outbox WHERE node = {self.id}")

    def write(self, task, content):
        status, _ = self.api.ask(f"/tasks/{task}", "PATCH", json.dumps({"content": content}))
        assert status == 200, status

    def end(self):
        for program in (self.api, self.notifier):
            if program:
                program.end()
        for gate in self.gates.values():
            gate.close()
        self.stack.sql(f"CALL node_forget('{self.name}')")
        management(self.stack, f"vhosts/{self.name}", method="DELETE")


@pytest.fixture(scope="module")
def b(a, tmp_path_factory):
    node = Node(a, tmp_path_factory.mktemp("b"), "b", WS_STALE_S=0)
    node.ready()
    yield node
    node.end()


@pytest.fixture
def sockets(a, b):
    """sockets("a" or "b"): a socket there."""
    opened = []

    def open_one(node):
        opened.append(WebSocket(a.ws if node == "a" else f"ws://127.0.0.1:{b.notifier.ws_port}/"))
        return opened[-1]

    yield open_one
    for socket in opened:
        socket.close()


@pytest.fixture
def task(a):
    """(user, task), which no other test uses."""
    [user] = a.new_users(1)
    [task] = a.new_tasks([user])
    return user, task


def write_at_a(a, task, content):
    answer = a.client().patch(f"/tasks/{task}", {"content": content})
    assert answer.status == 200, answer


def number(frame):
    return int(frame["cursor"].split(":")[1])


def contents(socket, count):
    return [socket.notification()["task"]["content"] for _ in range(count)]


def test_what_is_written_at_one_is_heard_at_both(a, b, task, sockets):
    """In order, once, and soon: the other's publisher finds it without a hint."""
    user, task = task
    ears = [sockets("a"), sockets("b")]
    for ear in ears:
        ear.subscribe(user)
    best = 10.0
    for turn in range(10):
        began = time.monotonic()
        if turn % 2:
            write_at_a(a, task, str(turn))
        else:
            b.write(task, str(turn))
        for ear in ears:
            frame = ear.notification()
            assert (number(frame), frame["task"]["content"]) == (turn + 1, str(turn))
        best = min(best, time.monotonic() - began)
    assert best < 1, f"the soonest took {best:.3g} s"
    for ear in ears:
        ear.nothing_before_answer()
    a.outbox_empty()
    assert a.sql_number("SELECT COUNT(*) FROM emitted") == 0


def test_events_of_other_programs_are_heard_at_both(a, b, task, sockets):
    user, _ = task
    ears = [sockets("a"), sockets("b")]
    for ear in ears:
        ear.subscribe(user)
    a.sql(f"CALL carillon_emit({user}, 'invoice.paid', 'Paid', NULL)")
    for ear in ears:
        assert ear.notification()["message"] == "Paid"
    a.outbox_empty()


def test_a_cursor_of_one_is_good_at_the_other(a, b, task, sockets):
    user, task = task
    first, other = sockets("a"), sockets("b")
    first.subscribe(user, since=None)
    other.subscribe(user)
    b.write(task, "0")
    write_at_a(a, task, "1")
    for seq in (1, 2):
        cursor = first.notification()["cursor"]
        assert cursor == other.notification()["cursor"] and number({"cursor": cursor}) == seq
    for turn in range(6):
        write_at_a(a, task, f"{turn} a")
        b.write(task, f"{turn} b")
        socket = sockets("ab"[turn % 2])
        answer = socket.subscribe(user, since=cursor)
        assert answer["recovered"] is True, answer
        assert contents(socket, 2) == [f"{turn} a", f"{turn} b"]
        socket.nothing_before_answer()
        cursor = socket.recv_until(lambda frame: frame["type"] == "heartbeat")["cursor"]
        assert number({"cursor": cursor}) == 2 * turn + 4
        socket.close()


def test_a_cursor_of_a_node_that_lags(a, b, task, sockets):
    """Its heartbeats claim no more than its stream has. Otherwise the other node, which has had the event and forgotten it, would
    say that there was none."""
    user, task = task
    mark = sockets("b")
    answer = mark.subscribe(user, since=None)
    b.broker_away()
    forgetful = Program(a, "ws-notifier", a.run_dir / "tmp", RING_AGE_S=1, **QUICK)
    try:
        eventually(forgetful.ready, 40, "the notifier that forgets has read the stream")
        ear = WebSocket(f"ws://127.0.0.1:{forgetful.ws_port}/")
        ear.subscribe(user)
        write_at_a(a, task, "not at b yet")
        assert number(ear.notification()) == 1
        written = time.time()
        beats = []

        def much_later():
            beats.append(mark.recv_until(lambda frame: frame["type"] == "heartbeat"))
            return time.time() > written + 8 and Http(f"http://127.0.0.1:{forgetful.ws_port}").get("/metrics").text.find(
                "carillon_notifier_ring_events 0\n"
            ) >= 0

        eventually(much_later, 30, "the event has left the ring of the notifier that forgets", interval=0)
        cursor = beats[-1]["cursor"]
        assert number(beats[-1]) == 0 and len(beats) >= 8
        told = WebSocket(f"ws://127.0.0.1:{forgetful.ws_port}/").subscribe(user, since=cursor)
        assert told["recovered"] is False, (answer, beats[-1], told)
    finally:
        b.gates["fcgi-api"].there()
        forgetful.end()
    assert mark.notification()["task"]["content"] == "not at b yet"
    a.outbox_empty(60)


def test_nothing_is_lost_or_doubled_while_one_lags(a, b, task, sockets):
    user, task = task
    far, near = sockets("b"), sockets("a")
    far.subscribe(user, since=None)
    near.subscribe(user)
    write_at_a(a, task, "1")
    cursor = far.notification()["cursor"]
    assert number(near.notification()) == 1
    b.gates["fcgi-api"].away()
    for turn in range(2, 6):
        (b.write if turn % 2 else lambda *args: write_at_a(a, *args))(task, str(turn))
        assert number(near.notification()) == turn
    moved = sockets("a")
    assert moved.subscribe(user, since=cursor)["recovered"] is True
    assert contents(moved, 4) == ["2", "3", "4", "5"]
    ahead = moved.recv_until(lambda frame: frame["type"] == "heartbeat")["cursor"]
    back = sockets("b")
    assert back.subscribe(user, since=ahead)["recovered"] is True  # b does not know these events yet
    b.gates["fcgi-api"].there()
    assert [number(far.notification()) for _ in range(4)] == [2, 3, 4, 5]
    write_at_a(a, task, "6")
    assert number(back.notification()) == 6
    back.nothing_before_answer()
    a.outbox_empty(60)


def test_a_notifier_that_hears_too_little_sends_its_clients_away(a, b, task):
    user, _ = task
    node = b
    node.notifier.end()
    node.start_notifier(WS_STALE_S=2)
    node.ready()
    assert node.page("/readyz").json()["behind_s"] <= 2
    socket = WebSocket(f"ws://127.0.0.1:{node.notifier.ws_port}/")
    socket.subscribe(user)
    try:
        node.gates["fcgi-api"].away()
        answer = eventually(lambda: (page := node.page("/readyz")).status == 503 and page, 30, "it is not ready")
        assert answer.json()["caught_up"] is True and answer.json()["behind_s"] >= 2, answer
        with pytest.raises(Closed) as closed:
            socket.recv_until(lambda frame: frame["type"] not in ("heartbeat", "subscribe"), timeout=20)
        assert closed.value.code == 1012, closed.value
    finally:
        node.gates["fcgi-api"].there()
    node.ready()
    node.notifier.end()
    node.start_notifier()
    node.ready()


def test_a_node_that_was_killed_publishes_what_it_missed(a, b, task, sockets):
    user, task = task
    ear = sockets("b")
    ear.subscribe(user)
    b.api._process.kill()
    b.api.end()
    near = sockets("a")
    near.subscribe(user)
    for turn in range(5):
        write_at_a(a, task, str(turn))
        near.notification()
    eventually(lambda: a.sql_number("SELECT COUNT(*) FROM outbox WHERE node = 1") == 0, 20, "a's broker has them")
    assert b.waiting() == 5
    b.start_api()
    assert contents(ear, 5) == ["0", "1", "2", "3", "4"]
    a.outbox_empty(60)
    eventually(lambda: a.sql_number("SELECT COUNT(*) FROM emitted") == 0, 20, "and nothing is left on the list")


def test_a_node_of_no_name(a, tmp_path, task):
    _, task = task
    api = Program(a, "fcgi-api", tmp_path, NODE="nobody")
    try:
        assert api.ask("/readyz")[0] == 503
        assert api.ask(f"/tasks/{task}")[0] == 200
        assert api.ask(f"/tasks/{task}", "PATCH", '{"content":"x"}')[0] == 503
        api.says("no node 'nobody' in table nodes: scripts/cluster join nobody")
        assert a.sql(f"SELECT content FROM tasks WHERE id = {task}") == [("test",)]
    finally:
        api.end()


def test_a_node_is_forgotten(a, task, tmp_path):
    """Its rows go with it, and while its programs still run they take no writes and are not ready; registered again, they go on."""
    _, task = task
    node = Node(a, tmp_path, "c", WS_STALE_S=1)
    try:
        node.ready()
        node.broker_away()
        write_at_a(a, task, "for c, too")
        node.write(task, "by c")
        assert node.waiting() == 2
        a.sql("CALL node_forget('c')")
        for table, column in (("outbox", "node"), ("emitted", "node"), ("confirmed", "node"), ("broker", "id"), ("nodes", "id")):
            assert a.sql_number(f"SELECT COUNT(*) FROM {table} WHERE {column} = {node.id}") == 0, table
        node.gates["fcgi-api"].there()
        assert node.api.ask(f"/tasks/{task}", "PATCH", '{"content":"y"}')[0] == 503
        assert node.api.ask("/readyz")[0] == 503
        write_at_a(a, task, "not for c")
        assert node.waiting() == 0
        eventually(lambda: node.page("/readyz").status == 503, 30, "its notifier is not ready")
        again = int(a.sql("CALL node_register('c')")[0][0])
        assert again > node.id
        node.id = again
        node.write(task, "by c again")
        eventually(lambda: node.waiting() == 0, 60, "it publishes again")
        node.ready()
    finally:
        node.end()


def test_the_last_node_stays(a, tmp_path):
    """In a database of its own, where no test has registered another one."""
    database = Database(a, tmp_path, "last_node")
    try:
        database.migrate()
        with pytest.raises(AssertionError, match="the last one"):
            a.sql("CALL last_node.node_forget('first')")
        a.sql("CALL last_node.node_forget('no such node')")
        assert database.sql("SELECT id, name FROM nodes") == [(1, "first")]
    finally:
        database.drop()


def test_forgetting_waits_for_no_row(a):
    """Publishers write such rows all the time; each that had to be waited for would be a conflict between nodes of a cluster."""
    password = (a.run_dir / "secrets" / "db_api_password").read_text().strip()
    holder = pymysql.connect(unix_socket=str(a.run_dir / "sock" / "mariadb.sock"), user=API, password=password, database="carillon")
    try:
        with holder.cursor() as cursor:
            for statement in ("UPDATE broker SET lived_ms = lived_ms + 1", "INSERT INTO settled (id, times) VALUES (201, 1)"):
                cursor.execute(statement)
                forget = threading.Thread(target=a.sql, args=("CALL node_forget('no such node')",))
                forget.start()
                forget.join(20)
                waited = forget.is_alive()
                holder.rollback()
                forget.join()
                assert not waited, statement
    finally:
        holder.close()


def test_registering_waits_for_transactions_under_way(a, task):
    """One that has read the list before, as every change does, writes no row for the new node: it must be over by then."""
    user, _ = task
    password = (a.run_dir / "secrets" / "db_api_password").read_text().strip()
    change = pymysql.connect(unix_socket=str(a.run_dir / "sock" / "mariadb.sock"), user=API, password=password, database="carillon")
    done = []
    try:
        with change.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            change.begin()
            cursor.execute("SELECT nodes FROM epoch")
            register = threading.Thread(target=lambda: done.append(a.sql("CALL node_register('d')")))
            register.start()
            waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE epoch%'"
            eventually(lambda: a.sql_number(waits) > 0, 20, "it waits")
            assert not done and a.client().get("/tasks/1").status == 200
            change.commit()
        register.join(60)
        [[(node,)]] = done
        a.sql(f"CALL carillon_emit({user}, 'invoice.paid', NULL, NULL)")
        assert a.sql_number(f"SELECT COUNT(*) FROM outbox WHERE user_id = {user} AND node = {node}") == 1
    finally:
        change.close()
        a.sql("CALL node_forget('d')")
