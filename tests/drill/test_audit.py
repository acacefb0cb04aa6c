# SPDX-License-Identifier: MIT
"""Each damage of a good world must be found by the audit."""

import copy
import json
import zlib
from array import array

import pytest

from drill import report
from drill.audit import audit
from drill.evidence import Event, Evidence
from drill.reader import Reader
from drill.writers import ACCEPTED, COMPLETE, CREATE, DELETE, REFUSED, REJECTED, UNKNOWN, Write, outcome_of


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
