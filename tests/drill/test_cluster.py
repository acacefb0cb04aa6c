# SPDX-License-Identifier: MIT
"""The cluster's drill judges: its plan, what it measures, and its limits. Nothing is started."""

import asyncio
import itertools
import time
import zlib
from collections import Counter

import pytest

from drill import cluster_chaos
from drill.audit import Verdict
from drill.cluster import compare_nodes, lateness, table
from drill.cluster_chaos import Change, Chaos, Outcome, Probe, impossible_kinds, name_of
from drill.cluster_plan import CUT, KINDS, LIMITS, LINK, SKEW, TENS, TWO, Strike, strikes
from drill.evidence import Event, Evidence


def plan(seed, count):
    return list(itertools.islice(strikes(seed), count))


def test_the_plan_is_the_seeds():
    assert plan(119, 30) == plan(119, 30) != plan(120, 30)


def test_each_thirty_have_everything():
    struck = [strike.kind for strike in plan(7, 60)]
    for number, first in enumerate(range(0, 60, 10)):
        assert Counter(struck[first : first + 10]) == Counter(TENS[number % 3])
    assert set(struck[:30]) == set(struck[30:]) == set(KINDS) == set(LIMITS)
    assert set(struck[:10]) == set(TENS[0])  # the short form


def test_links_and_clocks_take_turns():
    for kind in (LINK, SKEW):
        ways = [strike.both for strike in plan(7, 90) if strike.kind == kind]
        assert len(ways) > 5 and all(one != next_one for one, next_one in itertools.pairwise(ways))
    assert {strike.skew for strike in plan(7, 90) if strike.kind == SKEW} == {-3, 3}


def test_what_is_struck():
    for strike in plan(7, 90):
        for nodes in ("ab", "abc", "abcde"):
            node, other = strike.of(list(nodes))
            assert node in nodes and other in nodes and node != other
    assert {Strike(1, TWO, 0.5, "", 1, 1, other).of(["a", "b", "c"]) for other in (0.1, 0.9)} == {("b", "c"), ("b", "a")}
    nodes = list(Cluster.nodes.values())
    assert name_of(Strike(1, TWO, 0.0, "", 1, 1, 0.9), nodes) == "node1 and node3"
    assert name_of(Strike(1, LINK, 0.9, "", 1, 1, 0.1), nodes) == "node3 from node1"
    assert name_of(Strike(1, CUT, 0.9, "", 1, 1, 0.1), nodes) == "node3"
    assert str(Outcome(Strike(4, LINK, 0.9, "", 1, 1, 0.1, True), "node3 from node1")) == "#4 link both ways of node3 from node1"
    assert str(Outcome(Strike(5, SKEW, 0.9, "", 1, 1), "node3")) == "#5 skew -3 s of node3"


def test_what_a_machine_cannot_do(monkeypatch):
    monkeypatch.setattr(cluster_chaos, "CLOCK", "/nowhere/*")
    assert list(impossible_kinds()) == [SKEW] and "libfaketime" in impossible_kinds()[SKEW]
    monkeypatch.setattr(cluster_chaos, "CLOCK", __file__)
    assert impossible_kinds() == {}


class Node:
    def __init__(self, name):
        self.name = name


class Cluster:
    ws = "ws://127.0.0.1:1/ws"
    nodes = {name: Node(name) for name in ("node1", "node2", "node3")}
    said = []

    def command(self, *words):
        self.said.append(words)
        if words[0] == "start":
            raise AssertionError("it did not start")


@pytest.mark.parametrize("both", [False, True])
def test_a_link_is_cut_and_healed_at_the_same_nodes(both):
    cluster = Cluster()
    cluster.said = []
    chaos = Chaos(cluster, [], None, None, print)
    strike = Strike(1, LINK, 0.0, "", 0, 0, 0.9, both)
    asyncio.run(chaos.strike_link(strike, cluster.nodes["node1"]))
    cut, healed = [[words for words in cluster.said if words[0] == command] for command in ("cut", "heal")]
    assert cut == [("cut", "node1", "--deaf-to", "node3"), ("cut", "node3", "--deaf-to", "node1")][: 1 + both]
    assert [words[1] for words in healed] == [words[1] for words in cut]


