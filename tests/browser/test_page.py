# SPDX-License-Identifier: MIT
"""The page in a real browser against the real parts: what it shows and what can be done in it."""

import json
import urllib.request

import pytest
from selenium.webdriver.common.keys import Keys

from lib.wait import eventually
from page import kinds, seen_once


# --- the scenario ---


def test_scenario(stack, browser, visit):
    """A PATCH from elsewhere shows up in the page and in the JavaScript console, without reload."""
    tab = visit(1)
    before = tab.same_document()
    assert (1, "Acheter du pain") in [(number, content) for number, content, _ in tab.tasks()]

    request = urllib.request.Request(f"{stack.http}/tasks/1", data=b'{"status":1}', method="PATCH")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200

    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the notification is in the page")
    assert tab.notifications() == [("task.completed", "Acheter du pain")]
    assert tab.is_done(1) is True
    assert tab.one('[data-task="1"] .when').text.startswith("Done ")
    assert tab.same_document() == before, "the page was loaded anew"

    (logged,) = tab.logged()
    assert logged == json.loads(stack.journal(1)[-1][2]), "what was logged is the message itself"
    assert logged["message"].startswith("task 1 has been completed at ")
    assert logged["type"] == "notification" and logged["task"]["id"] == 1
    logs = []

    def in_the_console():
        logs.extend(text for level, text in browser().console() if level == "INFO" and text.endswith("Object"))
        return logs

    eventually(in_the_console, what="the browser's own console has it")
    assert len(logs) == 1, logs
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
    option = eventually(lambda: tab.every(f'#user option[value="{user}"]'), 60, "the list of users")[0]
    name = option.text
    option.click()
    tab.live()
    assert tab.driver.current_url.endswith(f"/?user_id={user}")
    eventually(lambda: [number for number, _, _ in tab.tasks()] == [task["id"]], 60, "the tasks of that user")
    assert tab.driver.title == f"{name} · Carillon"
    tab.driver.back()
    eventually(lambda: tab.one("#welcome").is_displayed(), 60, "no user is chosen again")
    assert not tab.one("#tasks").is_displayed()
    tab.driver.forward()
    tab.live()
    eventually(lambda: len(tab.tasks()) == 1, 60, "the tasks of that user again")


@pytest.mark.parametrize("odd", ["abc", "0", "-1", "1.5", "", "99999999999999999999", "1%3Cscript%3E"])
def test_an_odd_user_in_the_address_is_nobody(visit, odd):
    tab = visit(odd, live=False)
    eventually(lambda: len(tab.every("#user option")) > 1, 60, "the list of users")
    assert tab.one("#welcome").is_displayed()
    assert tab.one("#user").get_attribute("value") == ""


def test_a_user_that_does_not_exist(visit):
    """The page says so, instead of showing an empty live list; another user can be chosen."""
    tab = visit(2000000000, live=False)
    eventually(lambda: tab.text("#page-error") == "There is no user 2000000000. Choose another one.", 60, "a word about it")
    for place in ("#tasks", "#notifications", "#connection"):
        assert not tab.one(place).is_displayed()
    assert tab.one("#welcome").is_displayed()
    eventually(lambda: tab.every('#welcome-users [data-user="1"]'), 60, "the others")[0].click()
    tab.live()
    assert tab.driver.current_url.endswith("?user_id=1")
    assert tab.errors() == []
    french = visit(2000000000, language="fr-FR", live=False)
    eventually(lambda: french.text("#page-error").startswith("Il n’y a pas d’utilisateur 2000000000."), 60, "in French")


def test_the_list_of_users_by_keyboard(browser, visit, user):
    """Each arrow key changes the user; the browser's history gets one entry for all of them, and only where they rest
    is asked for."""
    tab = visit(user)
    eventually(lambda: len(tab.every("#user option")) > 4, 60, "the list of users")
    before = tab.run("return history.length")
    browser().requests()
    # The page waits 300 ms for the next key. Between two of them the machine may stand still.
    tab.run("const real = setTimeout; window.setTimeout = (work, ms, ...more) => real(work, ms === 300 ? 6000 : ms, ...more);")
    select = tab.one("#user")
    select.send_keys(Keys.HOME)
    select.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    eventually(lambda: tab.driver.current_url.endswith("?user_id=3"), 60, "where the arrows rest")
    tab.live()
    select.send_keys(Keys.ARROW_UP)
    eventually(lambda: tab.driver.current_url.endswith("?user_id=2"), 60, "and on")
    tab.live()
    assert tab.run("return history.length") == before + 1
    assert not [address for address in browser().requests() if "user_id=1&" in address], "not on the way"
    tab.driver.back()
    eventually(lambda: tab.one("#user").get_attribute("value") == str(user), 60, "back where it began")


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
    eventually(lambda: tab.every(f'#user option[value="{other}"]'), 60, "the list of users")[0].click()
    tab.live()
    assert tab.notifications() == [], "the other one's notifications are gone"
    http.post("/tasks", {"user_id": one, "content": "of another user"})
    http.post("/tasks", {"user_id": other, "content": "of this user"})
    seen_once(tab, [("task.created", "of this user")])
    assert [content for _, content, _ in tab.tasks()] == ["of this user"]


