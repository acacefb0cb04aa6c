"""The page in a real browser against the real parts."""

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.wait import eventually
from page import picture

ROOT = Path(__file__).resolve().parents[2]

# Colours as they are really drawn: every visible text against what lies behind it (WCAG 2, 1.4.3).
CONTRASTS = """
const parse = (colour) => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const over = (top, under) => top.slice(0, 3).map((v, i) => (v * top[3] + under[i] * (255 - top[3])) / 255);
const behind = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
};
const bad = [];
for (const element of document.querySelectorAll('body, body *')) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || element.placeholder;
  if (!own || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) || element.closest('noscript')) continue;
  const background = behind(element);
  const style = element.placeholder && !element.value ? getComputedStyle(element, '::placeholder') : getComputedStyle(element);
  const [a, b] = [luminance(over(parse(style.color), background)), luminance(background)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) bad.push(`${element.tagName}.${element.className} "${element.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
}
return bad;
"""


@contextmanager
def away(stack, part):
    """The part (all of its processes) is stopped inside the block, and started again after it."""
    folders = sorted((stack.run_dir / "service").glob(f"{part}*"))
    assert folders, f"no {part} in {stack.run_dir}/service"

    def control(switch):
        for folder in folders:
            subprocess.run(["s6-svc", switch, folder], check=True, timeout=10)

    def is_up():
        return [subprocess.check_output(["s6-svstat", "-o", "up", folder], text=True).strip() == "true" for folder in folders]

    control("-d")
    try:
        eventually(lambda: not any(is_up()), 15, f"{part} is down")
        yield
    finally:
        control("-u")
        eventually(lambda: all(is_up()), 15, f"{part} is up")


def kinds(tab):
    return [kind for kind, _, _ in tab.notifications()]


def seen_once(tab, expected, deadline=15):
    """The notifications, oldest first, are exactly these (kind, subject)."""

    def check():
        seen = [(kind, subject) for kind, subject, _ in reversed(tab.notifications())]
        assert seen == expected
        return True

    eventually(check, deadline, "notifications")


# --- the scenario ---


def test_scenario(stack, browser, visit):
    """A PATCH from elsewhere shows up in the page and in the JavaScript console, without reload."""
    tab = visit(1)
    before = tab.same_document()
    assert (1, "Acheter du pain") in [(number, content) for number, content, _ in tab.tasks()]

    request = urllib.request.Request(f"{stack.http}/tasks/1", data=b'{"status":1}', method="PATCH")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200

    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the notification is in the page")
    sentence = tab.notifications()[0][2]
    assert sentence.startswith("task 1 has been completed at ")
    assert tab.is_done(1) is True
    assert tab.one('[data-task="1"] .when').text.startswith("Done ")
    assert tab.same_document() == before, "the page was loaded anew"

    (logged,) = tab.logged()
    assert logged == json.loads(stack.journal(1)[-1][2]), "what was logged is the message itself"
    assert logged["message"] == sentence
    assert logged["type"] == "notification" and logged["task"]["id"] == 1
    logs = [text for level, text in browser().console() if level == "INFO" and text.endswith("Object")]
    assert len(logs) == 1, "the browser's own console has it"
    assert tab.one("#connection").text.startswith("Live")


def test_the_address_keeps_the_user(stack, visit, user):
    tab = visit(user)
    assert tab.driver.current_url.endswith(f"/index.html?user_id={user}")
    assert tab.one("#user").get_attribute("value") == str(user)


def test_the_page_on_the_originals_port(stack, browser, http, user, task):
    """The client's own port serves the page, and the page asks everything there."""
    port = stack.port("CLIENT_PORT")
    tab = browser().open(f"http://localhost:{port}/index.html?user_id={user}").live()
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    seen_once(tab, [("task.completed", "Acheter du pain")])
    hosts = {address.split("//")[1].split("/")[0] for address in browser().requests() if address.startswith(("http:", "ws:"))}
    assert hosts == {f"localhost:{port}"}


