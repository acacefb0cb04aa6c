# SPDX-License-Identifier: MIT
"""SQL writers: an application with a table of its own in Carillon's database server. Each of its transactions writes
rows there and emits events (docs/emit.md), one for each row. Some are committed, some rolled back, and some end in the
middle: the connection is closed, or the process is killed -9, before COMMIT or at it.

The account is `carillon-emit`, which may do nothing else with Carillon's tables."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import proc
from lib.wait import eventually

from . import sql_client
from .sql_client import CLOSE, COMMIT, COMMITTED, COMMITTING, DROP, DROPPED, HALTED, KILL, KILL_AT_COMMIT, LINGERS_S, LOST, ROLLBACK, ROLLED_BACK
from .writers import ACCEPTED, UNKNOWN

REFUSED_FOR_GOOD = ("1044", "1045", "1062", "1064", "1142", "1146", "1370", "1644")  # errors that no outage explains
UNDONE, ABANDONED = "undone", "abandoned"  # rolled back; ended before COMMIT was sent
ENDINGS = {COMMIT: 60, ROLLBACK: 15, CLOSE: 7, DROP: 8, KILL: 5, KILL_AT_COMMIT: 5}  # how often
ANSWERS_S = 120  # each statement has a shorter limit of its own
TABLE = """CREATE DATABASE application CHARACTER SET utf8mb4;
            CREATE TABLE application.deeds (writer VARCHAR(32), number INT UNSIGNED, place INT UNSIGNED, user_id INT UNSIGNED NOT NULL,
                PRIMARY KEY (writer, number, place));"""


class Application:
    """The table."""

    def __init__(self, stack):
        self._stack = stack

    def create(self):
        self._stack.script(
            "sql",
            input=f"""{TABLE}
            GRANT INSERT ON application.* TO 'carillon-emit'@'127.0.0.1';""",
        )

    def place(self):
        """How a writer connects."""
        password = (self._stack.run_dir / "secrets" / "db_emit_password").read_text().strip()
        return {"host": "127.0.0.1", "port": self._stack.port("DB_PORT"), "user": "carillon-emit", "password": password, "database": "application"}

    def deeds(self):
        """{(writer, number, place): user}"""
        rows = self._stack.sql("SELECT writer, number, place, user_id FROM application.deeds")
        return {(writer, int(number), int(place)): int(user) for writer, number, place, user in rows}


class ClusterApplication(Application):
    """Beside a cluster: each writer comes to the database of one node, through its socket, with an account of its own. So the
    writers of a node that was killed or is cut off are refused there, as an application on that machine is."""

    ACCOUNT, PASSWORD = "application", "of-the-drill"

    def create(self):
        account = f"'{self.ACCOUNT}'@'localhost'"
        self._stack.script(
            "sql",
            input=f"""{TABLE}
            CREATE USER {account} IDENTIFIED BY '{self.PASSWORD}';
            GRANT INSERT ON application.* TO {account};
            GRANT EXECUTE ON PROCEDURE carillon.carillon_emit TO {account};""",
        )

    def place(self):
        path = str(self._stack.run_dir / "sock" / "mariadb.sock")
        return {"unix_socket": path, "user": self.ACCOUNT, "password": self.PASSWORD, "database": "application"}


@dataclass
class Transaction:
    writer: str
    number: int
    users: list  # of each row and its event, in ascending order; one may be there several times
    ending: str
    steps: int  # statements before it ends
    last_word: str = ""  # the writer's, before its process ended or took the next transaction
    why: str = ""  # an error's number

    @property
    def outcome(self):
        if self.last_word == COMMITTED:
            return ACCEPTED
        if self.last_word == ROLLED_BACK:
            return UNDONE
        return UNKNOWN if self.last_word in (COMMITTING, DROPPED, LOST) else ABANDONED

    def order(self):
        return {name: getattr(self, name) for name in ("writer", "number", "users", "steps", "ending")}

    def __str__(self):
        return f"transaction {self.writer}-{self.number} ({self.ending}, {self.last_word or 'not begun'})"


class SqlWriter:
    def __init__(self, name, place, users, pace, seed):
        self.name, self._place, self._users, self._pace = name, place, users, pace
        self._chance = random.Random(f"sql writer {seed} {name}")
        self._process = None
        self._allowed = asyncio.Event()
        self._allowed.set()
        self.transactions = []
        self.stopping = False

    async def run(self):
        try:
            while not self.stopping:
                await self._pace.turn()
                await self._one()
        finally:
            if self._process:
                self._kill()
                await self._process.wait()

    def _draw(self):
        users = sorted(self._chance.choices(self._users, k=self._chance.choice((1, 1, 1, 2, 3))))
        ending = self._chance.choices(list(ENDINGS), list(ENDINGS.values()))[0]
        steps = self._chance.randint(0, 2 * len(users)) if ending in (CLOSE, KILL) else 2 * len(users)
        return Transaction(self.name, len(self.transactions), users, ending, steps)

    async def _one(self):
        if self._process is None:
            await self._start()
        await self._allowed.wait()
        transaction = self._draw()
        self.transactions.append(transaction)
        self._tell(transaction.order())
        try:
            await asyncio.wait_for(self._follow(transaction), ANSWERS_S)
        except asyncio.TimeoutError:
            raise AssertionError(f"{transaction}: no word for {ANSWERS_S} s") from None
        if transaction.why:
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))

    async def _start(self):
        program = Path(sql_client.__file__)
        pipe = asyncio.subprocess.PIPE
        # A session of its own: Ctrl-C is the drill's to handle. When the drill dies, the writer reads its input's end.
        self._process = await asyncio.create_subprocess_exec(sys.executable, "-B", program, stdin=pipe, stdout=pipe, start_new_session=True)
        self._tell(self._place)

    def _tell(self, what):
        self._process.stdin.write(json.dumps(what).encode() + b"\n")

    def _kill(self):
        """Not by the process's own kill(): that one asks for the status of a process that has just ended, and then the loop has none."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def _follow(self, transaction):
        """Reads words until the last. What a killed process had still said counts."""
        killed = False
        while line := (await self._process.stdout.readline()).decode():
            transaction.last_word, _, transaction.why = line.rstrip("\n").partition("\t")
            at_commit = transaction.last_word == COMMITTING
            if transaction.last_word == HALTED or (at_commit and transaction.ending == KILL_AT_COMMIT):
                await asyncio.sleep(self._chance.uniform(0, LINGERS_S) if at_commit else 0)
                self._kill()
                killed = True
            elif not at_commit and not killed:
                return
        status, self._process = await self._process.wait(), None
        if status != -signal.SIGKILL:
            raise AssertionError(f"{transaction}: its process ended by itself, with {status}")

    # -- power cuts

    def hold(self):
        """From here until release() nothing reaches the database."""
        self._allowed.clear()
        if self._process:
            self._kill()
            eventually(lambda: not self._runs(), 5, f"{self.name} is dead", interval=0.001)

    def _runs(self):
        process = proc.read(self._process.pid)
        return process is not None and process.state not in "ZX"

    def release(self):
        self._allowed.set()
