# SPDX-License-Identifier: MIT
"""Events of other programs by SQL (docs/emit.md): CALL carillon_emit in a transaction of their own."""

import json
import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pymysql
import pytest

from lib.emit import APP, connect, emit, execute, numbers
from lib.stack import ROOT
from lib.wait import eventually
from system.test_event_source import Events


# ---- what comes out ------------------------------------------------------------------------------------


def test_everybody_hears_the_same(stack, http, emitter, ws, stream, user):
    """The browser by WebSocket and by Server-Sent Events, the journal, and a consumer at the broker."""
    ws.subscribe(user)
    events = Events(stack.http, f"/events?user_id={user}")
    assert events.event()["event"] == "subscribe"
    data = '{"id": 7, "amount":12.50, "for":"Zoé \\"Z\\" 🥖"}'
    emit(emitter, user, "invoice.paid", 'Invoice "7" is\npaid é', data)
    text = ws.recv_text()
    epoch = stack.epoch()
    assert text == f'{{"type":"notification","event":"invoice.paid","cursor":"{epoch}:1","user_id":{user},"message":"Invoice \\"7\\" is\\npaid é","data":{data}}}'
    heard = events.event()
    events.close()
    assert heard["data"] == text and heard["id"] == f"{epoch}:1" and "event" not in heard
    assert http.get(f"/users/{user}/events").json() == [json.loads(text)]
    assert stack.journal(user) == [(1, "invoice.paid", text)]
    message = stream.wait_for(user, 1)
    assert message.body.decode() == text and message.type == message.routing_key == "invoice.paid"
    assert message.message_id == f"{epoch}:{user}:1" and not message.correlation_id


def test_nothing_need_be_said(emitter, ws, user):
    ws.subscribe(user)
    emit(emitter, user, "session.ended")
    frame = ws.notification()
    assert list(frame) == ["type", "event", "cursor", "user_id", "message", "data"]
    assert frame["message"] is None and frame["data"] is None


def test_a_large_one(stack, http, emitter, ws, user):
    """Longest type, longest message, largest data; a journal of many such events is read in pages that end early."""
    kind, message, data = "a" * 58 + ".b-c_9", "\x01" * 1000, json.dumps({"x": "y" * 65526})
    assert len(kind) == 64 and len(data) == 65535
    ws.subscribe(user)
    emit(emitter, user, kind, message, data + " ")
    frame = ws.notification(timeout=20)
    assert frame["event"] == kind and frame["message"] == message and frame["data"] == json.loads(data)
    for _ in range(40):
        emit(emitter, user, data=data)
    page = http.get(f"/users/{user}/events?limit=200")
    assert page.status == 200 and 10 <= len(page.json()) <= 20 and 'rel="next"' in page.header("Link")
    seen, since = page.json(), page.header("Event-Cursor")
    while 'rel="next"' in (page.header("Link") or ""):
        page = http.get(f"/users/{user}/events?since={since}&limit=200")
        seen, since = seen + page.json(), page.header("Event-Cursor")
    assert [event["cursor"].split(":")[1] for event in seen] == [str(n) for n in range(1, 42)]
    for _ in range(40):
        assert ws.notification(timeout=20)["event"] == "invoice.paid"


def test_it_is_found_without_a_hint(stack, http, emitter, user):
    """By polling the table `emitted`, long before the sweeper would."""

    def counted():
        found = [line for line in http.get("/metrics").text.splitlines() if line.startswith("carillon_api_events_emitted_total")]
        return int(float(found[0].split()[1]))

    def nothing_listed():
        return stack.sql_number("SELECT COUNT(*) FROM emitted") == 0

    eventually(nothing_listed, 10, "those of other tests are counted")
    before = counted()
    for _ in range(5):
        emit(emitter, user)
    eventually(lambda: counted() == before + 5, 10, "they are counted")
    eventually(nothing_listed, 10, "none is left on the list")
    stack.outbox_empty()


# ---- together or not at all ----------------------------------------------------------------------------


def test_row_and_event_come_together(stack, root, invoices, ws, user):
    ws.subscribe(user)
    execute(root, f"INSERT INTO {invoices} (customer, amount) VALUES ({user}, 5)")
    emit(root, user, data='{"amount":5}')
    assert numbers(stack, user) == (0, []), "no reader sees it before the commit"
    root.commit()
    assert ws.notification()["data"] == {"amount": 5}
    assert stack.sql_number(f"SELECT COUNT(*) FROM {invoices}") == 1