def test_choosing_a_user(stack, visit, user, task):
    tab = visit(None, path="/")
    assert tab.one("#welcome").is_displayed()
    assert not tab.one("#tasks").is_displayed()
    option = eventually(lambda: tab.every(f'#user option[value="{user}"]'), 10, "the list of users")[0]
    name = option.text
    option.click()
    tab.live()
    assert tab.driver.current_url.endswith(f"/?user_id={user}")
    eventually(lambda: [number for number, _, _ in tab.tasks()] == [task["id"]], 10, "his tasks")
    assert tab.driver.title == f"{name} · Carillon"
    tab.driver.back()
    eventually(lambda: tab.one("#welcome").is_displayed(), 5, "nobody is chosen again")
    assert not tab.one("#tasks").is_displayed()
    tab.driver.forward()
    tab.live()
    eventually(lambda: len(tab.tasks()) == 1, 10, "his tasks again")


@pytest.mark.parametrize("odd", ["abc", "0", "-1", "1.5", "", "99999999999999999999", "1%3Cscript%3E"])
def test_an_odd_user_in_the_address_is_nobody(visit, odd):
    tab = visit(odd, live=False)
    eventually(lambda: len(tab.every("#user option")) > 1, 10, "the list of users")
    assert tab.one("#welcome").is_displayed()
    assert tab.one("#user").get_attribute("value") == ""


def test_a_user_that_does_not_exist_has_nothing(visit):
    tab = visit(2000000000)
    eventually(lambda: tab.text("#tasks-empty"), 5, "a word about it")
    assert tab.tasks() == []
    assert tab.errors() == []


# --- several at once ---


def test_two_tabs(stack, visit, http, user, task):
    first, second = visit(user), visit(user)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    for tab in (first, second):
        seen_once(tab, [("task.completed", "Acheter du pain")])
        assert tab.is_done(task["id"]) is True
    first.tick(task["id"])
    for tab in (first, second):
        seen_once(tab, [("task.completed", "Acheter du pain"), ("task.reopened", "Acheter du pain")])
        assert tab.is_done(task["id"]) is False


def test_two_users_hear_only_their_own(stack, visit, http):
    one, other = stack.new_users(2)
    tabs = {one: visit(one), other: visit(other)}
    for user in (one, other, one):
        http.post("/tasks", {"user_id": user, "content": f"of {user}"})
    seen_once(tabs[one], [("task.created", f"of {one}")] * 2)
    seen_once(tabs[other], [("task.created", f"of {other}")])
    assert {message["task"]["user_id"] for message in tabs[other].logged()} == {other}


def test_changing_the_user_changes_the_feed(stack, visit, http):
    one, other = stack.new_users(2)
    tab = visit(one)
    http.post("/tasks", {"user_id": one, "content": "before"})
    seen_once(tab, [("task.created", "before")])
    eventually(lambda: tab.every(f'#user option[value="{other}"]'), 10, "the list of users")[0].click()
    tab.live()
    assert tab.notifications() == [], "the other one's notifications are gone"
    http.post("/tasks", {"user_id": one, "content": "not for him"})
    http.post("/tasks", {"user_id": other, "content": "for him"})
    seen_once(tab, [("task.created", "for him")])
    assert [content for _, content, _ in tab.tasks()] == ["for him"]


# --- what can be done in the page ---


def test_create_tick_delete(stack, visit, user):
    tab = visit(user)
    tab.write("Acheter des œufs 🥚")
    (number, content, done) = eventually(lambda: tab.tasks(), 10, "the new task")[0]
    assert (content, done) == ("Acheter des œufs 🥚", False)
    assert tab.one("#content").get_attribute("value") == "", "room for the next one"
    assert stack.sql(f"SELECT user_id, status, content FROM tasks WHERE id = {number}") == [(str(user), "0", content)]
    seen_once(tab, [("task.created", content)])
    assert tab.text("#task-count") == "0 of 1 done"

    tab.tick(number)
    seen_once(tab, [("task.created", content), ("task.completed", content)])
    assert tab.is_done(number) is True
    assert stack.sql_number(f"SELECT status FROM tasks WHERE id = {number}") == 1
    assert tab.text("#task-count") == "1 of 1 done"

    tab.one(f'[data-task="{number}"] .delete').click()
    assert tab.text("#confirm-content") == content
    tab.one('#confirm [value="cancel"]').click()
    assert len(tab.tasks()) == 1, "kept"
    tab.delete(number)
    eventually(lambda: tab.tasks() == [], 10, "it is gone")
    seen_once(tab, [("task.created", content), ("task.completed", content), ("task.deleted", content)])
    assert stack.sql(f"SELECT id FROM tasks WHERE id = {number}") == []
    assert tab.text("#tasks-empty")
    assert tab.errors() == []


