# SPDX-License-Identifier: MIT
"""The page for administrators: values that move, who may see them, and parts that do not answer."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from lib.http import assert_problem
from lib.wait import eventually
from page import away, picture
from test_looks import CONTRASTS

WELL = {"API": "answers", "Database": "stores", "Broker": "confirms", "Events": "leave", "Notifier 1": "reads the stream"}


def parts(tab):
    rows = tab.run("return [...document.querySelectorAll('#parts li')].map((row) => [...row.querySelectorAll('.name, .state')].map((e) => e.textContent))")
    return dict(rows)


def name_of(tab, chart):
    """What a screen reader says of it."""
    return tab.run("return document.querySelector(`#${arguments[0]} > svg`).getAttribute('aria-label')", chart)


def value(tab, chart, label):
    rows = tab.run("return [...document.querySelectorAll(`#${arguments[0]} .legend li`)].map((row) => [row.querySelector('span').textContent, row.querySelector('strong').textContent])", chart)
    return dict(rows)[label]


def above_zero(tab, chart):
    """Of each line whether it was above zero at some time."""
    return tab.run("return [...document.querySelectorAll(`#${arguments[0]} > svg path`)].map((path) => /[ML][\\d.]+ (?!100\\.0)/.test(path.getAttribute('d')))", chart)


def looks(tab):
    """How often it has read the API's figures."""
    return tab.run("return performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/admin/metrics')).length")


def working(tab):
    tab.run("performance.setResourceTimingBufferSize(100000)")
    eventually(lambda: parts(tab) == WELL, 60, "all parts work")
    eventually(lambda: "answered none" not in name_of(tab, "requests"), 60, "a second look, with rates")
    return tab


@pytest.fixture
def admin(stack, browser):
    """The page of the open service."""
    stack.ready()

    def open_one(language="en-US", **look):
        return browser(language).open(f"{stack.http}/admin.html", **look)

    return open_one


def test_values_move(stack, http, browser, admin, sockets, task):
    stack.outbox_empty()
    tab = working(admin())
    assert tab.text("#summary") == "All parts work."
    assert "At most 0/s" in name_of(tab, "events")
    sockets().subscribe(task["user_id"])
    said = re.compile(r"Sockets: open [1-9]\d*, users heard [1-9]\d*\. At most [1-9]\d* in the last ten minutes\.")
    eventually(lambda: said.fullmatch(name_of(tab, "sockets")), 60, "the socket")
    assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
    eventually(lambda: above_zero(tab, "events") == [True, True], 60, "the event was published and delivered")
    assert "At most 0/s" not in name_of(tab, "events")
    eventually(lambda: "At most 0 ms" not in name_of(tab, "lag"), 60, "its lag")
    drawings = tab.every("#charts svg[role=img]")
    assert len(drawings) == 5 and all(drawing.accessible_name for drawing in drawings)
    host = stack.http.split("//")[1]
    asked = [address for address in browser().requests() if not address.startswith(("data:", "chrome:", "about:"))]
    assert [address for address in asked if address.split("//")[1].split("/")[0] != host] == []
    assert tab.violations() == []
    assert [text for level, text in browser().console() if level in ("SEVERE", "WARNING") and "/admin/notifiers/2/" not in text] == []


def test_a_tab_that_is_not_seen_asks_nothing(admin):
    """Looks of another tab tell how much time has passed."""
    hidden, seen = working(admin()), admin()
    switch = "Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true }); document.dispatchEvent(new Event('visibilitychange'))"
    hidden.run(switch, True)
    before, others = looks(hidden), looks(seen)
    eventually(lambda: looks(seen) >= others + 4, 60, "four looks of the other tab")
    assert looks(hidden) <= before + 1, "the one that was under way"
    after = looks(hidden)
    hidden.run(switch, False)
    eventually(lambda: looks(hidden) > after, 60, "it looks again")


