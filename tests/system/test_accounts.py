# SPDX-License-Identifier: MIT
"""Each program's account may do what the program does, and nothing else: tried on the real broker and database with
the account itself, as an attacker would who has taken the program over (docs/security.md has the table)."""

import json
import re
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import suppress

import pika
import pymysql
import pytest

from lib.amqp import EXCHANGE, QUEUE, Publisher
from lib.database import Database
from lib.stack import ROOT
from lib.wait import eventually

API, NOTIFIER = "carillon-api", "carillon-notifier"
KNOWN, LIFE, MARKERS = (f"{QUEUE}.{name}" for name in ("known", "life", "markers"))
SECRETS = {"admin": "amqp_admin_password", API: "amqp_api_password", NOTIFIER: "amqp_notifier_password"}


def broker_url(stack, user):
    password = (stack.run_dir / "secrets" / SECRETS[user]).read_text().strip()
    return f"amqp://{user}:{password}@127.0.0.1:{stack.port('AMQP_PORT')}/%2F?socket_timeout=10"


def management(stack, path, user="admin", password=None, method=None, body=None):
    password = password or (stack.run_dir / "secrets" / SECRETS[user]).read_text().strip()
    request = urllib.request.Request(f"http://127.0.0.1:{stack.port('MANAGEMENT_PORT')}/api/{path}", body, method=method)
    request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    request.add_header("Content-Type", "application/json")
    answers = []

    def answered():
        try:
            answers.append(urllib.request.urlopen(request, timeout=60).read())
        except urllib.error.HTTPError as error:
            answers.append(error)
        return True

    eventually(answered, 30, "RabbitMQ's management, which comes up after all that the programs need")
    if isinstance(answers[-1], urllib.error.HTTPError):
        raise answers[-1]
    return json.loads(answers[-1] or b"null")


# ---- RabbitMQ ----------------------------------------------------------------------------------------


def test_the_brokers_accounts(stack):
    users = {user["name"]: user["tags"] for user in management(stack, "users")}
    assert set(users) == {"admin", API, NOTIFIER}
    assert "administrator" in users["admin"] and not users[API] and not users[NOTIFIER]


def test_guest_is_nobody(stack):
    with pytest.raises(urllib.error.HTTPError) as refused:
        management(stack, "whoami", "guest", "guest")
    assert refused.value.code == 401
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(
            pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{stack.port('AMQP_PORT')}/%2F?connection_attempts=1")
        )


@pytest.mark.parametrize("user", [API, NOTIFIER])
def test_programs_have_no_business_in_the_management_page(stack, user):
    with pytest.raises(urllib.error.HTTPError) as refused:
        management(stack, "queues", user)
    assert refused.value.code == 401


def publish(exchange, key):
    def attempt(channel):
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}")

    return attempt


def consume(channel):
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(QUEUE, lambda *_: None, arguments={"x-stream-offset": "first"})


ATTEMPTS = {
    "publish an event": publish(EXCHANGE, "task.completed"),
    "publish into the queue": publish("", QUEUE),
    "publish as the API's beacon": publish(KNOWN, ""),
    "publish a marker": publish(MARKERS, ""),
    "publish to another's exchange": publish("amq.topic", "x"),
    "read the stream": consume,
    "declare the exchange": lambda channel: channel.exchange_declare(EXCHANGE, "topic", durable=True),
    "declare another exchange": lambda channel: channel.exchange_declare("mine"),
    "declare another queue": lambda channel: channel.queue_declare("mine"),
    "declare a queue without a name": lambda channel: channel.queue_declare("", exclusive=True),
    "delete the stream": lambda channel: channel.queue_delete(QUEUE, if_unused=True, if_empty=True),
    "delete the exchange": lambda channel: channel.exchange_delete(EXCHANGE, if_unused=True),
    "unbind the stream": lambda channel: channel.queue_unbind(QUEUE, EXCHANGE, "task.#"),
    "bind the stream elsewhere": lambda channel: channel.queue_bind(QUEUE, "amq.topic", "#"),
    "forward events elsewhere": lambda channel: channel.exchange_bind("amq.fanout", EXCHANGE, "#"),
    "forward elsewhere as events": lambda channel: channel.exchange_bind(EXCHANGE, "amq.topic", "#"),
    "purge the stream": lambda channel: channel.queue_purge(QUEUE),
}
# Allowed attempts are not made: they would harm the other tests.
ALLOWED = {
    API: {
        "publish an event",
        "publish as the API's beacon",
        "declare the exchange",
        "delete the stream",
        "delete the exchange",
        "unbind the stream",
        "read the stream",
    },
    NOTIFIER: {"publish a marker", "read the stream"},
}