def test_a_rollback_leaves_nothing(stack, root, invoices, ws, user):
    ws.subscribe(user)
    for end in ("ROLLBACK", "ROLLBACK TO SAVEPOINT before_it"):
        execute(root, "SAVEPOINT before_it", f"INSERT INTO {invoices} (customer) VALUES ({user})")
        emit(root, user, "never.happened")
        execute(root, end, "COMMIT")
    assert numbers(stack, user) == (0, []) and stack.sql_number(f"SELECT COUNT(*) FROM outbox WHERE user_id = {user}") == 0
    emit(root, user)
    root.commit()
    assert ws.notification()["cursor"].endswith(":1"), "and no hole in the numbers"


@pytest.mark.parametrize("autocommit", [True, False])
def test_one_that_fails_half_way_leaves_nothing(stack, root, user, autocommit):
    """Also when its caller goes on: here the last of its rows is there already. Once that is committed, the publisher may
    take it before the call."""
    root.autocommit(autocommit)

    def fails_at(number):
        execute(root, f"INSERT INTO emitted (user_id, seq) VALUES ({user}, {number})")
        try:
            emit(root, user)
        except pymysql.IntegrityError:
            return True
        return False

    number = next(number for number in range(1, 100) if fails_at(number))
    root.commit()
    assert numbers(stack, user) == (number - 1, [*range(1, number)])
    stack.sql(f"DELETE FROM emitted WHERE user_id = {user}")
    emit(root, user)
    root.commit()
    assert numbers(stack, user) == (number, [*range(1, number + 1)])


def test_several_keep_their_order(stack, root, ws, user):
    other = stack.new_users(1)[0]
    for someone in (user, other):
        ws.subscribe(someone)
    for number in range(5):
        emit(root, user, f"first.n{number}")
        emit(root, other, f"second.n{number}")
    root.commit()
    heard = [ws.notification()["event"] for _ in range(10)]
    for name in ("first", "second"):
        assert [kind for kind in heard if kind.startswith(name)] == [f"{name}.n{number}" for number in range(5)]


def test_the_callers_own_number_stays(root, invoices, user):
    """LAST_INSERT_ID() is that of the caller's row."""
    execute(root, f"INSERT INTO {invoices} (id, customer) VALUES (41, {user})", f"INSERT INTO {invoices} (customer) VALUES ({user})")
    emit(root, user)
    assert execute(root, "SELECT LAST_INSERT_ID()") == ((42,),)


def test_from_a_trigger(stack, root, invoices, ws, user):
    execute(
        root,
        f"CREATE TRIGGER {APP}.heard AFTER INSERT ON {invoices} FOR EACH ROW "
        "CALL carillon.carillon_emit(NEW.customer, 'invoice.made', NULL, JSON_OBJECT('id', NEW.id))",
    )
    ws.subscribe(user)
    execute(root, f"INSERT INTO {invoices} (customer) VALUES ({user}), ({user})", "COMMIT")
    assert [ws.notification()["data"] for _ in range(2)] == [{"id": 1}, {"id": 2}]
    with pytest.raises(pymysql.Error) as refused:
        execute(root, f"INSERT INTO {invoices} (customer) VALUES ({user}), (4000000000)")
    assert refused.value.args[0] == 1644
    root.commit()
    assert stack.sql_number(f"SELECT COUNT(*) FROM {invoices}") == 2 and numbers(stack, user)[0] == 2