# --- what can be done in the page ---


def test_create_tick_delete(stack, visit, user):
    tab = visit(user)
    tab.write("Acheter des œufs 🥚")
    (number, content, done) = eventually(lambda: tab.tasks(), 60, "the new task")[0]
    assert (content, done) == ("Acheter des œufs 🥚", False)
    assert tab.idle().one("#content").get_attribute("value") == "", "room for the next one"
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
    eventually(lambda: tab.tasks() == [], 60, "it is gone")
    seen_once(tab, [("task.created", content), ("task.completed", content), ("task.deleted", content)])
    assert stack.sql(f"SELECT id FROM tasks WHERE id = {number}") == []
    assert tab.text("#tasks-empty")
    assert tab.errors() == []


def test_others_create_change_and_delete(visit, http, user):
    tab = visit(user)
    made = http.post("/tasks", {"user_id": user, "content": "first"}).json()["id"]
    eventually(lambda: tab.tasks() == [(made, "first", False)], 60, "created")
    http.patch(f"/tasks/{made}", {"content": "second"})
    eventually(lambda: tab.tasks() == [(made, "second", False)], 60, "changed")
    http.patch(f"/tasks/{made}", {"status": 1})
    eventually(lambda: tab.tasks() == [(made, "second", True)], 60, "completed")
    http.patch(f"/tasks/{made}", {"status": 0})
    eventually(lambda: tab.tasks() == [(made, "second", False)], 60, "reopened")
    http.delete(f"/tasks/{made}")
    eventually(lambda: tab.tasks() == [], 60, "deleted")
    assert kinds(tab) == [f"task.{kind}" for kind in ("deleted", "reopened", "completed", "updated", "created")]
    assert tab.text("#notification-list li:first-child .verb") == "Deleted:"


def test_edit(stack, visit, http, user, task):
    tab = visit(user)
    tab.write_over(task["id"], "Acheter du lait")
    eventually(lambda: tab.tasks() == [(task["id"], "Acheter du lait", False)], 60, "the new text")
    seen_once(tab, [("task.updated", "Acheter du lait")])
    assert stack.sql(f"SELECT content FROM tasks WHERE id = {task['id']}") == [("Acheter du lait",)]
    tab.write_over(task["id"], " ")
    assert tab.text(".task .error") == "Write what is to be done first."
    assert tab.one(".task textarea").is_displayed(), "what was typed is still there"
    tab.one('.task [type="reset"]').click()
    assert tab.errors() == [] and tab.one(".task .tick").is_displayed()
    tab.write_over(task["id"], "Acheter du lait")
    eventually(lambda: tab.one(".task .tick").is_displayed(), 60, "nothing to save")
    assert len(tab.notifications()) == 1


def test_an_edit_does_not_overwrite_what_it_has_not_seen(visit, http, user, task):
    tab = visit(user)
    tab.one(".task .change").click()
    field = tab.one(".task textarea")
    tab.run("arguments[0].value = 'mine'", field)
    http.patch(f"/tasks/{task['id']}", {"content": "theirs"})
    seen_once(tab, [("task.updated", "theirs")])
    assert field.get_attribute("value") == "mine", "what is being typed stays"
    field.send_keys(Keys.ENTER)
    eventually(lambda: tab.text(".task .error"), 60, "a word about it")
    assert tab.text(".task .error") == "The task was not changed. It says “theirs” now. Save again to replace that."
    assert http.get(f"/tasks/{task['id']}").json()["content"] == "theirs"
    field.send_keys(Keys.ENTER)
    eventually(lambda: tab.tasks() == [(task["id"], "mine", False)], 60, "now it is known, and replaced")
    assert tab.errors() == []


def test_an_edit_whose_task_is_deleted_loses_no_text(visit, http, user, task):
    tab = visit(user)
    tab.one(".task .change").click()
    tab.run("arguments[0].value = 'half written'", tab.one(".task textarea"))
    http.delete(f"/tasks/{task['id']}")
    eventually(lambda: tab.tasks() == [], 60, "it is gone")
    assert tab.one("#content").get_attribute("value") == "half written"
    assert tab.text("#create-error").startswith("The task you were changing has been deleted.")


