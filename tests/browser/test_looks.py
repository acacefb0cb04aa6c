# SPDX-License-Identifier: MIT
"""How the page looks and reads: languages, phones, colours, keyboard, screen readers, and its behaviour."""

import os
import urllib.request
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.wait import eventually
from page import kinds, picture

ROOT = Path(__file__).resolve().parents[2]

# Colours as they are drawn: every visible text against its background (WCAG 2, 1.4.3).
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
  if (!own || element.closest('noscript')) continue;
  if (!element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
  const background = behind(element);
  const style = getComputedStyle(element, element.placeholder && !element.value ? '::placeholder' : null);
  const [a, b] = [luminance(over(parse(style.color), background)), luminance(background)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const name = `${element.tagName}.${element.className} "${element.textContent.trim().slice(0, 30)}"`;
  if (ratio < 4.5) bad.push(`${name} ${ratio.toFixed(2)}`);
}
return bad;
"""


# --- languages ---


@pytest.mark.parametrize(
    "language, lang, words",
    [
        ("en-US", "en", ("Tasks", "New task", "Add", "Live", "Completed:", "1 of 1 done", "Choose a user…")),
        (
            "fr-FR",
            "fr",
            ("Tâches", "Nouvelle tâche", "Ajouter", "En direct", "Terminée :", "1 sur 1 terminée", "Choisir un utilisateur…"),
        ),
        ("de-DE", "en", ("Tasks", "New task", "Add", "Live", "Completed:", "1 of 1 done", "Choose a user…")),
    ],
)
def test_languages(visit, http, user, task, language, lang, words):
    tab = visit(user, language=language)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the notification")
    places = ("#tasks-title", '[for="content"]', "#create button", "#connection-state", ".verb", "#task-count", "#user option")
    assert tuple(tab.run("return arguments[0].map((s) => document.querySelector(s).textContent.trim())", places)) == words
    assert tab.run("return document.documentElement.lang") == lang
    assert "has been completed" not in tab.text("#notification-list"), "the server's sentence is for programs"


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
    """Nothing is wider than a phone, whatever the tasks' texts; touch targets are large enough."""
    tab = visit(user, language=language, width=width, height=740)
    for content in ("x" * 300, "Un texte ordinaire, assez long pour se replier plusieurs fois sur un téléphone"):
        http.post("/tasks", {"user_id": user, "content": content})
    tab.write(" ")
    eventually(lambda: len(tab.notifications()) == 2, 60, "both notifications")
    assert tab.run("return document.documentElement.scrollWidth") <= width
    wide = tab.run(
        "return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5 "
        "&& !e.closest('.skip')).map((e) => e.className || e.tagName)"
    )
    assert wide == []
    small = tab.run(
        "return [...document.querySelectorAll('button, select, textarea, .field input, .tick, .filter label, .people a')].filter((e) => e.offsetParent && "
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
    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the notification")
    backgrounds = tab.run("return getComputedStyle(document.body).backgroundColor")
    assert backgrounds == ("rgb(21, 23, 26)" if dark else "rgb(246, 244, 240)")
    assert tab.run(CONTRASTS) == []
    tab.one(".delete").click()
    assert tab.run(CONTRASTS) == []
    tab.one('#confirm [value="cancel"]').click()
    for state in ("connecting", "offline"):
        tab.run("document.getElementById('connection').dataset.state = arguments[0]", state)
        tab.run("document.getElementById('retry').hidden = false")
        assert tab.run(CONTRASTS) == []


def test_nothing_moves_for_who_does_not_want_it(visit, http, user, task):
    tab = visit(user, still=True)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the notification")
    moving = tab.run("return document.getAnimations().length")
    assert moving == 0


def test_right_to_left(visit, http, user):
    """A text runs the way its letters do, wherever it stands, and the page around it as ever."""
    content = "לקנות לחם (2)"
    tab = visit(user)
    http.post("/tasks", {"user_id": user, "content": content})
    eventually(lambda: kinds(tab) == ["task.created"], 60, "the notification")
    tab.run("document.getElementById('content').value = arguments[0]", content)
    tab.one(".change").click()
    tab.one('.task [type="reset"]').click()
    tab.one(".delete").click()
    places = [".task .content", ".task textarea", ".notification .subject", "#confirm-content", "#content", "#latest-subject"]
    ways = tab.run("return arguments[0].map((p) => getComputedStyle(document.querySelector(p)).direction)", places)
    assert dict(zip(places, ways)) == dict.fromkeys(places, "rtl")
    assert tab.run("return getComputedStyle(document.querySelector('.notification .headline')).direction") == "ltr"
    gap = tab.run(
        "const range = document.createRange(); range.selectNodeContents(document.querySelector('.task .content'));"
        "return document.querySelector('.task .change').getBoundingClientRect().left - range.getBoundingClientRect().right"
    )
    assert gap < 60, "it begins at the right edge of its row"


def test_new_events_are_seen_on_a_phone(visit, http, user):
    """The list of notifications lies below the tasks there: the newest one shows at the lower edge until it is reached."""
    for number in range(12):
        http.post("/tasks", {"user_id": user, "content": f"task {number}"})
    tab = visit(user, width=360, height=740)
    assert not tab.one("#latest").is_displayed()
    http.patch(f"/tasks/{tab.tasks()[3][0]}", {"status": 1})
    eventually(lambda: tab.one("#latest").is_displayed(), 60, "the newest one")
    assert tab.text("#latest") == "Completed: task 8"
    box = tab.run("const b = document.getElementById('latest').getBoundingClientRect(); return [b.left, b.right, b.bottom]")
    assert box[0] >= 0 and box[1] <= 360 and box[2] <= 740, "all of it is in view"
    tab.one("#latest").click()
    eventually(lambda: not tab.one("#latest").is_displayed(), 60, "it has been reached")
    assert tab.run("return document.getElementById('notification-list').getBoundingClientRect().top < innerHeight")
    assert tab.state == "live"


def test_the_welcome(browser, visit):
    """The page says what this is, names the users, and how to see it work."""
    tab = visit(None, path="/")
    links = eventually(lambda: tab.every("#welcome-users a"), 60, "the users")
    assert len(links) <= 12
    assert [link.text for link in links[:4]] == ["Alice Martin", "Bruno Lefèvre", "Chloé Dubois", "David Moreau"]
    host = tab.driver.current_url.rstrip("/")
    assert tab.text("#try-it") == f"curl --request PATCH --data '{{\"status\":1}}' {host}/tasks/1"
    assert tab.run(CONTRASTS) == []
    links[0].click()
    tab.live()
    assert tab.driver.current_url.endswith("/?user_id=1")
    assert not tab.one("#welcome").is_displayed()
    assert tab.run("return document.documentElement.scrollWidth <= innerWidth")
    phone = visit(None, path="/", width=320, height=640, language="fr-FR")
    eventually(lambda: phone.every("#welcome-users a"), 60, "the users")
    assert phone.run("return document.documentElement.scrollWidth") <= 320


# --- accessible ---


def test_names_roles_and_live_regions(visit, http, user, task):
    tab = visit(user)
    http.patch(f"/tasks/{task['id']}", {"status": 1})
    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the notification")

    controls = [control for control in tab.every("a, button, input, select") if control.is_displayed()]
    assert [control.get_attribute("outerHTML")[:80] for control in controls if not control.accessible_name] == []
    places = (
        "#user, #content, #create button, .tick input, .change, .delete, #filter, #task-list, #tasks, #notifications, "
        "#connection-state"
    )
    named = {place: (tab.one(place).aria_role, tab.one(place).accessible_name) for place in places.split(", ")}
    assert named["#user"] == ("combobox", "User")
    assert named["#content"] == ("textbox", "New task")
    assert named["#create button"] == ("button", "Add")
    assert named[".tick input"] == ("checkbox", "Acheter du pain")
    assert named[".change"] == ("button", "Change: Acheter du pain")
    assert named[".delete"] == ("button", "Delete: Acheter du pain")
    assert named["#filter"] == ("group", "Show")
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
    levels = tab.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].filter((h) => h.checkVisibility()).map((h) => h.tagName)"
    )
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
    for _ in range(8):
        tab.press(Keys.TAB)
        element = tab.focused()
        stops.append(element.accessible_name)
        outline = tab.run(
            "const e = document.activeElement;"
            "const shown = e.type === 'checkbox' ? e.nextElementSibling : e.type === 'radio' ? e.parentElement : e;"
            "const s = getComputedStyle(shown); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
        )
        assert outline[0] != "none" and outline[1] >= 2, f"the focus shows on {stops[-1]}"
        if len(stops) == 1:
            assert tab.run("return document.activeElement.getBoundingClientRect().top >= 0"), "the skip link appears"
    stops_wanted = ["Skip to the content", "User", "New task", "Add", "All"]
    assert stops == [*stops_wanted, "Acheter du pain", "Change: Acheter du pain", "Delete: Acheter du pain"]

    tab.press(Keys.ENTER)  # on "Delete"
    assert tab.focused().accessible_name == "Keep it", "the harmless answer comes first"
    tab.press(Keys.ESCAPE)
    assert tab.focused().accessible_name == "Delete: Acheter du pain", "back where one was"
    ActionChains(tab.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB, Keys.TAB).key_up(Keys.SHIFT).perform()
    tab.press(Keys.SPACE)
    eventually(lambda: tab.is_done(task["id"]), 60, "ticked")
    eventually(lambda: kinds(tab) == ["task.completed"], 60, "the event")
    tab.idle()
    assert tab.focused().accessible_name == "Acheter du pain", "the focus stays through the change"
    tab.press(Keys.TAB, Keys.ENTER)
    assert tab.focused().accessible_name == "What is to be done"
    tab.press("!", Keys.ESCAPE)
    assert tab.focused().accessible_name == "Change: Acheter du pain", "given up, and back where one was"
    tab.press(Keys.ENTER, "!", Keys.ENTER)
    eventually(lambda: tab.tasks() == [(task["id"], "Acheter du pain!", True)], 60, "changed")
    tab.idle()
    assert tab.focused().accessible_name == "Change: Acheter du pain!"
    tab.press(Keys.TAB, Keys.ENTER, Keys.TAB, Keys.ENTER)
    eventually(lambda: tab.tasks() == [], 60, "deleted")
    assert tab.focused().get_attribute("id") == "content", "the focus is not lost with the row"


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
    number = eventually(lambda: tab.tasks(), 60, "the task")[0][0]
    tab.tick(number)
    eventually(lambda: len(tab.notifications()) == 2, 60, "the notifications")
    tab.delete(number)
    eventually(lambda: len(tab.notifications()) == 3, 60, "the notifications")

    host = stack.http.split("//")[1]
    asked = [address for address in chromium.requests() if not address.startswith(("data:", "chrome:", "about:"))]
    assert any(address.startswith("ws://") for address in asked)
    assert [address for address in asked if address.split("//")[1].split("/")[0] != host] == []
    assert tab.violations() == []
    unquiet = [text for level, text in chromium.console() if level in ("SEVERE", "WARNING")]
    assert unquiet == []

    with urllib.request.urlopen(f"{stack.http}/index.html", timeout=60) as answer:
        policy = answer.headers["Content-Security-Policy"]
        html = answer.read().decode()
    assert "unsafe" not in policy and "*" not in policy
    assert " style=" not in html and "<style" not in html and "<script>" not in html and " onclick" not in html


def test_the_policy_works(visit, user):
    """Proves that the test above can fail: inline code is refused, and the refusal is noticed."""
    tab = visit(user)
    tab.run(
        """const script = document.createElement('script');
           script.textContent = 'document.title = "broken"';
           document.body.append(script);"""
    )
    eventually(lambda: tab.violations(), 60, "the violation")
    assert "broken" not in tab.driver.title


# --- the pictures in README.md and README.fr.md: UPDATE_SCREENSHOT=1 takes them anew ---


@pytest.mark.parametrize(
    "name, look",
    [
        ("screenshot.png", {"height": 610}),
        ("screenshot-phone.png", {"width": 360, "height": 740}),
        ("screenshot-dark.png", {"height": 610, "dark": True}),
    ],
)
def test_screenshot(stack, visit, http, name, look):
    update = os.environ.get("UPDATE_SCREENSHOT") == "1"
    tab = visit(1, still=True, **look)
    for status in (0, 1):
        http.patch("/tasks/1", {"status": status})
    eventually(lambda: kinds(tab)[:2] == ["task.completed", "task.reopened"], 60, "two notifications")
    path = ROOT / "docs" / "pictures" / name if update else picture(stack, name)
    tab.screenshot(path)
    assert path.stat().st_size > 5000
