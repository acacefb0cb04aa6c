# SPDX-License-Identifier: MIT
"""Networks that block WebSockets, dead sockets, and refusals: what the page does and shows."""

import signal
import time

import pytest

from front import Front
from lib.wait import eventually
from page import seen_once


@pytest.fixture
def front():
    """front(stack) is a second nginx in front of it."""
    started = []

    def start(stack):
        started.append(Front(stack.http))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_under_a_path_and_without_websockets(stack, browser, front, http, user, task):
    """Every address is relative to the page, and where no WebSocket passes the events come as a stream."""
    base = f"{front(stack).http}/plain/"
    tab = browser().open(f"{base}index.html?user_id={user}").live()
    assert tab.run("return window.witness.sockets.length") == 2, "two handshakes have failed"
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    seen_once(tab, [("task.completed", "Acheter du pain")])
    tab.write("typed here")
    seen_once(tab, [("task.completed", "Acheter du pain"), ("task.created", "typed here")])
    asked = [url for url in browser().requests() if url.startswith(("http", "ws"))]
    assert [url for url in asked if not url.split("://")[1].startswith(base.split("://")[1])] == []
    assert any("/plain/events?" in url for url in asked)
    assert tab.violations() == [] and tab.errors() == []


def test_neither_websockets_nor_streams(stack, browser, front, http, user, task):
    """Then the journal is read every few seconds, and at once when the user asks for it."""
    tab = browser().open(f"{front(stack).http}/deaf/index.html?user_id={user}")
    eventually(lambda: tab.state == "delayed", 60, "the page finds its way")
    assert tab.text("#connection").startswith("Delayed.")
    http.patch(f"/tasks/{task['id']}", {"content": "by itself"})
    seen_once(tab, [("task.updated", "by itself")], deadline=60)
    assert tab.tasks() == [(task["id"], "by itself", False)]
    stack.sql(f"UPDATE tasks SET content = 'past the API' WHERE id = {task['id']}")
    http.post("/tasks", {"user_id": user, "content": "asked for"})
    tab.run("document.getElementById('retry').click()")
    seen_once(tab, [("task.updated", "by itself"), ("task.created", "asked for")])
    eventually(lambda: [content for _, content, _ in tab.tasks()] == ["asked for", "past the API"], 60, "the list itself is read")


def test_a_proxy_that_changes_the_host(guarded_stack, browser, front):
    """The page's origin is refused, not the user's link, and the page says so."""
    user = guarded_stack.new_users(1)[0]
    base = front(guarded_stack).http
    token = guarded_stack.issuer.token(user)
    tab = browser().open(f"{base}/renamed/index.html?user_id={user}#token={token}")
    said = f"The service does not know this page’s address, {base}."
    eventually(lambda: tab.text("#page-error").startswith(said), 60, "what is wrong")
    assert tab.state == "offline"


def test_a_name_that_is_not_the_services(stack, browser, front, user):
    """An open service answers only by its own names, and the page says so."""
    base = front(stack).http
    tab = browser().open(f"{base}/foreign/index.html?user_id={user}")
    said = f"The service does not know this page’s address, {base}."
    eventually(lambda: tab.text("#page-error").startswith(said), 60, "what is wrong")


@pytest.mark.disturbs
def test_a_dead_socket_is_noticed(stack, visit, user, task):
    """A frozen notifier acts like a network that drops everything. The page notices when it is shown again, also when
    the clock has been set back."""
    tab = visit(user)
    tab.run("const now = Date.now; Date.now = () => now() - 7200000;")
    stack.notifier().kill(signal.SIGSTOP)
    try:
        tab.run("window.dispatchEvent(new Event('online'))")
        began = time.monotonic()
        eventually(lambda: tab.state != "live", 60, "it is no longer live")
        assert time.monotonic() - began < 25, "5 s after the question; without one it takes more than 30 s"
        seconds = "return Number(document.getElementById('connection-countdown').innerText.match(/\\d+/) ?? 0)"
        eventually(lambda: 0 < tab.run(seconds) <= 30, 60, "the countdown is a sane one")
    finally:
        stack.notifier().kill(signal.SIGCONT)
    tab.run("document.getElementById('retry').click()")
    tab.live()
    stack.client().patch(f"/tasks/{task['id']}", {"status": 1})
    seen_once(tab, [("task.completed", "Acheter du pain")])


def test_who_comes_back_to_the_page_asks(visit, user):
    """Every sign that the machine or the network was away makes the page ask the server, which answers."""
    tab = visit(user)
    tab.run(
        """const socket = window.witness.sockets.at(-1);
           window.asked = 0;
           const send = socket.send.bind(socket);
           socket.send = (text) => {
             if (text === '{"type":"ping"}') window.asked++;
             send(text);
           };
           const hear = socket.onmessage;
           window.answered = 0;
           socket.onmessage = (message) => {
             if (message.data === '{"type":"pong"}') window.answered++;
             hear(message);
           };
           Object.defineProperty(document, 'hidden', { value: false });"""
    )
    signs = [
        "document.dispatchEvent(new Event('visibilitychange'))",
        "document.dispatchEvent(new Event('resume'))",
        "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))",
        "dispatchEvent(new Event('online'))",
        "dispatchEvent(new Event('offline'))",
    ]
    for number, sign in enumerate(signs, 1):
        tab.run(sign)
        eventually(lambda: tab.run("return [window.asked, window.answered]") == [number, number], 60, sign)
    assert tab.state == "live"
    assert tab.run("return window.witness.sockets.length") == 1


@pytest.mark.parametrize(
    "language, words",
    [("en-US", "This user has too many pages open. "), ("fr-FR", "Trop de pages de cet utilisateur sont ouvertes. ")],
)
def test_over_a_limit(visit, user, language, words):
    """The page names the limit, not just "Offline"."""
    tab = visit(user, language=language)
    tab.server_closes(4429, "too many connections of this user; retry after 30 s")
    assert tab.state == "offline"
    assert tab.text("#page-error").startswith(words)
    tab.run("document.getElementById('retry').click()")
    tab.live()
    assert tab.errors() == []