def test_filter(stack, visit, http):
    user = stack.new_users(1)[0]
    first, second = (http.post("/tasks", {"user_id": user, "content": text}).json()["id"] for text in ("one", "two"))
    http.patch(f"/tasks/{first}", {"status": 1})
    tab = visit(user)

    def choose(value):
        tab.run("document.querySelector(`#filter [value=${arguments[0]}]`).click()", value)
        return [number for number, _, _ in tab.tasks()]

    assert choose("open") == [second]
    assert choose("done") == [first]
    assert choose("all") == [second, first]
    choose("open")
    tab.tick(second)
    eventually(lambda: tab.tasks() == [], 60, "what is done leaves")
    assert tab.text("#tasks-empty") == "Nothing left to do."
    assert tab.text("#task-count") == "2 of 2 done"
    http.patch(f"/tasks/{first}", {"status": 0})
    eventually(lambda: [number for number, _, _ in tab.tasks()] == [first], 60, "what is open again comes")


def test_content_is_text(visit, http, user):
    content = "<img src=x onerror=\"document.title='broken'\"> <b>&amp; '\" \\u003c"
    tab = visit(user)
    tab.write(content)
    eventually(lambda: [shown for _, shown, _ in tab.tasks()] == [content], 60, "the text as it is")
    seen_once(tab, [("task.created", content)])
    assert tab.every("main img") == [] and tab.every(".content b") == []
    assert "broken" not in tab.driver.title
    assert http.get(f"/tasks?user_id={user}").json()[0]["content"] == content


def test_all_pages_of_a_long_list(stack, visit, user):
    tasks = stack.new_tasks([user] * 450)
    tab = visit(user)
    assert [number for number, _, _ in tab.tasks()] == sorted(tasks, reverse=True)


def test_a_message_of_another_program(stack, visit, publisher, user, task):
    """A message without our headers is shown, and changes a task only when it contains a complete one."""
    tab = visit(user)
    publisher.publish('{"message":"from elsewhere","task":{"id":%d,"user_id":%d}}' % (task["id"], user))
    seen_once(tab, [("other", "from elsewhere")])
    assert tab.tasks() == [(task["id"], "Acheter du pain", False)]


def test_an_event_that_another_program_emitted(stack, visit, http, user, task):
    """By its own name: its message, or else its data; and the tasks stay as they are."""
    tab = visit(user)
    stack.sql(f"CALL carillon_emit({user}, 'invoice.paid', 'Invoice 7 is paid', NULL)")
    stack.sql(f"CALL carillon_emit({user}, 'door.opened', NULL, '{{\"task\":{{\"id\":{task['id']}}}}}')")
    stack.sql(f"CALL carillon_emit({user}, 'nothing.said', NULL, NULL)")
    said = [("other", "Invoice 7 is paid"), ("other", f'{{"task":{{"id":{task["id"]}}}}}'), ("other", "")]
    seen_once(tab, said)
    verbs = tab.run("return [...document.querySelectorAll('#notification-list .verb')].map((verb) => verb.textContent)")
    assert verbs == ["nothing.said", "door.opened", "invoice.paid"]
    assert tab.tasks() == [(task["id"], "Acheter du pain", False)]
    http.patch(f"/tasks/{task['id']}", {"content": "and on"})
    eventually(lambda: kinds(tab)[0] == "task.updated", 60, "the feed goes on")


def test_odd_messages_of_other_programs(stack, visit, http, publisher, user, task):
    """A text that is no date is not shown as a time, a task without a date is shown without one, and the feed goes on."""
    tab = visit(user)
    whole = {"id": task["id"], "user_id": user, "status": 1, "content": "no dates"}
    for message in (
        {"message": "Meeting at room 12", "task": {"user_id": user}},
        {"message": "five", "event": 5, "task": {"user_id": user, "content": 7}},
        {"message": "done at 0000-00-00", "task": whole},
        {"message": "x", "task": {**whole, "createdAt": "Room 12", "completedAt": "12"}},
    ):
        publisher.publish(json.dumps(message))
    said = ["Meeting at room 12", "five", "done at 0000-00-00", "x"]
    seen_once(tab, [("other", text) for text in said])
    today = tab.run("return new Date().toISOString().slice(0, 10)")
    days = tab.run("return [...document.querySelectorAll('#notification-list time')].map((t) => t.dateTime.slice(0, 10))")
    assert set(days) == {today}
    assert tab.tasks() == [(task["id"], "no dates", True)]
    assert tab.text(".task .when") == "Done"
    http.patch(f"/tasks/{task['id']}", {"content": "and on"})
    eventually(lambda: kinds(tab)[0] == "task.updated", 60, "the feed goes on")