def test_others_create_change_and_delete(visit, http, user):
    tab = visit(user)
    made = http.post("/tasks", {"user_id": user, "content": "first"}).json()["id"]
    eventually(lambda: tab.tasks() == [(made, "first", False)], 10, "created")
    http.patch(f"/tasks/{made}", {"content": "second"})
    eventually(lambda: tab.tasks() == [(made, "second", False)], 10, "changed")
    http.patch(f"/tasks/{made}", {"status": 1})
    eventually(lambda: tab.tasks() == [(made, "second", True)], 10, "completed")
    http.patch(f"/tasks/{made}", {"status": 0})
    eventually(lambda: tab.tasks() == [(made, "second", False)], 10, "reopened")
    http.delete(f"/tasks/{made}")
    eventually(lambda: tab.tasks() == [], 10, "deleted")
    assert kinds(tab) == [f"task.{kind}" for kind in ("deleted", "reopened", "completed", "updated", "created")]
    assert tab.text("#notification-list li:first-child .verb") == "Deleted:"


def test_content_is_text(visit, http, user):
    content = "<img src=x onerror=\"document.title='broken'\"> <b>&amp; '\" \\u003c"
    tab = visit(user)
    tab.write(content)
    eventually(lambda: [shown for _, shown, _ in tab.tasks()] == [content], 10, "the text as it is")
    seen_once(tab, [("task.created", content)])
    assert tab.every("main img") == [] and tab.every(".content b") == []
    assert "broken" not in tab.driver.title
    assert http.get(f"/tasks?user_id={user}").json()[0]["content"] == content


def test_all_pages_of_a_long_list(stack, visit, user):
    tasks = stack.new_tasks([user] * 450)
    tab = visit(user)
    assert [number for number, _, _ in tab.tasks()] == sorted(tasks, reverse=True)


def test_a_message_of_another_program(stack, visit, publisher, user, task):
    """Something without our headers is shown, and changes a task only when it names one completely."""
    tab = visit(user)
    publisher.publish('{"message":"from elsewhere","task":{"id":%d,"user_id":%d}}' % (task["id"], user))
    eventually(lambda: [sentence for _, _, sentence in tab.notifications()] == ["from elsewhere"], 10, "the message")
    assert tab.tasks() == [(task["id"], "Acheter du pain", False)]


def test_five_thousand_events_at_once(stack, visit, user):
    """What comes back after a long absence does not freeze the page."""
    tasks = stack.new_tasks([user] * 300)
    tab = visit(user)
    cursor = stack.client().get(f"/tasks?user_id={user}&limit=1").header("Event-Cursor").split(":")
    milliseconds = tab.run(
        """const [user, tasks, epoch, seq] = arguments;
           const started = performance.now();
           for (let n = 1; n <= 5000; n++) {
             const task = { id: tasks[n % tasks.length], user_id: user, status: 0, content: `n${n}`,
                            createdAt: '2024-01-02T17:00:00.000Z', completedAt: null };
             window.witness.sockets.at(-1).onmessage({ data: JSON.stringify({ type: 'notification',
               event: 'task.updated', cursor: `${epoch}:${seq + n}`, message: `event ${n}`, task }) });
           }
           document.body.offsetHeight;
           return performance.now() - started;""",
        user, tasks, cursor[0], int(cursor[1]),
    )
    assert milliseconds < 8000
    assert tab.state == "live"
    assert tab.notifications()[0][1:] == ("n5000", "event 5000")
    assert len(tab.notifications()) == 200, "the list is bounded"
    assert dict((number, content) for number, content, _ in tab.tasks())[tasks[5000 % 300]] == "n5000"
    assert len(tab.logged()) == 5000


# --- what can go wrong ---