# ---- beside others -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_others_may_have_been_faster(stack, http, root, user, level):
    """Rows committed since the caller's transaction began to read are no conflict, also where the server checks for
    that (innodb_snapshot_isolation, on by default from MariaDB 11.6)."""
    with suppress(pymysql.OperationalError):  # an older one does not know it
        execute(root, "SET SESSION innodb_snapshot_isolation = ON")
    execute(root, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}", "START TRANSACTION", f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}")
    if level != "SERIALIZABLE":  # there the API's write waits for the caller's read
        assert http.post("/tasks", {"user_id": user, "content": "meanwhile"}).status == 201
    else:
        stack.sql(f"CALL carillon_emit({user}, 'meanwhile.emitted', NULL, NULL)")
    # As the publisher does, every ten seconds.
    stack.sql("INSERT INTO notes (name, value) VALUES ('compared_at', FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000)) ON DUPLICATE KEY UPDATE value = VALUES(value)")
    emit(root, user)
    root.commit()
    assert numbers(stack, user) == (2, [1, 2])
    assert stack.journal(user)[1][1] == "invoice.paid"


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_open_call_keeps_no_publisher_waiting(stack, root, user, level):
    """However long the caller takes until its commit: what publishers write for themselves is not locked."""
    execute(root, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    emit(root, user)
    stack.sql("SET innodb_lock_wait_timeout = 3; INSERT INTO notes (node, name, value) VALUES (1, 'of_the_test', ''); DELETE FROM notes WHERE node = 1 AND name = 'of_the_test'")
    for name in ("compared_at", "purge_at"):
        stack.sql(f"SET innodb_lock_wait_timeout = 3; UPDATE notes SET value = value WHERE node = 1 AND name = '{name}'")
    for table in ("broker", "settled", "confirmed"):
        stack.sql(f"SET innodb_lock_wait_timeout = 3; SELECT COUNT(*) FROM (SELECT 1 FROM {table} FOR UPDATE) rows_of_it")
    root.commit()
    assert numbers(stack, user) == (1, [1])


def test_beside_the_api(stack, http, task, sockets):
    """Writes by the API and by SQL, of one user, at once: each is heard once, in order."""
    user, each = task["user_id"], 25
    ear = sockets()
    ear.subscribe(user)

    def patch(number):
        return http_of().patch(f"/tasks/{task['id']}", {"content": f"n {number}"}).status

    def http_of():
        return stack.client()

    def call(number):
        with closing(connect(stack, autocommit=True)) as connection:
            for turn in range(each):
                emit(connection, user, "call.made", data=json.dumps({"by": number, "turn": turn}))

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call, number) for number in range(2)]
        answers = list(pool.map(patch, range(2 * each)))
        for caller in callers:
            caller.result()
    assert answers == [200] * len(answers)
    heard = [ear.notification(timeout=20) for _ in range(4 * each)]
    if heard[0]["event"] == "task.created":  # it was still on its way when the socket came
        heard = [*heard[1:], ear.notification(timeout=20)]
    assert [int(frame["cursor"].split(":")[1]) for frame in heard] == list(range(2, 4 * each + 2))
    for number in range(2):
        turns = [frame["data"]["turn"] for frame in heard if frame["event"] == "call.made" and frame["data"]["by"] == number]
        assert turns == list(range(each))


def test_times_rise_and_are_the_servers(stack, emitter, user):
    execute(emitter, "SET time_zone = '+07:00', timestamp = 1000000000")
    emit(emitter, user)
    execute(emitter, "SET time_zone = '+00:00', timestamp = DEFAULT")
    emit(emitter, user)
    assert execute(emitter, "SELECT @@time_zone") == (("+00:00",),)
    rows = stack.sql(f"SELECT ABS(TIMESTAMPDIFF(SECOND, created_at, UTC_TIMESTAMP(3))) < 60, created_at FROM events WHERE user_id = {user} ORDER BY seq")
    assert [near for near, _ in rows] == ["1", "1"] and rows[0][1] <= rows[1][1]


def both(stack, one, other):
    """Two transactions that each emit for two users, in these orders, the second of each when both have their first."""
    meet = threading.Barrier(2)

    def run(users):
        with closing(connect(stack)) as connection:
            emit(connection, users[0])
            meet.wait(60)
            emit(connection, users[1])
            connection.commit()

    def run_ascending(users):
        with closing(connect(stack)) as connection:
            for user in users:
                emit(connection, user)
            connection.commit()

    work = run if one != other else run_ascending
    with ThreadPoolExecutor(2) as pool:
        return [future.exception() for future in [pool.submit(work, users) for users in (one, other)]]


def test_a_deadlock_and_how_to_avoid_it(stack):
    """docs/emit.md: users in the order of their ids."""
    first, second = stack.new_users(2)
    failed = [error for error in both(stack, (first, second), (second, first)) if error]
    assert len(failed) == 1 and failed[0].args[0] == 1213, failed
    assert both(stack, (first, second), (first, second)) == [None, None]
    assert numbers(stack, first) == numbers(stack, second) == (3, [1, 2, 3])


# ---- what is refused -----------------------------------------------------------------------------------

WRONG = {
    "user_id": [None, "", 0, -1, 1.5, "x", "1\n", "01", 4294967296, "9" * 30, 4000000000],
    "type": [None, "", "invoice", "Invoice.paid", "invoice..paid", ".paid", "invoice.", "invoice paid.x", "invoice.paid\n", "é.x", "a" * 63 + ".b",
             "task.created", "task.mine", "carillon.epoch"],
    "message": ["x" * 1001],
    "data": ["", "x", "[]", "1", '"text"', "null", "{", '{"a":1} x', '{"a":1.}', '{"a":1e}', '{"a":-}', '{"a":01}', '{"a":"\\q"}', '{"a":"\x01"}', '{"a\n":1}',
             "{'a':1}", "{a:1}", '{"a":NaN}', '{"a":' + "[" * 40 + "]" * 40 + "}", json.dumps({"x": "y" * 65528})],
}  # fmt: skip


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values], ids=lambda value: repr(value)[:30])
def test_a_wrong_argument_is_named(stack, emitter, user, name, value):
    arguments = {"user_id": user, "type": "invoice.paid", "message": None, "data": None, name: value}
    with pytest.raises(pymysql.Error) as refused:
        emit(emitter, *arguments.values())
    assert refused.value.args[0] == 1644 and refused.value.args[1].startswith(f"carillon_emit: {name} "), refused.value
    with emitter.cursor() as cursor:
        cursor.execute("BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLSTATE '45000' BEGIN SELECT 'told'; END; CALL carillon_emit(%s, %s, %s, %s); END", list(arguments.values()))
        assert cursor.fetchall() == (("told",),)
    assert numbers(stack, user) == (0, [])