def test_any_date_the_database_takes(stack, visit, user):
    """The whole range of its type, in the user's own calendar."""
    stack.sql(
        "INSERT INTO tasks (user_id, status, content, created_at, completed_at) VALUES "
        f"({user}, 0, 'a', '1969-12-31 12:00:00.500', NULL), ({user}, 1, 'b', '1960-01-01', '1961-02-03 12:05:06.789'), "
        f"({user}, 0, 'c', '1000-01-02 12:00:00', NULL), ({user}, 0, 'd', '9999-12-30 12:00:00.999', NULL)"
    )
    tab = visit(user)
    whens = tab.run("return [...document.querySelectorAll('.task .when')].map((e) => e.textContent.split(',').slice(0, 2).join())")
    assert whens == ["Added Dec 30, 9999", "Added Jan 2, 1000", "Done Feb 3, 1961", "Added Dec 31, 1969"]


def test_odd_rows(stack, visit, user):
    """Rows that the API would never write are shown as far as possible, and break nothing else."""
    odd = [
        {"id": 1, "user_id": user, "status": 1, "content": "done, but when?", "createdAt": "1960-01-01", "completedAt": None},
        {"id": 2, "user_id": user, "status": 0, "content": "no day", "createdAt": "000/-11-30T00:00:00.000Z", "completedAt": None},
        {"id": 3, "user_id": user, "status": 0, "content": "old", "createdAt": "0969-12-31T12:00:00.500Z", "completedAt": None},
        {"id": 4, "user_id": user, "status": 0, "content": None},
        None,
        {"id": 5, "user_id": user, "status": 9, "content": "what status?", "createdAt": "1970-01-01T00:00:00.+00Z"},
    ]
    tab = visit(None, live=False)
    tab.run(
        """const [odd, user] = arguments;
           const real = window.fetch;
           window.fetch = async (url, how) => {
             const answer = await real(url, how);
             return String(url).includes(`tasks?user_id=${user}&`)
               ? new Response(JSON.stringify(odd), { status: 200, headers: answer.headers }) : answer;
           };""",
        odd, user,
    )
    eventually(lambda: tab.every(f'#user option[value="{user}"]'), 60, "the list of users")[0].click()
    tab.live()
    assert [(number, content) for number, content, _ in tab.tasks()] == [
        (5, "what status?"), (3, "old"), (2, "no day"), (1, "done, but when?")
    ]
    whens = tab.run("return [...document.querySelectorAll('.task .when')].map((e) => e.textContent)")
    assert whens[0] == whens[2] == "" and whens[1].startswith("Added Dec 31, 969") and whens[3] == "Done"
    assert not tab.one("#tasks-empty").is_displayed()
    tab.write("and a real one")
    seen_once(tab, [("task.created", "and a real one")])
    assert len(tab.tasks()) == 5


def test_five_thousand_events_at_once(stack, visit, user):
    """A long replay does not freeze the page: the work grows only with the number of events."""
    tasks = stack.new_tasks([user] * 300)
    tab = visit(user)
    cursor = stack.client().get(f"/tasks?user_id={user}&limit=1").header("Event-Cursor").split(":")
    drawn = tab.run(
        """const [user, tasks, epoch, seq] = arguments;
           const observer = new MutationObserver(() => {});
           const everything = { subtree: true, childList: true, attributes: true, characterData: true };
           observer.observe(document.getElementById('task-list'), everything);
           for (let n = 1; n <= 5000; n++) {
             const task = { id: tasks[n % tasks.length], user_id: user, status: 0, content: `n${n}`,
                            createdAt: '2024-01-02T17:00:00.000Z', completedAt: null };
             window.witness.sockets.at(-1).onmessage({ data: JSON.stringify({ type: 'notification',
               event: 'task.updated', cursor: `${epoch}:${seq + n}`, message: `event ${n}`, task }) });
           }
           return observer.takeRecords().length;""",
        user, tasks, cursor[0], int(cursor[1]),
    )
    assert 5000 <= drawn <= 10 * 5000, "an event redraws its own row, not all 300"
    assert tab.state == "live"
    assert tab.notifications()[0] == ("task.updated", "n5000")
    assert len(tab.notifications()) == 200, "the list is bounded"
    assert dict((number, content) for number, content, _ in tab.tasks())[tasks[5000 % 300]] == "n5000"
    assert len(tab.logged()) == 5000
