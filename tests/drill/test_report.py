# SPDX-License-Identifier: MIT
"""What is struck, what took too long, and what was left."""

import copy

import pytest

from drill import plan, report
from drill.chaos import Outcome, lingering
from lib import leftovers


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