@pytest.mark.parametrize(
    "content, words",
    [("", "Write what is to be done first."), ("  \t ", "Write what is to be done first."), ("🥚" * 1001, "At most 1000 characters; these are 1001.")],
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
    eventually(lambda: len(tab.tasks()) == 1, 10, "a thousand of them are fine")
    assert tab.errors() == []
    assert tab.one("#content").get_attribute("aria-invalid") is None


def test_the_servers_own_words(stack, visit):
    """What only the server knows to be wrong is told with its words."""
    tab = visit(2000000000)
    tab.write("for nobody")
    eventually(lambda: tab.text("#create-error"), 10, "the refusal")
    assert tab.text("#create-error").startswith("The task was not added. ")
    assert len(tab.text("#create-error")) > len("The task was not added. ") + 5
    assert tab.one("#content").get_attribute("value") == "for nobody"


def test_a_task_that_is_gone(stack, visit, user, task):
    tab = visit(user)
    stack.sql(f"DELETE FROM tasks WHERE id = {task['id']}")
    tab.tick(task["id"])
    eventually(lambda: tab.tasks() == [], 10, "the row goes")
    assert tab.text("#page-error") == "The task was not changed. It does not exist any more."


@pytest.mark.disturbs
def test_service_away(stack, visit, user, task):
    """Without the API nothing is lost: words where it happened, the text stays, one task comes of it."""
    tab = visit(user)
    with away(stack, "fcgi-api"):
        tab.tick(task["id"])
        error = f'[data-task="{task["id"]}"] .error'
        eventually(lambda: tab.text(error), 20, "the row says so")
        assert tab.text(error).startswith("The task was not changed.")
        assert tab.is_done(task["id"]) is False, "shown as it really is"
        tab.write("typed in bad times")
        eventually(lambda: tab.text("#create-error"), 20, "the form says so")
        assert tab.text("#create-error").startswith("The task was not added.")
        assert tab.one("#content").get_attribute("value") == "typed in bad times"
        assert tab.state == "live", "the feed has nothing to do with it"
    stack.ready()
    tab.one("#content").send_keys(Keys.ENTER)
    eventually(lambda: [content for _, content, _ in tab.tasks()].count("typed in bad times") == 1, 20, "once")
    tab.tick(task["id"])
    eventually(lambda: tab.is_done(task["id"]) and not tab.errors(), 20, "and no error is left")
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
    eventually(lambda: tab.text("#create-error"), 10, "it did not work, it seems")
    tab.one("#content").send_keys(Keys.ENTER)
    eventually(lambda: tab.one("#content").get_attribute("value") == "", 10, "now it did")
    seen_once(tab, [("task.created", "once only")])
    assert [content for _, content, _ in tab.tasks()] == ["once only"]
    assert stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}") == 1


@pytest.mark.disturbs
def test_notifier_away(stack, visit, http, user, task):
    """Offline shows, with the time to the next attempt; what happened meanwhile is shown once after it."""
    tab = visit(user)
    before = tab.same_document()
    http.patch(f"/tasks/{task['id']}", {"content": "before"})
    seen_once(tab, [("task.updated", "before")])
    with away(stack, "ws-notifier"):
        eventually(lambda: tab.state == "offline", 15, "the page notices")
        eventually(lambda: (tab.text("#connection") or "").startswith("Offline.") and "Next attempt in" in tab.text("#connection"), 40, "and says when it tries again")
        assert tab.one("#retry").is_displayed() or tab.state == "connecting"
        for number in range(5):
            http.patch(f"/tasks/{task['id']}", {"content": f"meanwhile {number}"})
        tab.tick(task["id"])
        eventually(lambda: tab.is_done(task["id"]), 10, "working goes on without the feed")
        assert len(tab.notifications()) == 1
    tab.live(deadline=60)
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
    seen_once(tab, [("task.updated", f"n{number}") for number in range(60)], deadline=60)
    eventually(lambda: tab.tasks() == [(task["id"], "n59", False)], 10, "the list followed")


