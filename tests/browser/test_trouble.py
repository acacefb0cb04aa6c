# SPDX-License-Identifier: MIT
"""Failures around the page: refusals, lost answers, parts that are away. Nothing may be lost."""

import re
import signal

import pytest
from selenium.webdriver.common.keys import Keys

from lib.wait import eventually
from page import away, kinds, seen_once


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "Write what is to be done first."),
        ("  \t ", "Write what is to be done first."),
        ("🥚" * 1001, "At most 1000 characters; these are 1001."),
    ],
    ids=["empty", "blank", "too long"],
)
def test_a_task_that_cannot_be(visit, user, content, words):
    tab = visit(user)
    tab.write(content)
    assert tab.text("#create-error") == words
    field = tab.one("#content")
    assert field.get_attribute("value") == content, "what was typed is still there"
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == "create-error"
    tab.write("🥚" * 1000)
    eventually(lambda: len(tab.tasks()) == 1, 60, "a thousand of them are fine")
    assert tab.errors() == []
    assert tab.one("#content").get_attribute("aria-invalid") is None


@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
def test_the_servers_own_words(stack, visit, language):
    """Errors that only the server can find are shown in its words, which are English; all others in the page's language."""
    user = stack.new_users(1)[0]
    tab = visit(user, language=language)
    stack.sql(f"DELETE FROM users WHERE id = {user}")
    tab.write("for nobody")
    eventually(lambda: tab.text("#create-error"), 60, "the refusal")
    if language == "en-US":
        assert tab.text("#create-error").startswith("The task was not added. user_id ")
    else:
        assert tab.text("#create-error") == "La tâche n’a pas été ajoutée. Le service n’a pas accepté la demande (code 422)."
    assert tab.one("#content").get_attribute("value") == "for nobody"


def test_a_task_that_is_gone(stack, visit, user, task):
    tab = visit(user)
    stack.sql(f"DELETE FROM tasks WHERE id = {task['id']}")
    tab.tick(task["id"])
    eventually(lambda: tab.tasks() == [], 60, "the row goes")
    assert tab.text("#page-error") == "The task was not changed. It does not exist any more."


@pytest.mark.disturbs
def test_service_away(stack, visit, user, task):
    """Without the API nothing is lost: the error is shown in place, the text stays, and one task is made of it."""
    tab = visit(user)
    with away(stack, "fcgi-api"):
        tab.tick(task["id"])
        error = f'[data-task="{task["id"]}"] .error'
        eventually(lambda: tab.text(error), 60, "the row says so")
        assert tab.text(error).startswith("The task was not changed.")
        assert tab.is_done(task["id"]) is False, "shown as it really is"
        tab.write("typed in bad times")
        eventually(lambda: tab.text("#create-error"), 60, "the form says so")
        assert tab.text("#create-error").startswith("The task was not added.")
        assert tab.one("#content").get_attribute("value") == "typed in bad times"
        assert tab.state == "live", "the feed has nothing to do with it"
    stack.ready()
    tab.one("#content").send_keys(Keys.ENTER)
    eventually(lambda: [content for _, content, _ in tab.tasks()].count("typed in bad times") == 1, 60, "once")
    tab.tick(task["id"])
    eventually(lambda: tab.is_done(task["id"]) and not tab.errors(), 60, "and no error is left")
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 2


def test_an_answer_that_was_lost_makes_no_second_task(stack, visit, user):
    """The request arrives, its answer does not; pressing Enter again must not make another task."""
    tab = visit(user)
    tab.run(
        """const real = window.fetch;
           window.fetch = async (...call) => {
             const answer = await real(...call);
             if (call[1].method !== 'POST') return answer;
             window.fetch = real;
             throw new TypeError('the answer was lost');
           };"""
    )
    tab.write("once only")
    eventually(lambda: tab.text("#create-error"), 60, "it did not work, it seems")
    tab.one("#content").send_keys(Keys.ENTER)
    eventually(lambda: tab.one("#content").get_attribute("value") == "", 60, "now it did")
    seen_once(tab, [("task.created", "once only")])
    assert [content for _, content, _ in tab.tasks()] == ["once only"]
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 1


@pytest.mark.disturbs
def test_notifier_away(stack, visit, http, user, task):
    """The page says that it is no longer live and when it looks again; what happens is read from the journal, and all of
    it is shown once."""
    tab = visit(user)
    before = tab.same_document()
    http.patch(f"/tasks/{task['id']}", {"content": "before"})
    seen_once(tab, [("task.updated", "before")])
    with away(stack, "ws-notifier"):
        eventually(lambda: tab.state != "live", 60, "the page notices")
        said = re.compile(r"Delayed\.\s+Next look in \d+ s\.\s+Try now")
        eventually(lambda: said.match(tab.text("#connection")), 60, "and says when it looks again")
        for number in range(3):
            http.patch(f"/tasks/{task['id']}", {"content": f"meanwhile {number}"})
        tab.run("document.getElementById('retry').click()")
        seen_once(tab, [("task.updated", text) for text in ("before", *(f"meanwhile {n}" for n in range(3)))])
        for number in range(3, 5):
            http.patch(f"/tasks/{task['id']}", {"content": f"meanwhile {number}"})
        tab.tick(task["id"])
        eventually(lambda: tab.is_done(task["id"]), 60, "working goes on without the feed")
    tab.live(deadline=120)
    expected = [("task.updated", text) for text in ("before", *(f"meanwhile {n}" for n in range(5)))]
    seen_once(tab, [*expected, ("task.completed", "meanwhile 4")])
    http.patch(f"/tasks/{task['id']}", {"content": "after"})
    seen_once(tab, [*expected, ("task.completed", "meanwhile 4"), ("task.updated", "after")])
    cursors = [message["cursor"] for message in tab.logged()]
    assert len(cursors) == len(set(cursors)) == 8
    assert tab.same_document() == before


