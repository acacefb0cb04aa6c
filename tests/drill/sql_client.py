# SPDX-License-Identifier: MIT
"""One writer of an application beside Carillon (sql_writers.py), as a process of its own, so that it can be killed -9
at any step of a transaction.

Reads a line of JSON with its connection, then one for each transaction:

    {"writer": NAME, "number": N, "users": [...], "steps": S, "ending": E}

For each user, in that order, a row of its own table and an event (CALL carillon_emit) with the same key: writer, number
and place in the list. After S of these 2 * len(users) statements the transaction ends as E says. Each word on its
output is written before what comes next is begun, so that a killed process's last word says how far it came."""

import itertools
import json
import random
import sys
import time

import pymysql
from pymysql.constants import COMMAND

COMMIT, ROLLBACK, CLOSE, DROP, KILL, KILL_AT_COMMIT = "commit", "rollback", "close", "drop", "kill", "kill at commit"

# Its last words.
COMMITTED = "committed"
ROLLED_BACK = "rolled back"
FAILED = "failed"  # an error before COMMIT was sent
CLOSED = "closed"  # the connection, before COMMIT was sent
HALTED = "halted"  # and waits for being killed, before COMMIT was sent
COMMITTING = "committing"  # COMMIT is sent next
DROPPED = "dropped"  # the connection, after COMMIT was sent, its answer unread
LOST = "lost"  # COMMIT was sent, and an error came back

TYPE = "drill.done"
LINGERS_S = 0.004  # at most, from the word to COMMIT, and from the word to the kill: so that either comes first


def statements(order):
    """The rows first, then the events, as docs/emit.md says."""
    keys = [(order["writer"], order["number"], place) for place in range(len(order["users"]))]
    for user, key in zip(order["users"], keys):
        yield "INSERT INTO deeds (writer, number, place, user_id) VALUES (%s, %s, %s, %s)", (*key, user)
    for user, key in zip(order["users"], keys):
        data = dict(zip(("writer", "number", "place"), key))
        yield "CALL carillon.carillon_emit(%s, %s, %s, %s)", (user, TYPE, f"fait, {key[2]}", json.dumps(data))


class Client:
    def __init__(self, place):
        self._place, self._connection = place, None

    def run(self, order):
        """Returns the last word, after an error with its number. An error ends the connection, and its transaction with it."""
        self._committing = False
        try:
            return self._run(order)
        except (pymysql.Error, OSError) as error:
            self._close()
            return f"{LOST if self._committing else FAILED}\t{error.args[0] if error.args else error!r}"

    def _run(self, order):
        if self._connection is None:
            self._connection = pymysql.connect(charset="utf8mb4", connect_timeout=3, read_timeout=15, write_timeout=15, **self._place)
        with self._connection.cursor() as cursor:
            for statement, values in itertools.islice(statements(order), order["steps"]):
                cursor.execute(statement, values)
        return self._end(order["ending"])

    def _end(self, ending):
        if ending == KILL:
            say(HALTED)
            sys.stdin.readline()
            sys.exit(0)
        if ending == CLOSE:
            self._close()
            return CLOSED
        if ending == ROLLBACK:
            self._connection.rollback()
            return ROLLED_BACK
        say(COMMITTING)
        self._committing = True
        if ending == KILL_AT_COMMIT:
            time.sleep(random.uniform(0, LINGERS_S))
        if ending == DROP:
            self._connection._execute_command(COMMAND.COM_QUERY, "COMMIT")
            self._close()
            return DROPPED
        self._connection.commit()
        return COMMITTED

    def _close(self):
        """Without a word to the server."""
        if self._connection is not None:
            self._connection._force_close()
        self._connection = None


def say(word):
    print(word, flush=True)


def main():
    client = Client(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        say(client.run(json.loads(line)))


if __name__ == "__main__":
    main()