@pytest.mark.parametrize("user, attempt", [(u, name) for u in (API, NOTIFIER) for name in ATTEMPTS if name not in ALLOWED[u]])
def test_refused_by_the_broker(stack, user, attempt):
    connection = pika.BlockingConnection(pika.URLParameters(broker_url(stack, user)))
    try:
        with pytest.raises((pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)) as refused:
            ATTEMPTS[attempt](connection.channel())
        # An account that may read a queue may purge it, but a stream cannot be purged.
        not_there = attempt == "purge the stream"
        assert refused.value.reply_code == (540 if not_there else 403), refused.value
    finally:
        if connection.is_open:
            connection.close()


@pytest.mark.parametrize("user, attempt", [(API, "declare the exchange"), (API, "read the stream"), *((NOTIFIER, name) for name in sorted(ALLOWED[NOTIFIER]))])
def test_allowed_by_the_broker(stack, user, attempt):
    """Proves that the refusals above do not come from a connection that can do nothing."""
    connection = pika.BlockingConnection(pika.URLParameters(broker_url(stack, user)))
    ATTEMPTS[attempt](connection.channel())
    with suppress(pika.exceptions.AMQPError):  # leaving a stream that delivers
        connection.close()


@pytest.fixture
def taken_over(stack):
    """The notifier's account in an attacker's hands."""
    publisher = Publisher(broker_url(stack, NOTIFIER))
    yield publisher
    publisher.close()


def original(user, text):
    return json.dumps({"message": text, "task": {"id": 1, "user_id": user, "status": 1, "content": text}}).encode()


def forgeries(stack, user):
    """Messages that the notifier accepts from exchanges other than the markers'."""
    event = {"user_id": user, "seq": 1, "epoch": stack.epoch()}
    body = json.dumps({"type": "notification", "event": "task.completed", "message": "forged", "task": {"user_id": user}})
    yield "an event", {"body": body.encode(), "headers": event, "type": "task.completed"}
    yield "another program's message", {"body": original(user, "forged")}
    yield "the API's beacon", {"body": b"{}", "headers": {"epoch": "f0f0f0f0"}, "type": "carillon.epoch"}
    yield "an event that says it is a marker", {"body": body.encode(), "headers": event, "type": "carillon.marker"}


def test_the_notifiers_account_cannot_forge(stack, taken_over, publisher, sockets, user):
    socket = sockets()
    socket.subscribe(user)
    marks = stack.log_marks()
    skipped = 0
    for name, forgery in forgeries(stack, user):
        taken_over.publish(exchange=MARKERS, key="", **forgery)
        publisher.publish(original(user, f"after {name}"))
        frame = socket.notification()
        assert frame["message"] == f"after {name}", f"{name} was delivered: {frame}"
        skipped += forgery.get("type") != "carillon.marker"

    def told():
        return stack.logs_since(marks, "ws-notifier").count("for markers only")

    eventually(lambda: told() >= skipped, 5, "the log names each")
    assert told() == skipped
    assert stack.client().get("/notifier/readyz").json()["epoch"] == stack.epoch()


def test_a_marker_by_another_way_is_none(stack, publisher, sockets, user):
    """Only messages that notifiers alone can write tell a notifier how far it has read."""
    socket = sockets()
    socket.subscribe(user)
    publisher.publish(b"{}", type="carillon.marker", message_id="000000000000:1")
    publisher.publish(original(user, "after"))
    assert socket.notification()["message"] == "after"


# ---- MariaDB -----------------------------------------------------------------------------------------

