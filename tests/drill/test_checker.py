# SPDX-License-Identifier: MIT
"""Tests of the drill's own checks: each must find what it is made for."""

import asyncio
import copy
import json
import socket
import zlib
from array import array

import pytest

from drill import plan, report, sql_client
from drill.audit import audit
from drill.chaos import Outcome, lingering
from drill.crowd import stretch
from drill.evidence import Event, Evidence
from drill.reader import Reader
from drill.sql_client import CLOSE, CLOSED, COMMIT, COMMITTED, COMMITTING, DROP, DROPPED, FAILED, HALTED, KILL, LOST, ROLLBACK, ROLLED_BACK, TYPE
from drill.sql_writers import ABANDONED, SqlWriter, Transaction
from drill.writers import ACCEPTED, COMPLETE, CREATE, DELETE, REFUSED, REJECTED, UNKNOWN, Pace, Write, outcome_of
from lib import leftovers

# ---- readers, frame by frame -------------------------------------------------------------------------


def event(seq, user=7):
    return json.dumps({"type": "notification", "cursor": f"e1:{seq}", "task": {"user_id": user}})


def answer(seq, replayed=0, **more):
    more = {"until": f"e1:{seq + replayed}", **more} if replayed else more
    return json.dumps({"type": "subscribe", "user_id": 7, "cursor": f"e1:{seq}:900", "recovered": True, "replayed": replayed, **more})


def heartbeat(seq):
    return json.dumps({"type": "heartbeat", "user_id": 7, "cursor": f"e1:{seq}:1000"})


RESET = json.dumps({"type": "reset", "user_id": 7, "cursor": "e1:3", "reason": "lost"})
BOLD_RESET = json.dumps({"type": "reset", "user_id": 7, "cursor": "e1:9:1000", "reason": "lost"})
REFUSAL = answer(3, recovered=False, reason="truncated")


def reader_of(*frames, since="e1:3:800", plain=False):
    reader = Reader("client", 7, plain)
    if since and not plain:
        reader.reloaded(since)
    reader.subscription()
    for frame in frames:
        reader.take(frame)
    return reader


def test_reader_content():
    reader = reader_of(answer(3, 2), event(4), event(5), heartbeat(5), event(6), event(7), heartbeat(7))
    assert reader.violations == []
    assert (reader.last, reader.cursor, list(reader.seqs)) == (7, "e1:7:1000", [4, 5, 6, 7])
    assert (reader.resumes, reader.recovered, reader.replayed) == (1, 1, 2)


@pytest.mark.parametrize(
    "frames, violation",
    [
        ([answer(3), event(5)], "gap: event 5 after 3"),
        ([answer(3), event(4), event(4)], "doubled: event 4 after 4"),
        ([answer(3), event(4), event(5), event(4)], "doubled: event 4 after 5"),
        ([answer(3), event(3)], "doubled: event 3 after 3"),
        ([answer(3, 2), event(5), event(4)], "gap: event 5 after 3"),
        ([answer(3, 2), event(4), heartbeat(4)], "before the replay had reached 5"),
        ([answer(5, 2)], "since e1:3:800 it was told"),
        ([answer(3, 2, until="e1:4")], "since e1:3:800 it was told"),
        ([answer(4, 0), event(5)], "since e1:3:800 it was told"),
        ([answer(3), BOLD_RESET], "whose cursor may not be kept after event 3"),
        ([event(4)], "event 4 before the answer"),
        ([answer(3), answer(3)], "a second answer"),
        ([answer(3), heartbeat(4)], "heartbeat says 4 after event 3"),
        ([answer(3), heartbeat(2)], "heartbeat says 2 after event 3"),
        ([answer(3), '{"type":"error","code":"bad_request"}'], "unexpected frame"),
    ],
)
def test_reader_complains(frames, violation):
    assert violation in " | ".join(reader_of(*frames).violations)


@pytest.mark.parametrize("told", [[REFUSAL], [answer(3), RESET]])
def test_reader_told(told):
    """A gap that the client was told of is no violation; after reading everything again the rule holds as before."""
    reader = reader_of(*told, event(10))
    assert reader.needs_reload and reader.violations == []
    assert sum(reader.refusals.values()) == 1
    reader.reloaded("e1:12:1100")
    reader.subscription()
    for frame in (answer(12), event(14)):
        reader.take(frame)
    assert "gap: event 14 after 12" in reader.violations[0]


def test_reader_cut_in_the_middle_of_a_replay():
    """It keeps the cursor of every frame: after the answer alone it still asks for the whole replay."""
    reader = reader_of(answer(3, 2))
    assert reader.subscription()["since"] == "e1:3:900"
    reader = reader_of(answer(3, 2), event(4))
    assert reader.subscription()["since"] == "e1:4"


def test_reader_of_nothing_known():
    """since:null: the notifier names the beginning; 0 may mean that it knows no event."""
    assert reader_of(answer(0), event(5), event(6), since=None).violations == []
    assert "gap" in reader_of(answer(4), event(6), since=None).violations[0]
    assert "gap" in reader_of(answer(0), event(5), event(7), since=None).violations[0]