@pytest.mark.disturbs
def test_notifier_killed(stack, visit, http, user, task):
    """kill -9 in the middle of a series: the page has all of it, once and in order."""
    tab = visit(user)
    for number in range(60):
        if number == 20:
            stack.notifier().kill(signal.SIGKILL)
        http.patch(f"/tasks/{task['id']}", {"content": f"n{number}"})
    seen_once(tab, [("task.updated", f"n{number}") for number in range(60)], deadline=120)
    eventually(lambda: tab.tasks() == [(task["id"], "n59", False)], 60, "the list followed")


@pytest.mark.disturbs
def test_a_page_opened_while_nothing_answers(stack, visit, user, task):
    """The first GET fails: the page waits, says why, and comes to life by itself."""
    with away(stack, "fcgi-api"):
        tab = visit(user, live=False)
        eventually(lambda: tab.text("#page-error"), 60, "why there is nothing")
        assert tab.text("#page-error").startswith("The tasks could not be read.")
        eventually(lambda: tab.state == "offline", 60, "offline")
    tab.live(deadline=120)
    eventually(lambda: tab.tasks() == [(task["id"], "Acheter du pain", False)], 60, "the tasks")
    assert tab.errors() == []
    eventually(lambda: tab.every('#user option[value="1"]'), 60, "the users came too")
    assert "reloaded" not in kinds(tab), "the first rows are no reload"


@pytest.mark.disturbs
def test_the_button_tries_at_once(stack, visit, user):
    """In a pause that would last for an hour. (15 s is what a handshake or a request may take.)"""
    tab = visit(user)
    with away(stack, "ws-notifier"):
        eventually(lambda: tab.state != "live", 60, "the page notices")
        tab.run(
            """const real = setTimeout;
               window.setTimeout = (work, ms, ...more) => {
                 const pause = ms > 6000 && ms !== 15000;
                 window.pauses ||= pause;
                 return real(work, pause ? 3600000 : ms, ...more);
               };"""
        )
        eventually(lambda: tab.run("return window.pauses"), 120, "a long pause")
    eventually(lambda: stack.client().get("/notifier/readyz").status == 200, 60, "the notifier is ready")
    tab.run("document.getElementById('retry').click()")
    tab.live()


def deaf(tab):
    """The page's socket hears only what the test sends on it."""
    tab.run(
        """const socket = window.witness.sockets.at(-1);
           const hear = socket.onmessage;
           socket.onmessage = (frame) => frame.isTrusted || hear(frame);"""
    )


def test_a_reset_asks_the_journal(stack, visit, http, user, task):
    """The feed cannot tell what happened, the journal can: nothing is read again, and nothing is missing."""
    tab = visit(user)
    deaf(tab)
    for content in ("one", "two"):
        http.patch(f"/tasks/{task['id']}", {"content": content})
    stack.sql(f"INSERT INTO tasks (user_id, content) VALUES ({user}, 'past the API')")
    tab.server_says({"type": "reset", "user_id": user, "cursor": f"{stack.epoch()}:1", "reason": "lost"})
    seen_once(tab, [("task.updated", "one"), ("task.updated", "two")])
    assert tab.tasks() == [(task["id"], "two", False)]
    tab.live()


def test_a_reset_that_the_journal_cannot_mend_reads_the_tasks_again_and_says_so(stack, visit, http, user, task):
    """Rows over HTTP, on from there, and a word about it."""
    tab = visit(user)
    before = tab.same_document()
    deaf(tab)
    for content in ("one", "as it really is"):
        http.patch(f"/tasks/{task['id']}", {"content": content})
    stack.outbox_empty()
    stack.sql(f"DELETE FROM events WHERE user_id = {user} AND seq = 2")
    tab.server_says({"type": "reset", "user_id": user, "cursor": f"{stack.epoch()}:1", "reason": "truncated"})
    eventually(lambda: kinds(tab) == ["reloaded"], 60, "said in the page")
    assert tab.text("#notification-list .verb") == "Tasks reloaded."
    assert tab.tasks() == [(task["id"], "as it really is", False)]
    tab.live()
    http.patch(f"/tasks/{task['id']}", {"content": "and on"})
    eventually(lambda: kinds(tab) == ["task.updated", "reloaded"], 60, "it goes on")
    assert tab.same_document() == before