TABLES = ("users", "tasks", "events", "outbox", "confirmed", "broker", "emitted", "idempotency_keys", "meta", "epoch", "notes", "settled", "schema_migrations", "schema_progress", "session_ends", "nodes")
VERBS = {
    "SELECT": "SELECT 1 FROM {} LIMIT 1",
    "INSERT": "INSERT INTO {} SELECT * FROM {} WHERE FALSE",
    "UPDATE": "UPDATE {} SET {column} = {column} WHERE FALSE",
    "DELETE": "DELETE FROM {} WHERE FALSE",
}
COLUMN = {"tasks": "content", "events": "payload", "outbox": "created_at", "confirmed": "last_seq", "broker": "life", "emitted": "seq", "users": "name", "meta": "value", "epoch": "value", "notes": "value", "settled": "times", "nodes": "name", "session_ends": "before_s"}
API_MAY = {
    "users": "SELECT UPDATE",  # of some columns
    "tasks": "SELECT INSERT UPDATE DELETE",
    "events": "SELECT INSERT",
    "outbox": "SELECT INSERT UPDATE DELETE",
    "confirmed": "SELECT INSERT DELETE",
    "broker": "SELECT INSERT UPDATE",
    "emitted": "SELECT INSERT DELETE",
    "nodes": "SELECT",
    "idempotency_keys": "SELECT INSERT UPDATE DELETE",
    "meta": "SELECT INSERT UPDATE",
    "epoch": "SELECT",
    "notes": "SELECT INSERT UPDATE",
    "settled": "SELECT INSERT UPDATE",
    "schema_migrations": "SELECT",
    "schema_progress": "",
    "session_ends": "SELECT INSERT DELETE",
}
REFUSED = (1044, 1045, 1142, 1143, 1227, 1370, 1410, 1644)


@pytest.fixture(scope="module")
def api_account(stack):
    password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
    place = str(stack.run_dir / "sock" / "mariadb.sock")
    connection = pymysql.connect(unix_socket=place, user=API, password=password, database="carillon")
    yield connection
    connection.close()


def may(connection, statement, keep=False):
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
            if keep:
                connection.commit()
            return True
        except pymysql.Error as error:
            assert error.args[0] in REFUSED, f"{statement}: {error}"
            return False
        finally:
            connection.rollback()


def statements():
    """Every statement of the service, as the compiler reads them."""
    source = '#include "fcgi-api/store/statements.h"\n#define X(name, sql) next_one sql\nSTORE_STATEMENTS(X)\n'
    text = subprocess.run(["cc", "-E", "-P", "-I.", "-"], cwd=ROOT, input=source, capture_output=True, text=True, check=True).stdout
    found = ["".join(re.findall(r'"([^"]*)"', part)) for part in text.split("next_one")[1:]]
    # Statements that are sent together are tested one by one: together they are checked only when executed.
    return [sql for one in found for sql in one.removeprefix("BEGIN NOT ATOMIC ").removesuffix("; END").split("; ")]


def test_the_api_may_do_all_it_does(api_account):
    """The server prepares a statement only for an account that may execute it."""
    found = [sql.replace(":node", "1") for sql in statements()]
    assert len(found) > 30 and all(" " in sql for sql in found), found
    refused = [sql for sql in found if not may(api_account, "PREPARE one FROM " + api_account.escape(sql))]
    assert not refused


@pytest.mark.parametrize("table", TABLES)
def test_the_apis_rights_in_a_table(api_account, table):
    column = COLUMN.get(table, "body" if table == "idempotency_keys" else "checksum")
    allowed = {verb for verb, text in VERBS.items() if may(api_account, text.format(table, table, column=column))}
    assert allowed == set(API_MAY[table].split())


def test_every_table_is_judged(stack):
    assert {row[0] for row in stack.sql("SHOW TABLES")} == set(TABLES)


