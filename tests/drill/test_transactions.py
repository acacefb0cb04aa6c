# SPDX-License-Identifier: MIT
"""The same of what another program's transactions left; and the writer that makes them."""

import asyncio
import json
import socket
import zlib

import pytest

from drill import sql_client
from drill.audit import audit
from drill.evidence import Event, Evidence
from drill.sql_client import CLOSE, CLOSED, COMMIT, COMMITTED, COMMITTING, DROP, DROPPED, FAILED, HALTED, KILL, LOST, ROLLBACK, ROLLED_BACK, TYPE
from drill.sql_writers import ABANDONED, SqlWriter, Transaction
from drill.test_audit import payload
from drill.writers import ACCEPTED, CREATE, DELETE, Pace, Write


def deed(seq, number, place, writer="q", kind=TYPE):
    data = {"writer": writer, "number": number, "place": place}
    return Event(seq, kind, 0, "", json.dumps({"type": "notification", "event": kind, "cursor": f"e1:{seq}", "message": None, "data": data}))


def a_world_of_transactions():
    """One for users 7 (twice) and 8, between two events of user 8's task; then each of the other ends."""
    transactions = [
        Transaction("q", 0, [7, 7, 8], COMMIT, 6, COMMITTED),
        Transaction("q", 1, [7], ROLLBACK, 2, ROLLED_BACK),
        Transaction("q", 2, [7, 8], CLOSE, 3, CLOSED),
        Transaction("q", 3, [8], KILL, 1, HALTED),
        Transaction("q", 4, [8], COMMIT, 2, FAILED, "2013"),
        Transaction("q", 5, [8], DROP, 2, DROPPED),
        Transaction("q", 6, [7, 8], COMMIT, 4, LOST, "2013"),
        Transaction("q", 7, [8], KILL, 2, COMMITTING),
    ]
    evidence = Evidence(
        journal={
            7: [deed(1, 0, 0), deed(2, 0, 1)],
            8: [Event(1, CREATE, 1, "r1", payload(1, CREATE, 1, "a")), deed(2, 0, 2), Event(3, DELETE, 1, "r2", payload(3, DELETE, 1, "a")), deed(4, 5, 0)],
        },
        deeds={("q", 0, 0): 7, ("q", 0, 1): 7, ("q", 0, 2): 8, ("q", 5, 0): 8},
    )
    return transactions, evidence


def judged(transactions, evidence):
    """As the audit does: the journal's numbers are given anew, so that only what is about transactions is left."""
    for events in evidence.journal.values():
        for seq, event in enumerate(events, 1):
            event.seq = seq
    evidence.heads = {user: len(events) for user, events in evidence.journal.items()}
    evidence.stream = {user: [(e.seq, zlib.crc32(e.payload.encode())) for e in events] for user, events in evidence.journal.items()}
    created = json.loads(payload(1, CREATE, 1, "a"))["task"]
    writes = [Write(CREATE, 8, 1, ACCEPTED, 201, created, ["r1"]), Write(DELETE, 8, 1, ACCEPTED, 204, None, ["r2"])]
    return audit(writes, [], evidence, transactions)


def test_transactions_content():
    verdict = judged(*a_world_of_transactions())
    assert verdict.violations == []
    found = {kind[13:]: count for kind, count in verdict.counts.items() if kind.startswith("transactions ")}
    assert found == {"accepted": 1, "undone": 1, "abandoned": 3, "unknown": 3, "unknown, done": 1}
    assert verdict.counts["emitted"] == 4 and verdict.counts["accepted"] == 2


def lose_event_of_commit(transactions, evidence):
    del evidence.journal[8][1]


def lose_row_of_commit(transactions, evidence):
    del evidence.deeds["q", 0, 1]


def keep_row_of_rollback(transactions, evidence):
    evidence.deeds["q", 1, 0] = 7


def keep_event_of_rollback(transactions, evidence):
    evidence.journal[7].append(deed(3, 1, 0))