@pytest.mark.disturbs
def test_a_page_opened_while_nothing_answers(stack, visit, user, task):
    """The first GET fails: the page waits, says why, and comes to life by itself."""
    with away(stack, "fcgi-api"):
        tab = visit(user, live=False)
        eventually(lambda: tab.text("#page-error"), 20, "why there is nothing")
        assert tab.text("#page-error").startswith("The tasks could not be read.")
        eventually(lambda: tab.state == "offline", 15, "offline")
    tab.live(deadline=60)
    eventually(lambda: tab.tasks() == [(task["id"], "Acheter du pain", False)], 10, "the tasks")
    assert tab.errors() == []
    eventually(lambda: tab.every('#user option[value="1"]'), 20, "the users came too")
    assert "reloaded" not in kinds(tab), "the first rows are no reload"


@pytest.mark.disturbs
def test_the_button_tries_at_once(stack, visit, user):
    tab = visit(user)
    with away(stack, "ws-notifier"):
        eventually(lambda: tab.run("return parseInt(document.getElementById('connection-countdown').innerText.match(/\\d+/)) > 6"), 60, "long pauses")
    eventually(lambda: stack.client().get("/notifier/readyz").status == 200, 30, "the notifier is ready")
    tab.run("document.getElementById('retry').click()")
    tab.live(deadline=5)


def test_a_reset_reads_the_tasks_again_and_says_so(stack, visit, http, user, task):
    """The feed cannot tell what happened: rows over HTTP, on from there, and a word about it."""
    tab = visit(user)
    before = tab.same_document()
    stack.sql(f"UPDATE tasks SET content = 'as it really is' WHERE id = {task['id']}")
    tab.server_says({"type": "reset", "user_id": user, "cursor": f"{stack.epoch()}:1", "reason": "truncated"})
    eventually(lambda: kinds(tab) == ["reloaded"], 20, "said in the page")
    assert tab.text("#notification-list .verb") == "Tasks reloaded."
    assert tab.tasks() == [(task["id"], "as it really is", False)]
    tab.live()
    http.patch(f"/tasks/{task['id']}", {"content": "and on"})
    eventually(lambda: kinds(tab) == ["task.updated", "reloaded"], 10, "it goes on")
    assert tab.same_document() == before


# --- languages ---


@pytest.mark.parametrize(
    "language, lang, words",
    [
        ("en-US", "en", ("Tasks", "New task", "Add", "Live", "Completed:", "1 of 1 done", "Choose a user…")),
        ("fr-FR", "fr", ("Tâches", "Nouvelle tâche", "Ajouter", "En direct", "Terminée :", "1 sur 1 terminée", "Choisir un utilisateur…")),
        ("de-DE", "en", ("Tasks", "New task", "Add", "Live", "Completed:", "1 of 1 done", "Choose a user…")),
    ],
)
def test_languages(visit, http, user, task, language, lang, words):
    tab = visit(user, language=language)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the notification")
    places = ("#tasks-title", '[for="content"]', "#create button", "#connection-state", ".verb", "#task-count", "#user option")
    assert tuple(tab.run("return arguments[0].map((s) => document.querySelector(s).textContent.trim())", places)) == words
    assert tab.run("return document.documentElement.lang") == lang
    assert tab.run("return document.querySelector('.raw').lang") == "en", "the server's sentence is English"


def test_dates_follow_the_language(stack, visit, user):
    stack.sql(
        f"INSERT INTO tasks (user_id, content, created_at) VALUES ({user}, 'x', '2024-01-02 12:00:00')"
    )
    assert "Jan 2, 2024" in visit(user).text(".when")
    assert "2 janv. 2024" in visit(user, language="fr-FR").text(".when")


# --- looks ---


