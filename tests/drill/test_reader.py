# SPDX-License-Identifier: MIT
"""What a reader of the drill complains of, frame by frame."""

import json

import pytest

from drill.reader import Reader


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