FORBIDDEN = [
    "CREATE TABLE mine (id INT)",
    "CREATE TEMPORARY TABLE mine (id INT)",
    "CREATE VIEW mine AS SELECT * FROM tasks",
    "CREATE PROCEDURE mine() SELECT 1",
    "CREATE TRIGGER mine BEFORE INSERT ON tasks FOR EACH ROW SET NEW.content = 'x'",
    "CREATE EVENT mine ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "CREATE DATABASE mine",
    "CREATE USER mine",
    "CREATE INDEX mine ON tasks (content)",
    "DROP TABLE tasks",
    "TRUNCATE TABLE outbox",
    "ALTER TABLE tasks ADD COLUMN mine INT",
    "LOCK TABLES tasks WRITE",
    "GRANT SELECT ON tasks TO 'carillon-adminer'@'127.0.0.1'",
    "SELECT * FROM mysql.global_priv",
    "SELECT 1 INTO OUTFILE '/tmp/carillon-mine'",
    "SELECT LOAD_FILE('/etc/passwd') FROM mysql.user",
    "SET GLOBAL general_log = 1",
    "UPDATE users SET id = 7 WHERE id = 0",
    "UPDATE users SET created_at = NOW() WHERE id = 0",
    "INSERT INTO users (id, name) VALUES (7, 'x')",
    "INSERT INTO users (name, event_seq) VALUES ('x', 7)",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_api_may_not(api_account, statement):
    assert not may(api_account, statement)


def test_the_api_has_the_next_epoch_made_and_does_not_choose_it(stack, api_account):
    """In place of the one that it knows, so that several publishers make one together; a name of its own it cannot give."""
    before = stack.epoch()
    with api_account.cursor() as cursor:
        cursor.execute("CALL epoch_renew('never1')")
        assert cursor.fetchone() == (0, before)
        cursor.execute("CALL epoch_renew(%s)", (before,))
        made, epoch = cursor.fetchone()
        assert made == 1 and epoch != before and epoch.isalnum(), (made, epoch)
        cursor.execute("CALL epoch_renew(%s)", (before,))
        assert cursor.fetchone() == (0, epoch)
    api_account.rollback()
    assert stack.epoch() == before


CHANGES_OF_THE_JOURNAL = [
    "UPDATE events SET payload = '{{}}' WHERE user_id = {0} AND seq = 1",
    "DELETE FROM events WHERE user_id = {0} AND seq = 1",
    "REPLACE INTO events SELECT user_id, seq, type, task_id, request_id, traceparent, '{{}}', created_at FROM events WHERE user_id = {0}",
    "INSERT INTO events SELECT * FROM events WHERE user_id = {0} ON DUPLICATE KEY UPDATE payload = '{{}}'",
    # Clocks that the session sets.
    "SET timestamp = UNIX_TIMESTAMP() + 864000; CALL purge_events(UTC_TIMESTAMP(3) + INTERVAL 20 DAY, 1000000); SET timestamp = DEFAULT",
    "SET time_zone = '+14:00'; CALL purge_events(UTC_TIMESTAMP(3) + INTERVAL 20 DAY, 1000000); SET time_zone = '+00:00'",
]


@pytest.mark.parametrize("statement", CHANGES_OF_THE_JOURNAL)
def test_the_api_does_not_change_the_journal(stack, user, task, statement):
    """Nor can it delete an event, which would let it make another with the same number."""
    before = stack.journal(user)
    stack.outbox_empty()
    password = (stack.run_dir / "secrets" / "db_api_password").read_text().strip()
    connection = pymysql.connect(
        unix_socket=str(stack.run_dir / "sock" / "mariadb.sock"), user=API, password=password, database="carillon",
        autocommit=True, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS,
    )  # fmt: skip
    with connection, connection.cursor() as cursor, suppress(pymysql.Error):
        cursor.execute(statement.format(user))
        while cursor.nextset():
            pass
    assert stack.journal(user) == before and len(before) == 1


def test_the_api_counts_events(api_account):
    assert may(api_account, "UPDATE users SET event_seq = event_seq WHERE id = 0")


EPOCHS = "SELECT (SELECT value FROM epoch), (SELECT value FROM meta WHERE name = 'epoch')"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE epoch SET value = 'mine'",
        "INSERT INTO epoch (id, value) VALUES (1, 'mine') ON DUPLICATE KEY UPDATE value = 'mine'",
        "REPLACE INTO epoch (id, value) VALUES (1, 'mine')",
        "UPDATE meta SET value = 'mine' WHERE name = 'epoch'",
        "UPDATE meta SET name = 'mine' WHERE name = 'epoch'",
        "INSERT INTO meta (name, value) VALUES ('epoch', 'mine') ON DUPLICATE KEY UPDATE value = VALUES(value)",
        "REPLACE INTO meta (name, value) VALUES ('epoch', 'mine')",
    ],
)
def test_the_api_makes_no_epoch(stack, api_account, statement):
    """Nor does it change the epoch in `meta`, which programs from before sql/002_owners.sql read."""
    before = stack.sql(EPOCHS)
    assert not may(api_account, statement, keep=True)
    assert stack.sql(EPOCHS) == before