@pytest.mark.parametrize("language", ["en-US", "fr-FR"])
@pytest.mark.parametrize("width", [320, 360])
def test_phone(visit, http, user, width, language):
    """Nothing is wider than a phone, whatever the tasks are called; what is touched is large enough."""
    tab = visit(user, language=language, width=width, height=740)
    for content in ("x" * 300, "Un texte ordinaire de plusieurs mots, assez long pour se replier plusieurs fois sur un téléphone"):
        http.post("/tasks", {"user_id": user, "content": content})
    tab.write(" ")
    eventually(lambda: len(tab.notifications()) == 2, 10, "both notifications")
    assert tab.run("return document.documentElement.scrollWidth") <= width
    wide = tab.run(
        "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 "
        "&& !e.closest('.skip')).map((e) => e.className || e.tagName)"
    )
    assert wide == []
    small = tab.run(
        "return [...document.querySelectorAll('button, select, .field input, .tick')].filter((e) => e.offsetParent && "
        "!e.classList.contains('link')).filter((e) => e.offsetHeight < 44).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert small == [], "44 px is what a finger needs"
    tab.one(".delete").click()
    assert tab.run("return document.getElementById('confirm').getBoundingClientRect().right") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_contrast(visit, http, user, task, dark):
    http.post("/tasks", {"user_id": user, "content": "not done"})
    tab = visit(user, dark=dark, still=True)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    tab.write(" ")
    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the notification")
    backgrounds = tab.run("return getComputedStyle(document.body).backgroundColor")
    assert backgrounds == ("rgb(21, 23, 26)" if dark else "rgb(246, 244, 240)")
    assert tab.run(CONTRASTS) == []
    tab.one(".delete").click()
    assert tab.run(CONTRASTS) == []
    tab.one('#confirm [value="cancel"]').click()
    for state in ("connecting", "offline"):
        tab.run("document.getElementById('connection').dataset.state = arguments[0]; document.getElementById('retry').hidden = false", state)
        assert tab.run(CONTRASTS) == []


def test_nothing_moves_for_who_does_not_want_it(visit, http, user, task):
    tab = visit(user, still=True)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the notification")
    moving = tab.run("return document.getAnimations().length")
    assert moving == 0


# --- accessible ---


def test_names_roles_and_live_regions(visit, http, user, task):
    tab = visit(user)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the notification")

    nameless = [e.get_attribute("outerHTML")[:80] for e in tab.every("a, button, input, select") if e.is_displayed() and not e.accessible_name]
    assert nameless == []
    named = {selector: (tab.one(selector).aria_role, tab.one(selector).accessible_name) for selector in (
        "#user", "#content", "#create button", ".tick input", ".delete", "#task-list", "#tasks", "#notifications", "#connection-state")}
    assert named["#user"] == ("combobox", "User")
    assert named["#content"] == ("textbox", "New task")
    assert named["#create button"] == ("button", "Add")
    assert named[".tick input"] == ("checkbox", "Acheter du pain")
    assert named[".delete"] == ("button", "Delete: Acheter du pain")
    assert named["#task-list"] == ("list", "Tasks")
    assert named["#tasks"] == ("region", "Tasks")
    assert named["#notifications"] == ("region", "Notifications")
    assert named["#connection-state"][0] == "status"

    log = tab.one("#notifications [role=log]")
    assert (log.get_attribute("aria-live"), log.aria_role, log.accessible_name) == ("polite", "log", "Notifications")
    assert log.find_elements(By.CSS_SELECTOR, "ol > li"), "the notifications are in it"
    for place in ("#create-error", "#page-error", ".task .error"):
        assert tab.run("return document.querySelector(arguments[0]).getAttribute('role')", place) == "alert"

    assert [e.text for e in tab.every("h1")] == ["Carillon"]
    levels = tab.run("return [...document.querySelectorAll('h1,h2,h3,h4')].filter((h) => h.checkVisibility()).map((h) => h.tagName)")
    assert levels == ["H1", "H2", "H2"]
    assert len(tab.every("main")) == len(tab.every("header")) == 1
    ids = tab.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids)), "ids are unique"
    dangling = tab.run(
        "return [...document.querySelectorAll('[aria-labelledby], [aria-describedby], label[for]')].filter((e) => "
        "!document.getElementById(e.getAttribute('aria-labelledby') ?? e.getAttribute('aria-describedby') ?? e.htmlFor)).length"
    )
    assert dangling == 0
    drawings = tab.run("return [...document.querySelectorAll('svg')].filter((s) => !s.closest('[aria-hidden=true]')).length")
    assert drawings == 0, "drawings are not read out"