def test_reader_plain():
    echo = json.dumps({"type": "subscribe", "user_id": 7})
    assert reader_of(echo, event(5), event(6), plain=True).violations == []
    assert "gap" in reader_of(echo, event(5), event(7), plain=True).violations[0]
    assert "echo" in reader_of(answer(4), plain=True).violations[0]


def test_reader_goes_back():
    reader = reader_of(answer(3), event(4))
    reader.reloaded("e1:2:1000")
    assert "is behind event 4" in reader.violations[0]


# ---- the audit ---------------------------------------------------------------------------------------


def payload(seq, kind, task, content, status=0):
    return json.dumps(
        {"type": "notification", "event": kind, "cursor": f"e1:{seq}", "task": {"id": task, "user_id": 7, "status": status, "content": content}}
    )


def a_good_world():
    """User 7: task 1 created, completed; task 2 created and deleted."""
    evidence = Evidence(
        journal={
            7: [
                Event(1, CREATE, 1, "r1", payload(1, CREATE, 1, "a")),
                Event(2, COMPLETE, 1, "r2", payload(2, COMPLETE, 1, "a", 1)),
                Event(3, CREATE, 2, "r3", payload(3, CREATE, 2, "b")),
                Event(4, DELETE, 2, "r4", payload(4, DELETE, 2, "b")),
            ]
        },
        heads={7: 4},
        tasks={1: (7, 1, "a")},
    )
    sums = [zlib.crc32(e.payload.encode()) for e in evidence.journal[7]]
    evidence.stream = {7: [(1, sums[0]), (2, sums[1]), (1, sums[0]), (2, sums[1]), (3, sums[2]), (4, sums[3])]}

    def write(kind, task, request, told=None):
        return Write(kind, 7, task, ACCEPTED, 200, told, [request])

    tasks = [json.loads(e.payload)["task"] for e in evidence.journal[7]]
    writes = [write(CREATE, 1, "r1", tasks[0]), write(COMPLETE, 1, "r2", tasks[1]), write(CREATE, 2, "r3", tasks[2]), write(DELETE, 2, "r4")]
    reader = Reader("client", 7)
    reader.answered, reader.last = True, 4
    reader.seqs, reader.checksums = array("Q", [1, 2, 3, 4]), array("L", sums)
    return writes, [reader], evidence


def kinds(world):
    return {kind for kind, _ in audit(*world).violations}


def test_audit_content():
    verdict = audit(*a_good_world())
    assert verdict.violations == [] and verdict.total == 0
    assert (verdict.counts["accepted"], verdict.counts["events"], verdict.counts["publications"]) == (4, 4, 6)


def lose_event(writes, readers, evidence):
    del evidence.journal[7][1]


def lose_all_of_a_write(writes, readers, evidence):
    del evidence.journal[7][3]
    evidence.heads[7] = 3


def lose_row(writes, readers, evidence):
    del evidence.tasks[1]


def change_row(writes, readers, evidence):
    evidence.tasks[1] = (7, 0, "a")


def keep_deleted_row(writes, readers, evidence):
    evidence.tasks[2] = (7, 0, "b")


def do_twice(writes, readers, evidence):
    evidence.journal[7].append(Event(5, COMPLETE, 1, "r2", payload(5, COMPLETE, 1, "a", 1)))
    evidence.heads[7] = 5


def do_unasked(writes, readers, evidence):
    evidence.journal[7].append(Event(5, COMPLETE, 1, "who", payload(5, COMPLETE, 1, "a", 1)))


def refuse_and_do(writes, readers, evidence):
    writes[1].outcome = REFUSED


def refuse_without_a_word(writes, readers, evidence):
    writes[1].bare = 1


def reject(writes, readers, evidence):
    writes[1].outcome = REJECTED


def tell_another_task(writes, readers, evidence):
    writes[1].answer = {**writes[1].answer, "status": 0}


def leave_in_outbox(writes, readers, evidence):
    evidence.outbox = 1


def disorder_in_stream(writes, readers, evidence):
    stream = evidence.stream[7]
    stream[4], stream[5] = stream[5], stream[4]


def cut_stream(writes, readers, evidence):
    del evidence.stream[7][-1]


def other_bytes_in_stream(writes, readers, evidence):
    evidence.stream[7][-1] = (4, 1)


def other_bytes_to_reader(writes, readers, evidence):
    readers[0].checksums[2] += 1


def reader_behind(writes, readers, evidence):
    readers[0].last = 3


def tell_reader_to_reload(writes, readers, evidence):
    readers[0].refusals["truncated"] = 1


def reader_complains(writes, readers, evidence):
    readers[0].violation("gap: event 4 after 2")