def keep_event_of_killed(transactions, evidence):
    evidence.deeds["q", 3, 0] = 8
    evidence.journal[8].insert(2, deed(5, 3, 0))


def keep_row_of_unknown(transactions, evidence):
    evidence.deeds["q", 7, 0] = 8


def keep_half_of_unknown(transactions, evidence):
    evidence.deeds["q", 6, 0] = 7
    evidence.journal[7].append(deed(3, 6, 0))


def tell_twice(transactions, evidence):
    evidence.journal[7].append(deed(3, 0, 1))


def tell_another_user(transactions, evidence):
    evidence.journal[7].append(evidence.journal[8].pop())


def tell_in_another_order(transactions, evidence):
    evidence.journal[7].reverse()


def tell_later_transaction_first(transactions, evidence):
    events = evidence.journal[8]
    events[1], events[3] = events[3], events[1]


def tell_another_type(transactions, evidence):
    evidence.journal[7][1] = deed(2, 0, 1, kind="drill.undone")


def tell_unasked(transactions, evidence):
    evidence.journal[7].append(deed(3, 99, 0))


def refuse_arguments(transactions, evidence):
    transactions[4].why = "1644"


def commit_none(transactions, evidence):
    del transactions[0], evidence.journal[8][1], evidence.journal[7][:]
    evidence.deeds = {("q", 5, 0): 8}


@pytest.mark.parametrize(
    "damage, expected",
    [
        (lose_event_of_commit, {"lost transaction"}),
        (lose_row_of_commit, {"lost transaction"}),
        (keep_row_of_rollback, {"not committed, yet done"}),
        (keep_event_of_rollback, {"not committed, yet done"}),
        (keep_event_of_killed, {"not committed, yet done"}),
        (keep_row_of_unknown, {"half a transaction"}),
        (keep_half_of_unknown, {"half a transaction"}),
        (tell_twice, {"another event", "order of a writer"}),
        (tell_another_user, {"another event"}),
        (tell_in_another_order, {"order of a writer"}),
        (tell_later_transaction_first, {"order of a writer"}),
        (tell_another_type, {"another event"}),
        (tell_unasked, {"not asked for"}),
        (refuse_arguments, {"wrong answer"}),
        (commit_none, {"no transaction"}),
    ],
)
def test_transactions_complain(damage, expected):
    transactions, evidence = a_world_of_transactions()
    damage(transactions, evidence)
    assert {kind for kind, _ in judged(transactions, evidence).violations} == expected


def test_what_a_transaction_does():
    """Its own rows first, then events; users as they are given."""
    done = list(sql_client.statements({"writer": "q", "number": 3, "users": [7, 7, 9]}))
    assert [values[:4] for _, values in done[:3]] == [("q", 3, 0, 7), ("q", 3, 1, 7), ("q", 3, 2, 9)]
    assert [(values[0], json.loads(values[3])["place"]) for _, values in done[3:]] == [(7, 0), (7, 1), (9, 2)]


def test_a_writer_that_finds_no_database():
    """It goes on; it is dead while it is held (for a power cut), and then goes on with another process."""

    async def until(condition):
        for _ in range(6000):
            if condition():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"not within 60 s: {writer.transactions}")

    async def drill():
        running = asyncio.create_task(writer.run())
        await until(lambda: len(writer.transactions) > 2)
        before = writer._process
        writer.hold()
        assert not writer._runs()
        count = len(writer.transactions)
        writer.release()
        await until(lambda: len(writer.transactions) > count + 2)
        assert writer._process is not before
        writer.stopping = True
        await running

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nothing listens there
        place = {"host": "127.0.0.1", "port": closed.getsockname()[1], "user": "x", "password": "x", "database": "x"}
        writer = SqlWriter("q", place, [7, 8], Pace(1000), 1)
        asyncio.run(drill())
    assert {transaction.outcome for transaction in writer.transactions} == {ABANDONED}
    assert {transaction.why for transaction in writer.transactions} <= {"2003", ""}