def test_by_keyboard_alone(stack, visit, http, user, task):
    """In reading order, each stop visible, and everything can be done."""
    tab = visit(user)
    tab.one("body").send_keys(Keys.HOME)
    stops = []
    for _ in range(6):
        tab.press(Keys.TAB)
        element = tab.focused()
        stops.append(element.accessible_name)
        outline = tab.run(
            "const e = document.activeElement; const shown = e.type === 'checkbox' ? e.nextElementSibling : e;"
            "const s = getComputedStyle(shown); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
        )
        assert outline[0] != "none" and outline[1] >= 2, f"the focus shows on {stops[-1]}"
        if len(stops) == 1:
            assert tab.run("return document.activeElement.getBoundingClientRect().top >= 0"), "the skip link appears"
    assert stops == ["Skip to the content", "User", "New task", "Add", "Acheter du pain", "Delete: Acheter du pain"]

    tab.press(Keys.ENTER)  # on "Delete"
    assert tab.focused().accessible_name == "Keep it", "the harmless answer comes first"
    tab.press(Keys.ESCAPE)
    assert tab.focused().accessible_name == "Delete: Acheter du pain", "back where one was"
    webdriver_shift_tab(tab)
    tab.press(Keys.SPACE)
    eventually(lambda: tab.is_done(task["id"]), 10, "ticked")
    eventually(lambda: kinds(tab) == ["task.completed"], 10, "the event")
    assert tab.focused().accessible_name == "Acheter du pain", "the focus stays through the change"
    tab.press(Keys.TAB, Keys.ENTER, Keys.TAB, Keys.ENTER)
    eventually(lambda: tab.tasks() == [], 10, "deleted")
    assert tab.focused().get_attribute("id") == "content", "the focus is not lost with the row"


def webdriver_shift_tab(tab):
    from selenium.webdriver import ActionChains

    ActionChains(tab.here().driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()


def test_the_skip_link_skips(visit, user):
    tab = visit(user)
    tab.press(Keys.TAB, Keys.ENTER)
    assert tab.run("return document.activeElement.id") == "main"
    tab.press(Keys.TAB)
    assert tab.focused().accessible_name == "New task"
    assert tab.state == "live", "and the feed stays as it is"


# --- nothing from elsewhere ---


def test_nothing_from_elsewhere_and_nothing_forbidden(stack, browser, visit, user):
    chromium = browser()
    tab = visit(user)
    tab.write("Acheter du pain")
    number = eventually(lambda: tab.tasks(), 10, "the task")[0][0]
    tab.tick(number)
    eventually(lambda: len(tab.notifications()) == 2, 10, "the notifications")
    tab.delete(number)
    eventually(lambda: len(tab.notifications()) == 3, 10, "the notifications")

    host = stack.http.split("//")[1]
    asked = [address for address in chromium.requests() if not address.startswith(("data:", "chrome:", "about:"))]
    assert any(address.startswith("ws://") for address in asked)
    assert [address for address in asked if address.split("//")[1].split("/")[0] != host] == []
    assert tab.violations() == []
    unquiet = [text for level, text in chromium.console() if level in ("SEVERE", "WARNING")]
    assert unquiet == []

    with urllib.request.urlopen(f"{stack.http}/index.html", timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
        html = answer.read().decode()
    assert "unsafe" not in policy and "*" not in policy
    assert " style=" not in html and "<style" not in html and "<script>" not in html and " onclick" not in html


def test_the_policy_works(visit, user):
    """A witness that the test above can fail: what is inline is refused, and that is noticed."""
    tab = visit(user)
    tab.run("const s = document.createElement('script'); s.textContent = 'document.title = \"broken\"'; document.body.append(s)")
    eventually(lambda: tab.violations(), 5, "the violation")
    assert "broken" not in tab.driver.title


# --- the picture in the README ---


@pytest.mark.parametrize("name, look", [("screenshot.png", {}), ("phone.png", {"width": 360, "height": 740}), ("dark.png", {"dark": True})])
def test_screenshot(stack, visit, http, name, look):
    update = name == "screenshot.png" and os.environ.get("UPDATE_SCREENSHOT") == "1"
    if not look:
        look = {"height": 610}
    tab = visit(1, still=True, **look)
    for status in (0, 1):
        http.patch("/tasks/1", {"status": status})
    eventually(lambda: kinds(tab)[:2] == ["task.completed", "task.reopened"], 10, "two notifications")
    path = ROOT / "docs" / name if update else picture(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    tab.screenshot(path)
    assert os.path.getsize(path) > 5000