@pytest.mark.parametrize("language, dark, width", [("en-US", False, 1280), ("en-US", True, 1280), ("fr-FR", False, 320)])
def test_how_it_looks(stack, http, admin, sockets, task, language, dark, width):
    tab = admin(language, dark=dark, width=width, height=1000, still=True)
    tab.run("performance.setResourceTimingBufferSize(100000)")
    eventually(lambda: tab.every("#parts li"), 60, "the parts")
    sockets().subscribe(task["user_id"])
    for number in range(3):
        seen = looks(tab)
        http.patch(f"/tasks/{task['id']}", {"content": f"n{number}"})
        eventually(lambda: looks(tab) >= seen + 2, 60, "two looks")
    assert tab.run("return document.documentElement.lang") == language[:2]
    assert tab.run("return document.documentElement.scrollWidth") <= width
    assert tab.run(CONTRASTS) == []
    assert [e.text for e in tab.every("h1")] == ["Carillon"]
    tab.screenshot(picture(stack, f"admin-{language}-{'dark' if dark else 'light'}-{width}.png"))


def test_the_other_page_leads_there(visit):
    tab = visit(None, path="/")
    tab.one(".foot a").click()
    working(tab)


# --- who may see them ---


def asks(tab, told):
    eventually(lambda: tab.text("#refused") == told, 60, told)
    assert tab.one("#door").is_displayed() and not tab.one("#figures").is_displayed()


def test_a_token_is_asked_for(guarded_stack, browser):
    guarded_stack.ready()
    [user] = guarded_stack.new_users(1)
    issuer = guarded_stack.issuer
    tab = browser().open(f"{guarded_stack.http}/admin.html")
    asks(tab, "This service wants to know who you are.")
    assert tab.run(CONTRASTS) == []
    assert tab.one("#token").accessible_name == "Token"
    for token, told in [
        (issuer.token(user), "The token is not an administrator’s: its scope lacks tasks:admin."),
        ("garbage", "The token is not valid here. Give another one."),
        (issuer.admin(ttl=-1), "The token has expired. Give a fresh one."),
    ]:
        tab.one("#token").send_keys(token, Keys.ENTER)
        asks(tab, told)
    tab.one("#token").send_keys(issuer.admin(), Keys.ENTER)
    working(tab)
    assert not tab.one("#door").is_displayed() and tab.focused().get_attribute("id") == "main"
    tab.driver.refresh()
    working(tab)
    assert not any("token=" in url or "eyJ" in url for url in browser().requests()), "it is in no request's address"


def test_a_token_comes_with_the_address(guarded_stack, browser):
    guarded_stack.ready()
    tab = browser().open(f"{guarded_stack.http}/admin.html#token={guarded_stack.issuer.admin()}")
    working(tab)
    assert tab.driver.current_url == f"{guarded_stack.http}/admin.html"


# --- parts that are away ---


@pytest.mark.disturbs
def test_a_notifier_is_away(stack, http, admin, task):
    tab = working(admin())
    with away(stack, "ws-notifier"):
        eventually(lambda: parts(tab) == {**WELL, "Notifier 1": "does not answer"}, 60, "its part says so")
        assert tab.text("#summary") == "Notifier 1: does not answer."
        assert_problem(http.get("/admin/notifiers/1/metrics"), 503, "unavailable")
        seen = looks(tab)
        assert http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
        eventually(lambda: "At most 0/s" not in name_of(tab, "events"), 60, "the API's charts go on")
        eventually(lambda: looks(tab) >= seen + 3, 60, "and so does looking")
        assert value(tab, "sockets", "open") == value(tab, "events", "delivered") == "none"
        assert value(tab, "outbox", "events that wait") == "0"
    working(tab)
    eventually(lambda: value(tab, "sockets", "open") != "none", 60, "its figures are back")


@pytest.mark.disturbs
def test_the_api_is_away(stack, admin):
    tab = working(admin())
    with away(stack, "fcgi-api"):
        unknown = dict.fromkeys(WELL, "not known now")
        eventually(lambda: parts(tab) == {**unknown, "API": "does not answer"}, 60, "it says so")
        assert tab.text("#summary") == "API: does not answer."
    working(tab)
    stack.ready()
