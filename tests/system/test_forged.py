# SPDX-License-Identifier: MIT
"""Events forged by another program with an account at the broker: events with a number are believed only from the
API's account. The last test makes this stack believe in an API of an earlier version."""

import json
import signal

import pika
import pytest

from conftest import PATIENT, finish
from lib.amqp import Publisher
from lib.stack import Stack
from lib.wait import eventually

KNOWN = "tasks_completed.known"


@pytest.fixture(scope="module")
def forged():
    """A stack of its own, which begins without history. No event is held back, so a believed one has its effect at once."""
    made = Stack.start(API_WORKERS=2, HOLE_WAIT_S=0, ADMINER_PORT="off", **PATIENT)
    yield made
    finish(made, "forged")


@pytest.fixture
def http(forged):
    return forged.client()


@pytest.fixture
def user(forged):
    return forged.new_users(1)[0]


def forge(stack, user, seq, **more):
    body = {"type": "notification", "event": "task.created", "cursor": f"{stack.epoch()}:{seq}", "message": "forged", "task": {"id": 1, "user_id": user}}
    publisher = stack.publisher()
    try:
        headers = {"user_id": user, "seq": seq, "epoch": stack.epoch()}
        publisher.publish(json.dumps(body).encode(), headers=headers, type="task.created", **{"key": "task.created", **more})
    finally:
        publisher.close()


def write(http, user, content):
    assert http.post("/tasks", {"user_id": user, "content": content}).status == 201


def hears(socket, *contents):
    """These, and nothing else: no forged one, and no reset."""
    for content in contents:
        frame = socket.recv_until(lambda frame: frame["type"] != "heartbeat")
        assert frame["type"] == "notification" and frame["task"]["content"] == content, frame


@pytest.mark.parametrize("ahead", [1, 2, 1_000_000, 2**52])
@pytest.mark.parametrize("way", [{}, {"exchange": "", "key": "tasks_completed"}], ids=["exchange", "queue"])
def test_a_number_that_is_made_up(forged, http, user, ahead, way):
    """A number far ahead made all of the user's real events old, until the notifier was restarted; the next number
    replaced the user's real event."""
    socket = forged.socket()
    answer = socket.subscribe(user, since=None)
    write(http, user, "one")
    hears(socket, "one")
    forge(forged, user, 1 + ahead, **way)
    write(http, user, "two")
    hears(socket, "two")
    again = forged.socket()
    assert again.subscribe(user, since=answer["cursor"])["replayed"] == 2
    hears(again, "one", "two")


def test_before_a_user_has_any(forged, http, user):
    socket = forged.socket()
    socket.subscribe(user)
    forge(forged, user, 1_000_000)
    write(http, user, "one")
    hears(socket, "one")


def test_the_broker_lets_no_name_be_borrowed(forged, user):
    for name in ("carillon-api", "carillon-notifier"):
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
            forge(forged, user, 1, user_id=name)
        assert refused.value.reply_code == 406, refused.value
    forge(forged, user, 1, user_id="admin")  # its own


def test_in_the_history_that_is_read_at_a_start(forged, http, user):
    socket = forged.socket()
    cursor = socket.subscribe(user, since=None)["cursor"]
    write(http, user, "one")
    hears(socket, "one")
    forge(forged, user, 1_000_000)
    forge(forged, user, 2)
    write(http, user, "two")
    hears(socket, "two")
    before = forged.notifier()
    before.kill(signal.SIGKILL)
    eventually(lambda: [p for p in forged.processes("ws-notifier") if p.name == "ws-notifier" and p.pid != before.pid], 60, "another notifier")
    forged.ready()
    again = forged.socket()
    assert again.subscribe(user, since=cursor)["replayed"] == 2
    hears(again, "one", "two")
    write(http, user, "three")
    hears(again, "three")


def test_what_the_api_sends_has_its_account(forged, http, user):
    write(http, user, "one")
    stream = forged.stream()
    assert stream.wait_for(user, 1).account == "carillon-api"
    assert {message.account for message in stream.sync().messages if message.type == "carillon.epoch"} == {"carillon-api"}
    stream.close()


def test_beside_an_api_of_before(forged, http, user):
    """It puts no account on its beacons, so events without one are believed, too: those that it sends during an upgrade."""
    socket = forged.socket()
    socket.subscribe(user)
    publisher = forged.publisher()
    publisher.publish(b"{}", exchange=KNOWN, key="", type="carillon.epoch", headers={"epoch": forged.epoch()})
    publisher.close()
    forge(forged, user, 1)
    frame = socket.notification()
    assert frame["message"] == "forged" and frame["cursor"].endswith(":1")
