# SPDX-License-Identifier: MIT
"""Three EventSources from npm at /events, left to themselves while the notifier is killed, and while it is away."""

import signal
import subprocess

import pytest

from npm_client import Client
from lib.wait import eventually

KINDS = ("eventsource", "event-source-polyfill", "reconnecting-eventsource")


@pytest.fixture(scope="module")
def told(stack):
    """What each heard in the end, and the contents that it should have heard."""
    user = stack.new_users(1)[0]
    http = stack.client()
    contents = [f"n{number}" for number in range(12)]
    clients = {kind: Client("event_source.mjs", kind, f"{stack.http}/events?user_id={user}") for kind in KINDS}

    def all_of_them(what, deadline, is_so):
        for client in clients.values():
            eventually(lambda: is_so(client), deadline, f"{client.name}: {what}\n{client.lines[-5:]}")

    def say(count):
        for _ in range(count):
            assert http.post("/tasks", {"user_id": user, "content": contents[said[0]]}).status == 201
            said[0] += 1

    def heard_all(client):
        return client.contents()[-1:] == contents[said[0] - 1 : said[0]]

    said = [0]
    try:
        all_of_them("subscribes", 90, lambda client: client.seen("subscribe"))
        say(2)
        all_of_them("hears", 60, heard_all)

        stack.notifier().kill(signal.SIGKILL)
        say(3)
        all_of_them("comes back after a kill", 120, heard_all)

        service = stack.run_dir / "service" / "ws-notifier"
        subprocess.run(["s6-svc", "-wD", "-T", "60000", "-d", service], check=True)
        try:
            say(2)
            all_of_them("is told to wait", 120, lambda client: client.seen("told"))
            say(2)
        finally:
            subprocess.run(["s6-svc", "-u", service], check=True)
        all_of_them("comes back after an outage", 120, heard_all)
        say(3)
        all_of_them("goes on", 60, heard_all)
    finally:
        for client in clients.values():
            client.stop()
    stack.ready()
    return clients, contents


@pytest.mark.disturbs
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_once_and_in_order(stack, told, kind):
    clients, contents = told
    assert clients[kind].contents() == contents, clients[kind].lines


@pytest.mark.disturbs
@pytest.mark.parametrize("kind", KINDS)
def test_it_has_never_given_up(stack, told, kind):
    clients, _ = told
    assert clients[kind].seen("told")["frame"] == {"type": "error", "code": "unavailable", "message": "try again later"}
    assert not [line for line in clients[kind].lines if line["what"] == "error" and line["closed"]]


@pytest.mark.disturbs
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_claimed(stack, told, kind):
    """Each answer after the first went on from the last id."""
    clients, _ = told
    answers = [line["frame"] for line in clients[kind].lines if line["what"] == "subscribe"]
    assert len(answers) >= 3 and all(answer["recovered"] for answer in answers)
    assert sum(answer["replayed"] for answer in answers) > 0