RIGHT = ["{}", " {} ", '{"a":[1,-0.5,1e5,2E-3,1.5e+10,true,false,null]}', '{"a":"\\u00e9\\ud83d\\ude00\\n\\/\\"\\\\"}', '{"é":{"b":[[{}]]}}', '{\n "a":\t1\r\n}']


@pytest.mark.parametrize("data", RIGHT)
def test_what_is_json_comes_as_it_is(emitter, ws, user, data):
    ws.subscribe(user)
    emit(emitter, user, data=data)
    assert data in (text := ws.recv_text()) and json.loads(text)["data"] == json.loads(data)


FORBIDDEN = [
    "SELECT 1 FROM tasks", "SELECT 1 FROM users", "SELECT 1 FROM events", "SELECT 1 FROM outbox", "SELECT 1 FROM emitted", "SELECT 1 FROM epoch",
    "INSERT INTO events (user_id, seq, type, payload, created_at) VALUES (1, 1, 'a.b', '{}', NOW())", "UPDATE users SET event_seq = event_seq + 1",
    "DELETE FROM outbox", "SELECT emit_event(1, 'task.created', '', '{}')", "SELECT emit_fault('{}')", "CALL purge_events(NOW(), 1)",
    "CREATE TABLE mine (id INT)", "CREATE TEMPORARY TABLE mine (id INT)", "ALTER PROCEDURE carillon_emit SQL SECURITY INVOKER", "DROP PROCEDURE carillon_emit",
    "SELECT 1 FROM mysql.user",
]  # fmt: skip


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_account_may_emit_and_nothing_else(emitter, statement):
    with pytest.raises(pymysql.Error) as refused:
        execute(emitter, statement)
    assert refused.value.args[0] in (1044, 1142, 1143, 1227, 1305, 1370), refused.value


def test_not_before_a_publisher_that_knows_such_events(stack, emitter, user):
    """Workers from before the tables would lose their connection at each such event (no queue is bound for its type):
    the first newer worker notes that emitting is allowed."""
    found = stack.sql("SELECT value FROM notes WHERE name = 'emits'")
    assert found and int(found[0][0]) > 0, "this stack's publisher has said so"
    stack.sql("DELETE FROM notes WHERE name = 'emits'")
    try:
        with pytest.raises(pymysql.Error) as refused:
            emit(emitter, user)
    finally:
        stack.sql(f"INSERT INTO notes (name, value) VALUES ('emits', '{found[0][0]}')")
    assert refused.value.args[0] == 1644 and "older" in refused.value.args[1]
    emit(emitter, user)


# ---- the page ------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "emit.md").read_text()


def block(language, holding):
    [found] = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S) if holding in text]
    return found


def test_the_pages_program(stack, ws, user, tmp_path):
    """docs/emit.md: its tables, its account and its program, as they stand there."""
    tables = block("sql", "CREATE DATABASE shop").replace("VALUES (1,", f"VALUES ({user},")
    (tmp_path / "pay.py").write_text(block("python", "import pymysql"))

    def pay(invoice):
        place = {**os.environ, "DB_SOCKET": str(stack.run_dir / "sock" / "mariadb.sock")}
        done = subprocess.run(["/usr/bin/python3", "-B", tmp_path / "pay.py", invoice], env=place, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    try:
        stack.script("sql", input=tables)
        ws.subscribe(user)
        assert pay("1") == "paid" and pay("1") == "nothing to pay"
        frame = ws.notification()
        assert frame["message"] == "Invoice 1 is paid" and frame["data"] == {"invoice": 1, "amount": "12.50"}
        assert numbers(stack, user) == (1, [1])
    finally:
        stack.sql("DROP DATABASE IF EXISTS shop; DROP USER IF EXISTS 'shop'@'localhost'")


def test_the_pages_first_line(stack, ws):
    ws.subscribe(1)
    stack.script("sql", input=block("sql", "CALL carillon.carillon_emit(1, 'invoice.paid'"))
    frame = ws.notification()
    assert frame["event"] == "invoice.paid" and frame["data"] == {"invoice": 7, "amount": "12.50"}