@pytest.mark.parametrize(
    "damage, expected",
    [
        (lose_event, {"journal", "lost write", "row"}),
        (lose_all_of_a_write, {"lost write"}),
        (lose_row, {"row"}),
        (change_row, {"row"}),
        (keep_deleted_row, {"row"}),
        (do_twice, {"done twice"}),
        (do_unasked, {"not asked for"}),
        (refuse_and_do, {"refused, yet done"}),
        (refuse_without_a_word, {"wrong answer"}),
        (reject, {"rejected, yet done", "wrong answer"}),
        (tell_another_task, {"another event"}),
        (leave_in_outbox, {"outbox"}),
        (disorder_in_stream, {"order in the stream"}),
        (cut_stream, {"missing in the stream"}),
        (other_bytes_in_stream, {"bytes in the stream"}),
        (other_bytes_to_reader, {"other bytes"}),
        (reader_behind, {"missing"}),
        (tell_reader_to_reload, {"told without need"}),
        (reader_complains, {"reader"}),
    ],
)
def test_audit_complains(damage, expected):
    world = copy.deepcopy(a_good_world())
    damage(*world)
    assert expected & kinds(world), audit(*world).violations


def test_many_of_a_kind(tmp_path):
    verdict = audit(*a_good_world())
    assert list(report.violations(verdict, [], tmp_path)) == ["violations      none"] and list(tmp_path.iterdir()) == []
    for number in range(report.SHOWN + 5):
        verdict.add("lost write", f"r{number}")
    lines = list(report.violations(verdict, ["cut 7: late"], tmp_path))
    assert lines[0].split() == ["violations", str(report.SHOWN + 6)]
    assert lines[-3:] == ["  lost write: 5 more", "  cut 7: late", f"  all of them: {tmp_path / 'violations'}"]
    every = (tmp_path / "violations").read_text().splitlines()
    assert every == [*(f"lost write: r{number}" for number in range(report.SHOWN + 5)), "cut 7: late"]


def test_unknown_may_have_happened():
    writes, readers, evidence = a_good_world()
    writes[1].outcome = UNKNOWN
    verdict = audit(writes, readers, evidence)
    assert verdict.total == 0 and verdict.counts["unknown, done"] == 1


def test_told_to_reload_may_be_needed():
    world = a_good_world()
    tell_reader_to_reload(*world)
    verdict = audit(*world, may_be_told=True)
    assert verdict.total == 0 and verdict.counts["told: truncated"] == 1


def test_outcomes():
    assert [outcome_of(status) for status in (200, 201, 204, 404, 422, 429, 500, 502, 503, 504)] == [
        ACCEPTED, ACCEPTED, ACCEPTED, REJECTED, REJECTED, REFUSED, UNKNOWN, UNKNOWN, REFUSED, UNKNOWN,
    ]  # fmt: skip


# ---- transactions of another program --------------------------------------------------------------------


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


# ---- the plan, what took too long, what was left -----------------------------------------------------


def first_strikes(count, *arguments):
    planned = plan.strikes(*arguments)
    return [next(planned) for _ in range(count)]


def test_plan_comes_from_the_seed():
    assert first_strikes(100, 1) == first_strikes(100, 1)
    assert first_strikes(100, 1) != first_strikes(100, 2)
    assert {strike.part.name for strike in first_strikes(500, 1)} == set(plan.NAMES)
    assert {strike.part.name for strike in first_strikes(50, 1, "rabbitmq")} == {"rabbitmq"}


def test_too_late():
    strike = first_strikes(1, 1, "notifier")[0]
    assert report.late([Outcome(strike, 2.9)]) == []
    assert "limit 3 s" in report.late([Outcome(strike, 3.1)])[0]
    assert report.late([Outcome(strike, 3.1, overlapped=True)]) == []
    assert report.late([Outcome(strike, 5.9, stretch=2.0)]) == []
    assert report.late([Outcome(strike, 6.1, stretch=2.0)])
    assert "not recovered" in report.late([Outcome(strike, None, overlapped=True)])[0]


def test_how_crowded_it_is():
    assert stretch([1, 5, 3], cores=2) == 1.0
    assert stretch([12, 4], cores=2) == 2.0
    assert stretch([], cores=2) == 1.0


def test_lingering():
    restart = next(s for s in plan.strikes(1, "api-worker") if s.way == plan.RESTART)
    assert lingering([Outcome(restart, 1.0, left_after=4.0)]) == []
    assert "gone only after 7.0 s" in lingering([Outcome(restart, 8.0, left_after=7.0)])[0]


@pytest.mark.parametrize(
    "name, value, line",
    [
        ("processes", {"fcgi-api": 9, "ws-notifier": 2}, "8 processes before, 9 after"),
        ("descriptors", {"ws-notifier": 40}, "20 descriptors before, 40 after"),
        ("memory_kb", {"ws-notifier": 90_000}, "9000 KiB before"),
        ("database", 81, "81 database connections of 8 workers"),
        ("broker", 11, "11 broker connections"),
        ("queues", ["tasks_completed", "x"], "queues before"),
    ],
)
def test_leftovers(name, value, line):
    before = leftovers.Snapshot(
        processes=leftovers.Counter({"fcgi-api": 8, "ws-notifier": 2}),
        descriptors={"ws-notifier": 20},
        memory_kb={"ws-notifier": 9000},
        database=16,
        broker=10,
        queues=["tasks_completed"],
    )
    after = copy.deepcopy(before)
    assert leftovers.compare(before, after) == []
    setattr(after, name, leftovers.Counter(value) if name == "processes" else value)
    assert any(line in found for found in leftovers.compare(before, after))
