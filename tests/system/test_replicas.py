# SPDX-License-Identifier: MIT
"""A database with an asynchronous replica, which takes its place when it dies (docs/reliability.md, "Lost commits"). Both servers
are MariaDB's own, with a copy of the stack's data; the API has both in DB_HOST."""

import json
import re
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from conftest import PATIENT, finish
from lib.database_copy import DatabaseCopy
from lib.http import Http
from lib.program import Program, free_port
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import WebSocket
from test_accounts import API, NOTIFIER, management
from test_lost_commits import LOST

pytestmark = pytest.mark.disturbs

REPLICATION = "'replication'@'127.0.0.1' IDENTIFIED BY 'of-the-test'"


@pytest.fixture(scope="module")
def own_stack():
    stack = Stack.start(API_WORKERS=2, ADMINER_PORT="off", **PATIENT)
    yield stack
    finish(stack, "replicas")


class Server:
    """mariadbd with a copy of the stack's data, and a binary log."""

    def __init__(self, stack, copy, directory, number):
        self.port, self._socket = free_port(), directory / "mariadb.sock"
        shutil.copytree(copy, directory / "data")
        (directory / "tmp").mkdir()
        changed = {"datadir": directory / "data", "socket": self._socket, "pid-file": directory / "pid", "tmpdir": directory / "tmp", "port": self.port}
        lines = (stack.run_dir / "etc" / "mariadb.cnf").read_text().splitlines()
        lines = [line for line in lines if line.partition(" =")[0] not in (*changed, "init_file")]
        lines += [f"{name} = {value}" for name, value in changed.items()]
        lines += [f"server_id = {number}", f"log_bin = {directory}/binlog", "sync_binlog = 1", "log_warnings = 1"]
        (directory / "cnf").write_text("\n".join(lines) + "\n")
        with (directory / "log").open("w") as log:
            self._process = subprocess.Popen(["mariadbd", f"--defaults-file={directory}/cnf"], stdin=subprocess.DEVNULL, stderr=log)
        eventually(lambda: self.sql("SELECT 1"), 60, f"server {number} answers")
        # It has a socket for the API in the stack, and an address here.
        self.sql(f"RENAME USER '{API}'@'localhost' TO '{API}'@'127.0.0.1'; CREATE USER {REPLICATION}; RESET MASTER")
        self.sql("GRANT REPLICATION SLAVE ON *.* TO 'replication'@'127.0.0.1'; RESET MASTER")

    def sql(self, query):
        """Rows as tuples of str."""
        command = ["mariadb", "--no-defaults", f"--socket={self._socket}", "--batch", "--skip-column-names", "--database=carillon"]
        done = subprocess.run([*command, f"--execute={query}"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def value(self, query):
        return self.sql(query)[0][0]

    def kill(self):
        self._process.kill()
        self._process.wait()


def transaction(position):
    """Its number, of "domain-server-number"."""
    return int(position.rpartition("-")[2])


class Pair:
    """`first` is written to, `second` follows it; a pool and a notifier in a virtual host of their own; a user with a task, and a
    browser that hears it."""

    def __init__(self, stack, directory, ends, replica_first=False, before=()):
        copy = DatabaseCopy(stack, directory)
        copy.take()
        self.first, self.second = (self._server(stack, directory, number, ends) for number in (1, 2))
        self._follow()
        management(stack, "vhosts/replicas", method="PUT", body=b"{}")
        ends.callback(management, stack, "vhosts/replicas", method="DELETE")
        everything = json.dumps({"configure": ".*", "write": ".*", "read": ".*"}).encode()
        for account in (API, NOTIFIER):
            management(stack, f"permissions/replicas/{account}", method="PUT", body=everything)
        hosts = [f"127.0.0.1:{server.port}" for server in (self.first, self.second)]
        hosts = ",".join([*before, *(reversed(hosts) if replica_first else hosts)])
        self.start_api = lambda: self._start(stack, "fcgi-api", directory, ends, DB_SOCKET="", DB_HOST=hosts)
        self.api = self.start_api()
        self.notifier = self._start(stack, "ws-notifier", directory, ends)
        eventually(self.notifier.ready, 30, "the notifier is ready")
        self.user = int(self.first.value("INSERT INTO users (name) VALUES ('of replicas') RETURNING id"))
        self.task = int(self.first.value(f"INSERT INTO tasks (user_id, content) VALUES ({self.user}, 'test') RETURNING id"))
        self.browser = WebSocket(f"ws://127.0.0.1:{self.notifier.ws_port}/")
        ends.callback(self.browser.close)
        self.browser.subscribe(self.user)

    @staticmethod
    def _server(stack, directory, number, ends):
        (place := directory / f"server{number}").mkdir()
        server = Server(stack, directory / "mariadb", place, number)
        ends.callback(server.kill)
        return server

    @staticmethod
    def _start(stack, name, directory, ends, **settings):
        (folder := directory / f"{name}{len(list(directory.glob(name + '*')))}").mkdir()
        program = Program(stack, name, folder, AMQP_VHOST="replicas", **settings)
        ends.callback(program.end)
        return program

    def _follow(self):
        self.second.sql(
            f"SET GLOBAL read_only = 1; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {self.first.port},"
            " MASTER_USER = 'replication', MASTER_PASSWORD = 'of-the-test', MASTER_USE_GTID = slave_pos; START SLAVE"
        )

    def reads(self):
        return self.api.read(f"/tasks/{self.task}")["content"]

    def write(self, content):
        return self.api.ask(f"/tasks/{self.task}", "PATCH", json.dumps({"content": content}))[0]

    def hears(self, contents, first_seq, epoch):
        for number, content in enumerate(contents):
            frame = self.browser.notification(30)
            assert (frame["cursor"], frame["task"]["content"]) == (f"{epoch}:{first_seq + number}", content)

    def change(self, contents):
        assert [self.write(content) for content in contents] == [200] * len(contents)

    def has_caught_up(self):
        self._reaches("SELECT @@gtid_slave_pos")

    def fetches_without_applying(self):
        self.second.sql("STOP SLAVE SQL_THREAD")

    def has_fetched(self):
        self._reaches("SHOW SLAVE STATUS\\G")

    def _reaches(self, query):
        """The position of the first server, or a later one: its publisher leaves notes there."""
        wanted = transaction(self.first.value("SELECT @@gtid_binlog_pos"))

        def reached():
            [position] = [row[0] for row in self.second.sql(query) if re.search(r"(^|Gtid_IO_Pos: )\d+-", row[0])]
            return transaction(position) >= wanted

        eventually(reached, 30, "the replica has it all")

    def promote(self):
        self.second.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0")

    def takes_writes(self, content):
        eventually(lambda: self.write(content) == 200, 30, "a change is made")


@pytest.fixture
def make_pair(own_stack, tmp_path):
    with ExitStack() as ends:
        yield lambda **more: Pair(own_stack, tmp_path, ends, **more)


@pytest.fixture
def pair(make_pair):
    return make_pair()


def test_a_server_that_takes_no_writes_is_passed_over(make_pair):
    """As after a start of the first one, during which all connections went to its replica."""
    pair = make_pair(replica_first=True)
    pair.takes_writes("0")
    pair.hears("0", 1, pair.first.value("SELECT value FROM epoch"))
    assert pair.second.value("SELECT @@read_only") == "1"


@pytest.mark.parametrize("role", ["first", "second"])
def test_a_server_that_is_silent_is_passed_over(make_pair, role):
    """As one that is switched off, or stands still: no answer comes, and no refusal."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pair = make_pair(before=[f"127.0.0.1:{silent.getsockname()[1]}"], replica_first=role == "second")
        pair.takes_writes("0")
        pair.change(["1", "2"])
        assert pair.reads() == "2"
        pair.hears("012", 1, pair.first.value("SELECT value FROM epoch"))


def test_reads_follow_the_writes(pair):
    """After a planned switch both servers run. The first one takes no writes and is no replica of the second, so its data are stale."""
    pair.change(["0"])
    pair.has_caught_up()
    assert pair.reads() == "0"
    pair.first.sql("SET GLOBAL read_only = 1")
    pair.promote()
    pair.takes_writes("1")
    eventually(lambda: {pair.reads() for _ in range(50)} == {"1"}, 30, "all read from the second")
    pair.api.end()
    pair.api = pair.start_api()
    pair.takes_writes("2")
    assert {pair.reads() for _ in range(50)} == {"2"}


def test_reads_wait_for_a_server_without_room(pair):
    """It takes writes by the connections that it has; the replica, which has room, is behind."""
    pair.change(["0"])
    pair.has_caught_up()
    assert pair.reads() == "0"
    pair.second.sql("STOP SLAVE")
    pair.first.sql(f"GRANT USAGE ON *.* TO '{API}'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    pair.change(["1"])
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: pair.reads(), range(200))) == {"1"}
    assert pair.second.value(f"SELECT content FROM tasks WHERE id = {pair.task}") == "0"


def test_a_replica_that_lags_is_promoted_when_it_has_everything(pair):
    """Until then it may not be written to. What it does not have yet is not lost."""
    epoch = pair.first.value("SELECT value FROM epoch")
    pair.change(["0", "1"])
    pair.has_caught_up()
    pair.fetches_without_applying()
    pair.change(["2", "3", "4"])
    pair.hears("01234", 1, epoch)
    pair.has_fetched()
    pair.first.kill()
    assert pair.write("nowhere") == 503
    eventually(lambda: pair.api.ask(f"/tasks/{pair.task}")[0] == 200, 30, "the replica is read")
    assert pair.write("nowhere") == 503
    pair.second.sql("START SLAVE SQL_THREAD")
    eventually(lambda: pair.second.value(f"SELECT event_seq FROM users WHERE id = {pair.user}") == "5", 30, "the replica has everything")
    pair.promote()
    pair.takes_writes("5")
    pair.change(["6"])
    pair.hears("56", 6, epoch)
    assert pair.second.value("SELECT value FROM epoch") == epoch and LOST not in pair.api.log()


def test_a_replica_that_lagged_is_promoted(pair):
    """Numbers that the browser knows would be given again."""
    epoch = pair.first.value("SELECT value FROM epoch")
    pair.change(["0", "1"])
    pair.has_caught_up()
    pair.second.sql("STOP SLAVE")
    pair.change(["2", "3", "4"])
    pair.hears("01234", 1, epoch)
    pair.first.kill()
    pair.promote()
    eventually(lambda: pair.second.value("SELECT value FROM epoch") != epoch, 60, "there is a new epoch")
    new = pair.second.value("SELECT value FROM epoch")
    reset = pair.browser.recv_until(lambda frame: frame["type"] == "reset", 30)
    assert (reset["reason"], reset["user_id"]) == ("epoch", pair.user)
    pair.takes_writes("5")
    pair.change(["6"])
    heard = []
    while not heard or heard[-1]["task"]["content"] != "6":
        heard.append(pair.browser.notification(30))
    assert [frame["cursor"] for frame in heard][-2:] == [f"{new}:3", f"{new}:4"]
    assert pair.api.log().count(LOST) == 1
    page = Http(f"http://127.0.0.1:{pair.notifier.ws_port}").get("/readyz").json()
    assert page["epoch"] == new
