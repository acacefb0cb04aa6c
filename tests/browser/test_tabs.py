# SPDX-License-Identifier: MIT
"""The package in tabs of one origin: one socket for all, as long as there is a worker for it."""

import signal

import pytest

from lib.wait import eventually

LISTEN = """
const [user, share, crashes, done] = arguments;
if (!share) delete window.SharedWorker;
if (crashes) addEventListener('pagehide', (event) => event.stopImmediatePropagation());
window.heard = [];
import('/client/index.js').then(({ listen }) => {
  window.feed = listen({
    url: location.origin + '/', user,
    start: () => {},
    event: ({ task }) => heard.push(task.content),
    state: ({ name }) => { window.state = name; },
  });
  done(true);
}, (error) => done(String(error)));
"""


@pytest.fixture
def listening(stack, browser, user):
    """listening() is a tab of the service's own, without the page, that listens to the user."""

    def open_one(share=True, crashes=False):
        tab = browser().open(f"{stack.http}/problems/validation")
        said = tab.here().driver.execute_async_script(LISTEN, user, share, crashes)
        assert said is True, said
        eventually(lambda: tab.run("return window.state") == "live", 60, "the tab is live")
        return tab

    return open_one


def sockets(stack):
    """The number of the notifier's sockets."""
    for line in stack.client().get("/notifier/metrics").text.splitlines():
        if line.startswith("carillon_notifier_clients "):
            return int(line.split()[1])
    raise AssertionError("no carillon_notifier_clients")


def no_socket_is_left(stack):
    eventually(lambda: sockets(stack) == 0, 60, "the sockets of tests before are closed")


def heard(tab, contents):
    eventually(lambda: tab.run("return window.heard") == contents, 60, f"{contents} in each tab")


@pytest.mark.disturbs
def test_one_socket_for_all_tabs(stack, http, user, listening):
    no_socket_is_left(stack)
    first, second, third = listening(), listening(), listening(crashes=True)
    assert sockets(stack) == 1
    assert first.violations() == []

    def say(content):
        http.post("/tasks", {"user_id": user, "content": content})

    say("one")
    for tab in (first, second, third):
        heard(tab, ["one"])
    first.close()
    say("two")
    heard(second, ["one", "two"])
    stack.notifier().kill(signal.SIGKILL)
    say("three")
    for tab in (second, third):
        heard(tab, ["one", "two", "three"])
    eventually(lambda: sockets(stack) == 1, 60, "one socket again")
    second.run("window.feed.stop()")
    third.close()
    eventually(lambda: sockets(stack) == 0, 60, "the last tab takes the socket with it, though it could not say so")


def test_without_a_worker_each_has_its_own(stack, http, user, listening):
    no_socket_is_left(stack)
    tabs = [listening(share=False) for _ in range(2)]
    assert sockets(stack) == 2
    http.post("/tasks", {"user_id": user, "content": "one"})
    for tab in tabs:
        heard(tab, ["one"])
