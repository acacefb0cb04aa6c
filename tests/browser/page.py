# SPDX-License-Identifier: MIT
"""The page in a real browser, in the words of the tests: what it shows, its controls, its log."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lib.wait import eventually

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --mute-audio"
)

# Runs in every tab before the page's own code: keeps what it logs, the sockets it opens and what the
# content security policy stopped.
WITNESS = """
window.witness = { logged: [], sockets: [], violations: [], started: Math.random() };
const log = console.log;
console.log = (...things) => {
  window.witness.logged.push(JSON.parse(JSON.stringify(things)));
  log.apply(console, things);
};
addEventListener('securitypolicyviolation', (event) => window.witness.violations.push(event.violatedDirective));
window.WebSocket = class extends WebSocket {
  constructor(...how) { super(...how); window.witness.sockets.push(this); }
};
"""


class Browser:
    """One Chromium with a profile of its own, made for one language."""

    def __init__(self, language, *more_arguments):
        self._profile = tempfile.mkdtemp(prefix="carillon-browser-")
        options = Options()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for argument in [*ARGUMENTS.split(), *more_arguments]:
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={self._profile}")
        options.add_argument(f"--lang={language}")
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver") or "/usr/bin/chromedriver")
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_page_load_timeout(100)
        self.driver.set_script_timeout(100)
        self._first = self.driver.current_window_handle

    def open(self, address, **look):
        self.driver.switch_to.new_window("tab")
        tab = Tab(self.driver, self.driver.current_window_handle)
        tab.look(**look)
        tab.go(address)
        return tab

    def visit(self, address):
        """As open(), for a server that may not listen yet: then None."""
        tab = self.open("about:blank")
        try:
            tab.go(address)
        except WebDriverException:
            tab.close()
            return None
        return tab

    def requests(self):
        """Every address asked for since the last call, WebSockets too."""
        addresses = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                addresses.append(message["params"]["request"]["url"])
            elif message["method"] == "Network.webSocketCreated":
                addresses.append(message["params"]["url"])
        return addresses

    def console(self):
        """What the browser's console got since the last call: [(level, text), ...]."""
        return [(entry["level"], entry["message"]) for entry in self.driver.get_log("browser")]

    def close_tabs(self):
        for handle in self.driver.window_handles:
            if handle != self._first:
                self.driver.switch_to.window(handle)
                self.driver.close()
        self.driver.switch_to.window(self._first)
        self.console()
        self.requests()

    def quit(self):
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self._profile, ignore_errors=True)


