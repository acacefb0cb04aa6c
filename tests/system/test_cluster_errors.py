# SPDX-License-Identifier: MIT
"""What a node of a Galera cluster answers that a server alone does not: a conflict with another node at COMMIT (1213), a COMMIT that
was under way when the node was cut off from the others (1180), and anything that touches a table afterwards (1047). A
relay answers so in the database's place."""

import contextlib
import socket
import struct
import threading

import pytest

from lib.database import Database
from lib.program import Program, free_port
from lib.wait import eventually

CONFLICT = (1213, "40001", "Deadlock found when trying to get lock; try restarting transaction")
CUT_OFF = (1180, "HY000", 'Got error 5 "Input/output error" during COMMIT')
NOT_READY = (1047, "08S01", "WSREP has not yet prepared node for application use")
QUERY, PREPARE, EXECUTE = 3, 22, 23


class Wire:
    """Passes on what clients and database say; `judge(command, text, before)` of a statement, and of the one before it on that
    connection, returns an error to answer instead, or None."""

    def __init__(self, port):
        self._target, self.judge = port, lambda command, text, before: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            threading.Thread(target=self._statements, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answers, args=(far, near), daemon=True).start()

    @staticmethod
    def _answers(far, near):
        with contextlib.suppress(OSError):
            while data := far.recv(65536):
                near.sendall(data)
            near.shutdown(socket.SHUT_RDWR)

    def _statements(self, near, far):
        stream, before = near.makefile("rb"), ""
        with contextlib.suppress(OSError, struct.error):
            while head := stream.read(4):
                payload = stream.read(int.from_bytes(head[:3], "little"))
                error = None
                if head[3] == 0 and payload[:1] in (b"\x03", b"\x16", b"\x17"):
                    text = "" if payload[0] == EXECUTE else payload[1:].decode(errors="replace")
                    error = self.judge(payload[0], text, before)
                    before = text or before
                if error:
                    body = b"\xff" + struct.pack("<H", error[0]) + b"#" + error[1].encode() + error[2].encode()
                    near.sendall(len(body).to_bytes(3, "little") + b"\x01" + body)
                else:
                    far.sendall(head + payload)
            far.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def database(stack, tmp_path_factory):
    made = Database(stack, tmp_path_factory.mktemp("cluster"), "cluster_errors")
    try:
        made.migrate()
        made.sql("INSERT INTO users (name) VALUES ('one'); INSERT INTO tasks (user_id, content) VALUES (1, 'as it was')")
        yield made
    finally:
        made.drop()


@pytest.fixture
def wire(stack):
    made = Wire(stack.port("DB_PORT"))
    yield made
    made.close()


@pytest.fixture
def start(stack, database, tmp_path):
    """start(DB_PORT=...) runs a pool with this database, without a broker, until the test ends."""
    with contextlib.ExitStack() as ends:

        def begin(**settings):
            usual = {"DB_SOCKET": "", "DB_HOST": "127.0.0.1", "DB_NAME": database.name, "DB_USER": "carillon-api", "AMQP_PORT": free_port()}
            secret = {"DB_PASSWORD_FILE": str(database.secrets / "db_api_password")}
            api = Program(stack, "fcgi-api", tmp_path, **usual | secret | settings)
            ends.callback(api.end)
            return api

        yield begin


def journal(database):
    return [int(seq) for (seq,) in database.sql("SELECT seq FROM events WHERE user_id = 1 ORDER BY seq")]


def change(api, content):
    return api.ask("/tasks/1", "PATCH", f'{{"content":"{content}"}}')[0]


def refuse(wire, error, times):
    """Answers so to the COMMITs of changes; a list of them."""
    refused = []

    def judge(command, text, before):
        if text != "COMMIT" or "INSERT INTO events" not in before or len(refused) >= times:
            return None
        refused.append(text)
        return error

    wire.judge = judge
    return refused


@pytest.mark.parametrize("times", [1, 3, 15])
def test_a_conflict_at_commit_is_tried_again(wire, start, database, times):
    """It says that nothing was done, so the client need not know of it."""
    api = start(DB_PORT=wire.port)
    before = journal(database)
    refused = refuse(wire, CONFLICT, times)
    assert change(api, f"after {times} conflicts") == 200
    assert len(refused) == times
    assert len(journal(database)) == len(before) + 1
    assert database.sql("SELECT content FROM tasks WHERE id = 1") == [(f"after {times} conflicts",)]


def test_conflicts_without_end(wire, start, database):
    """The client is told in time that nothing was done, and the operator why."""
    api = start(DB_PORT=wire.port, DB_TIMEOUT_MS=400)
    before = journal(database)
    refuse(wire, CONFLICT, 1000)
    assert change(api, "never") == 503
    api.says("others were in the way for all of the 400 ms: Deadlock found")
    assert journal(database) == before


def test_a_commit_that_was_cut_off_is_uncertain(wire, start, database):
    """It may have happened: it is not tried again, and the client is told."""
    api = start(DB_PORT=wire.port)
    refused = refuse(wire, CUT_OFF, 1)
    assert change(api, "perhaps") == 504
    assert len(refused) == 1
    wire.judge = lambda command, text, before: None
    assert change(api, "surely") == 200


def test_a_node_without_galera(stack, start):
    """It has a name and no others whose commits it would wait for."""
    api = start(DB_PORT=stack.port("DB_PORT"), NODE="first")
    assert api.ask("/tasks/4000000")[0] == 404
    assert api.ask("/tasks/4000000", "PATCH", '{"content":"x"}')[0] == 404
    assert change(api, "of a named node") == 200


def not_ready(command, text, before):
    """Connecting, SET and SELECT 1 work all the same."""
    touches = any(word in text for word in (" FROM ", "INSERT ", "UPDATE ", "DELETE "))
    return NOT_READY if command == EXECUTE or touches else None


def test_outside_the_primary_component(wire, start):
    api = start(DB_PORT=wire.port)
    assert change(api, "before") == 200
    wire.judge = not_ready
    assert change(api, "meanwhile") == 503
    assert api.ask("/tasks/1")[0] == 503
    assert api.ask("/readyz")[0] == 503
    api.says("has not yet prepared node")
    wire.judge = lambda command, text, before: None
    eventually(lambda: change(api, "afterwards") == 200, 20, "it takes changes again")
    eventually(lambda: api.ask("/readyz")[0] == 200, 20, "it is ready again")


def test_the_next_host_of_the_list(stack, wire, start):
    wire.judge = not_ready
    api = start(DB_HOST=f"127.0.0.1:{wire.port},127.0.0.1:{stack.port('DB_PORT')}")
    eventually(lambda: change(api, "at the second") == 200, 20, "the change is made")
    assert api.ask("/readyz")[0] == 200