def test_the_databases_accounts(stack):
    """No account without a password, none from before, and only the administrator has rights in all databases."""
    found = {(user, host): plugin for user, host, plugin in stack.sql("SELECT user, host, plugin FROM mysql.user WHERE is_role = 'N'")}
    ours = {("carillon-api", "localhost"), ("carillon-migrate", "localhost"), ("carillon-adminer", "127.0.0.1"), ("carillon-emit", "127.0.0.1")}
    others = {account for account in set(found) - ours if account[0] not in ("mariadb.sys", "root", "mysql", "bench")}
    assert ours <= set(found) and len(others) <= 1, found
    everywhere = stack.sql("SELECT DISTINCT grantee FROM information_schema.user_privileges WHERE privilege_type <> 'USAGE'")
    assert not [grantee for (grantee,) in everywhere if "carillon" in grantee]


@pytest.mark.parametrize(
    "user, secret", [("carillon-adminer", "db_adminer_password"), ("carillon-api", "db_api_password")]
)
def test_nobody_comes_in_by_another_door(stack, user, secret):
    """Each account has one place it may come from, and its password is its own."""
    place, port = str(stack.run_dir / "sock" / "mariadb.sock"), stack.port("DB_PORT")
    password = (stack.run_dir / "secrets" / secret).read_text().strip()
    door = {"unix_socket": place} if user == "carillon-adminer" else {"host": "127.0.0.1", "port": port}
    right = {"host": "127.0.0.1", "port": port} if user == "carillon-adminer" else {"unix_socket": place}
    for how, given in ((door, password), (right, ""), (right, "carillon"), (right, password[::-1])):
        with pytest.raises(pymysql.Error) as refused:
            pymysql.connect(user=user, password=given, **how)
        assert refused.value.args[0] in (1045, 1698), refused.value
    pymysql.connect(user=user, password=password, **right).close()


# ---- scripts/accounts --------------------------------------------------------------------------------

def accounts(stack, server, directory, **more):
    stack.environment.update(more)
    try:
        return stack.script("accounts", server, str(directory)).stdout
    finally:
        for name in more:
            del stack.environment[name]


def test_accounts_of_a_database_elsewhere(stack, tmp_path):
    """As docs/deploy.md has it: the accounts, then the tables and the rights in them, by the account for that."""
    database = Database(stack, tmp_path, "another_one")
    try:
        assert {path.stat().st_mode & 0o777 for path in database.secrets.iterdir()} == {0o600}
        database.migrate("--quiet")
        with database.connect("api") as connection:
            assert may(connection, "SELECT 1 FROM tasks") and not may(connection, "DROP TABLE tasks")
            assert not may(connection, "SELECT 1 FROM carillon.tasks")
    finally:
        database.drop()


def test_accounts_of_a_broker_elsewhere(stack):
    """With the passwords of this stack, so that accounts stay the same; in a virtual host of its own."""
    definitions = accounts(stack, "broker", stack.run_dir / "secrets", AMQP_VHOST="another")
    assert {user["name"] for user in json.loads(definitions)["users"]} == {API, NOTIFIER}, "an administrator makes their own account"
    try:
        management(stack, "definitions", body=definitions.encode())
        connection = pika.BlockingConnection(pika.URLParameters(broker_url(stack, API).replace("%2F", "another")))
        ATTEMPTS["declare the exchange"](connection.channel())
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            ATTEMPTS["declare another exchange"](connection.channel())
        connection.close()
    finally:
        management(stack, "vhosts/another", method="DELETE")


@pytest.mark.parametrize("arguments, names", [((), "broker"), (("nonsense",), "nonsense"), (("database", "/nowhere"), "/nowhere")])
def test_accounts_refuses(stack, arguments, names):
    done = stack.script("accounts", *arguments, check=False)
    assert done.returncode == 1 and names in done.stderr and len(done.stderr.splitlines()) == 1, done