class Tab:
    """One tab with the page in it."""

    def __init__(self, driver, handle):
        self.driver, self.handle = driver, handle
        self._cdp("Page.addScriptToEvaluateOnNewDocument", source=WITNESS)

    def _cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def here(self):
        if self.driver.current_window_handle != self.handle:
            self.driver.switch_to.window(self.handle)
        return self

    def close(self):
        self.here().driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])

    def go(self, address):
        self.here().driver.get(address)

    def look(self, width=1280, height=900, dark=False, still=False):
        self.here()
        self._cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}
        self._cdp("Emulation.setEmulatedMedia", features=[scheme, motion])

    def run(self, script, *arguments):
        return self.here().driver.execute_script(script, *arguments)

    def one(self, selector):
        return self.here().driver.find_element(By.CSS_SELECTOR, selector)

    def every(self, selector):
        return self.here().driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText.trim() ?? null", selector)

    def press(self, *keys):
        webdriver.ActionChains(self.here().driver).send_keys(*keys).perform()

    def focused(self):
        return self.here().driver.switch_to.active_element

    def screenshot(self, path):
        self.here().driver.save_screenshot(str(path))

    # -- what is seen

    @property
    def state(self):
        return self.run("return document.getElementById('connection').dataset.state")

    def live(self, deadline=60):
        eventually(lambda: self.state == "live", deadline, "the page is live")
        return self

    def tasks(self):
        """The task rows from the top: [(id, content, done), ...]."""
        rows = self.run(
            """return [...document.querySelectorAll('#task-list > li')].map((row) => [
                 Number(row.dataset.task), row.querySelector('.content').textContent, row.querySelector('input').checked])"""
        )
        return [tuple(row) for row in rows]

    def is_done(self, task):
        return dict((number, done) for number, _, done in self.tasks()).get(task)

    def notifications(self):
        """The newest first: [(kind, subject), ...]."""
        rows = self.run(
            """return [...document.querySelectorAll('#notification-list > li')].map((row) => [row.dataset.kind,
                 row.querySelector('.subject').textContent])"""
        )
        return [tuple(row) for row in rows]

    def errors(self):
        return [text for text in self.run("return [...document.querySelectorAll('.error')].map((e) => e.innerText)") if text]

    def logged(self):
        """The objects given to console.log."""
        return [thing for (thing,) in self.run("return window.witness.logged")]

    def violations(self):
        return self.run("return window.witness.violations")

    def same_document(self):
        """A value that changes when the page is loaded anew."""
        return self.run("return window.witness.started")

    # -- what can be done

    def idle(self):
        """While its request is under way a row, or the form, takes no other one. An event may be here before the answer is."""
        eventually(lambda: not self.every('[aria-busy="true"]'), 60, "the answers are here")
        return self

    def write(self, content):
        """Types a new task and presses Enter. (Typing letter by letter is slow and fails beyond the BMP.)"""
        self.idle()
        field = self.one("#content")
        self.run("arguments[0].value = arguments[1]", field, content)
        field.send_keys(Keys.ENTER)

    def write_over(self, task, content):
        """Changes a task's text, and presses Enter."""
        self.idle()
        self.one(f'[data-task="{task}"] .change').click()
        field = self.one(f'[data-task="{task}"] textarea')
        self.run("arguments[0].value = arguments[1]", field, content)
        field.send_keys(Keys.ENTER)

    def tick(self, task):
        self.idle()
        self.one(f'[data-task="{task}"] .tick').click()

    def delete(self, task):
        self.idle()
        self.one(f'[data-task="{task}"] .delete').click()
        self.one('#confirm [value="delete"]').click()

    def server_says(self, message):
        """A frame as if the server had sent it on the page's newest socket."""
        self.run("window.witness.sockets.at(-1).onmessage({ data: arguments[0] })", json.dumps(message))

    def server_closes(self, code, reason):
        """A close as if the server had sent it there."""
        self.run("window.witness.sockets.at(-1).onclose({ code: arguments[0], reason: arguments[1] })", code, reason)


# -- for the tests


def kinds(tab):
    return [kind for kind, _ in tab.notifications()]


def seen_once(tab, expected, deadline=60):
    """The notifications, oldest first, are exactly these (kind, subject)."""

    def check():
        seen = tab.notifications()[::-1]
        assert seen == expected, f"{seen} instead of {expected}"
        return True

    eventually(check, deadline, "notifications")


@contextmanager
def away(stack, part):
    """The part (all of its processes) is stopped inside the block, and started again after it."""
    folders = sorted((stack.run_dir / "service").glob(f"{part}*"))
    assert folders, f"no {part} in {stack.run_dir}/service"

    def control(switch):
        for folder in folders:
            subprocess.run(["s6-svc", switch, folder], check=True, timeout=60)

    def is_up():
        says = [subprocess.check_output(["s6-svstat", "-o", "up", folder], text=True) for folder in folders]
        return [word.strip() == "true" for word in says]

    control("-d")
    try:
        eventually(lambda: not any(is_up()), 60, f"{part} is down")
        yield
    finally:
        control("-u")
        eventually(lambda: all(is_up()), 60, f"{part} is up")

def picture(stack, name):
    """Where a screenshot goes when it is not for the README."""
    folder = Path(os.environ.get("CARILLON_TEST_LOGS") or stack.run_dir / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