def test_a_command_that_fails_is_a_violation():
    class Whole(Chaos):
        async def _until_whole(self, back):
            return 1.0

    chaos = Whole(Cluster(), [], probe_of([]), Crowd(), print)
    asyncio.run(chaos.strike(Strike(1, TWO, 0.0, "", 0, 0)))
    assert [outcome.failure for outcome in chaos.outcomes] == ["it did not start"]
    assert "it did not start" in next(iter(lateness(chaos.outcomes)))


class Crowd:
    def stretch(self, _since):
        return 1.0


def evidence_of(user=7, heads=2, content="a", deeds=1, stream=2):
    events = [Event(seq, "task.created", 1, f"r{seq}", f"event {seq}") for seq in (1, 2)]
    sums = [(seq, zlib.crc32(f"event {seq}".encode())) for seq in (1, 2)]
    return Evidence({user: events}, {user: heads}, {1: (user, 0, content)}, 0, {("w", 1, 1): deeds}, {user: sums[:stream]})


def compared(*evidence):
    verdict = Verdict()
    compare_nodes([f"node{number}" for number in range(1, len(evidence) + 1)], evidence, verdict)
    return list(verdict.lines())


def test_nodes_that_are_the_same():
    assert compared(evidence_of(), evidence_of(), evidence_of()) == []


@pytest.mark.parametrize(
    "other, said",
    [
        ({"heads": 3}, "nodes differ: node3 has another heads than node1"),
        ({"content": "b"}, "nodes differ: node3 has another tasks than node1"),
        ({"deeds": 2}, "nodes differ: node3 has another deeds than node1"),
        ({"stream": 1}, "missing in the stream: user 7: 1 of 2"),
    ],
)
def test_a_node_that_differs(other, said):
    assert compared(evidence_of(), evidence_of(), evidence_of(**other)) == [said]


def probe_of(changes):
    made = Probe(Cluster, 1, 1, 2, ("127.0.0.1", 1), 1)
    made.changes = changes
    return made


@pytest.fixture
def probe():
    made = probe_of([Change(float(n), n + 0.5) for n in (1, 2, 3, 7, 8)] + [Change(5.0)])
    for watcher in made.watchers:
        watcher.heard = {repr(change.sent): change.answered + 0.1 for change in made.changes if change.answered}
    return made


def test_an_outage_is_the_longest_gap(probe):
    assert probe.outage(1, 9) == 4.0
    assert probe.outage(1, 20) == 11.5  # it goes on until now
    assert probe.outage(5, 8.6) == 2.5


def test_the_slowest_event_is_that_of_the_slowest_watcher(probe):
    assert probe.slowest(0, 9) == pytest.approx(0.1)
    probe.watchers[1].heard["2.0"] += 3
    assert probe.slowest(0, 9) == pytest.approx(3.1)
    del probe.watchers[0].heard["7.0"]  # not heard until now
    assert probe.slowest(0, 9) == pytest.approx(time.time() - 7.5, abs=5)


def test_all_watchers_must_have_heard(probe):
    assert probe.heard_since(7.5) and not probe.heard_since(8.0)
    del probe.watchers[0].heard["8.0"]
    assert not probe.heard_since(7.5)


def outcome(writers=1.0, events=1.0, whole=1.0, stretch=1.0):
    strike = next(strike for strike in strikes(1) if strike.kind == CUT)
    return Outcome(strike, "node1", writers, events, whole, stretch)


def test_limits():
    most = LIMITS[CUT]
    assert list(lateness([outcome(*most)])) == []
    for index in range(3):
        values = [value + (0.1 if place == index else 0) for place, value in enumerate(most)]
        assert len(list(lateness([outcome(*values)]))) == 1
        assert list(lateness([outcome(*values, stretch=1.5)])) == []
    assert "not whole" in next(iter(lateness([outcome(whole=None)])))


def test_the_table_has_a_line_for_each_kind():
    lines = table([outcome(writers=2.0), outcome(writers=4.0), outcome(whole=None)])
    assert len(lines) == 2 and lines[1].split()[:2] == ["cut", "2"] and "3.0 s, 4.0 s" in lines[1]
