# SPDX-License-Identifier: MIT
"""Tests of the attacks' own checks: each must find what it is made for."""

import random

import pytest

from attack import report, seeds
from attack.blast import chance_of
from attack.judge import Judge, disclosed
from attack.main import Outcome
from attack.mutator import Mutator
from attack.plan import ATTACKS
from attack.wire import Answer

PROBLEM = {"content-type": "application/problem+json", "server": "nginx"}


def judged(status, body=b"{}", sent=b"GET / HTTP/1.1", head=b"HTTP/1.1 x", **headers):
    judge = Judge()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    judge.answer(sent, Answer(status, head, body, {**PROBLEM, **names}))
    return judge.findings


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 422, 501, 505])
def test_content(status):
    assert judged(status) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_failures_that_nobody_meant(status):
    assert len(judged(status)) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_overload_says_when_to_come_back(status):
    assert judged(status, retry_after="1") == []
    assert "without Retry-After" in judged(status)[0]


@pytest.mark.parametrize(
    "text",
    [b"You have an error in your SQL syntax", b"MariaDB server", b"INSERT INTO tasks VALUES", b"select id from tasks", b"errno 2",
     b"open /usr/share/x", b'"/etc/passwd"', b"store_tasks.c:120", b"at 0x7f001234abcd", b"nginx/1.22.1", b"libwebsockets", b"amqp",
     b"UPDATE users SET event_seq", b"Assertion `x' failed", b"Traceback (most recent call last)", b"UPDATE tasks SET x"],
)  # fmt: skip
def test_words_of_the_inside(text):
    assert judged(400, b'{"detail":"%s"}' % text.replace(b'"', b"'"))
    assert judged(200, b"{}", head=b"HTTP/1.1 200 OK\r\nX: " + text)


@pytest.mark.parametrize("text", [b"/tasks", b"/users/1/events", b"application/json", b"The request is not well-formed HTTP.", b"status"])
def test_words_that_are_for_everybody(text):
    assert disclosed(b"", text) == []


def test_what_was_asked_may_come_back():
    body = b'{"instance":"/etc/passwd"}'
    assert judged(404, body, b"GET /%65tc/passwd HTTP/1.1") == []
    assert judged(404, body) != []


def test_what_users_wrote_is_no_disclosure():
    assert judged(200, b'[{"content":"a \\"quoted\\" mysql"}]') == []
    assert judged(200, b'[{"content":"x","more":"mysql"}]') != []


def test_errors_are_problems():
    assert judged(400, b"<h1>400</h1>", content_type="text/html") != []
    assert judged(404, b"<h1>404</h1>", content_type="text/html") == []
    assert judged(404, b"<center>nginx</center>", content_type="text/html") != []
    assert judged(308, b"<center>nginx</center>", content_type="text/html") == []
    assert judged(308, b'{"detail":"mysql"}') != []
    assert judged(400, b"{") == ["JSON that is none\n    sent     b'GET / HTTP/1.1'\n    answered b'HTTP/1.1 x' b'{'"]


def test_who_answers():
    assert judged(200, server="nginx/1.22.1") != []
    assert judged(200, server="libwebsockets") != []
    assert judged(200, x_powered_by="C") != []


def test_the_same_seed_makes_the_same_inputs():
    mutator = Mutator(seeds.bodies(), seeds.words())
    made = lambda seed: [mutator.make(chance_of(seed, "bodies", number)) for number in range(300)]
    assert made(1) == made(1)
    assert made(1) != made(2)
    assert len(set(made(1))) > 250


@pytest.mark.parametrize("seeds_of", [seeds.bodies, seeds.paths, seeds.headers, seeds.messages])
def test_inputs_are_made_of_any_seed(seeds_of):
    mutator, chance = Mutator(seeds_of(), seeds.words()), random.Random(1)
    assert len(mutator.seeds) > 20
    for _ in range(3000):
        assert isinstance(mutator.make(chance), bytes)


def test_the_table_has_a_row_for_each():
    outcomes = []
    for attack in ATTACKS:
        judge = Judge()
        judge.counts.update({200: 1, 404: 2, 503: 3, 501: 4, "closed": 5})
        outcomes.append(Outcome(attack.name, judge, ["x"], judge.sent, 1.0, 0.001, 0.002, "worker 8→8"))
    lines = report.table(outcomes)
    assert len(lines) == 2 + len(ATTACKS)
    assert "| 15 " in lines[2] and "5 closed, 4 501" in lines[2]
