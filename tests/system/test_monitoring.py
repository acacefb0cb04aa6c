# SPDX-License-Identifier: MIT
"""ops/: the alerts by Prometheus' own checks; then a Prometheus that reads a stack, whose panels all have data, and whose
alerts fire when what they watch is broken."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

import pytest

from conftest import PATIENT
from lib.http import Http
from lib.ports import Block
from lib.stack import ROOT, Stack
from lib.wait import eventually

OPS = ROOT / "ops"
RULES = OPS / "prometheus" / "carillon.rules.yml"
DASHBOARD = json.loads((OPS / "grafana" / "dashboards" / "carillon.json").read_text())
ALERTS = re.findall(r"^      - alert: (\w+)$", RULES.read_text(), re.M)
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules_and_the_configurations():
    assert f"{len(ALERTS) + 1} rules found" in promtool("check", "rules", RULES)
    for path in sorted((OPS / "prometheus").glob("prometheus*.yml")):
        promtool("check", "config", path)


def test_each_alert_fires_on_what_it_is_about_and_on_nothing_else():
    promtool("test", "rules", RULES.with_suffix(".test.yml"))
    tried = re.findall(r"alertname: (\w+)\n +exp_alerts:( \[\])?$", RULES.with_suffix(".test.yml").read_text(), re.M)
    assert sorted(tried) == sorted((name, none) for name in ALERTS for none in ("", " []"))


def test_each_alert_has_its_line_in_the_runbook():
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert re.findall(r"^\| `(Carillon\w+)` \| .+ \| .+ \|$", page, re.M) == ALERTS


def test_rules_and_panels_name_figures_that_there_are(http):
    told = http.get("/metrics").text + http.get("/notifier/metrics").text
    there = set(re.findall(r"^(carillon_\w+)", told, re.M))
    for text in (RULES.read_text(), " ".join(QUERIES)):
        assert set(re.findall(r"\bcarillon_\w+", text)) <= there


class Prometheus:
    """One that reads a stack each half second, with the rules' times made short."""

    def __init__(self, stack):
        self._folder = Path(tempfile.mkdtemp(prefix="carillon-prometheus-"))
        self._block = Block()
        rules = RULES.read_text()
        shorter = [(r"\[\d+m\]", "[10s]"), (r"for: \d+m", "for: 1s"), (r"oldest_seconds > 30", "oldest_seconds > 3")]
        shorter += [(r"starts_total\[10s\]\) > 10", "starts_total[10s]) > 3")]
        for pattern, short in shorter:
            assert re.search(pattern, rules), pattern
            rules = re.sub(pattern, short, rules)
        (self._folder / "carillon.rules.yml").write_text(rules)
        configuration = (OPS / "prometheus" / "prometheus.yml").read_text().replace("_interval: 15s", "_interval: 500ms")
        for port, here in (("80", stack.port("PORT")), ("3081", stack.port("NOTIFIER_PORT"))):
            assert configuration.count(f'"127.0.0.1:{port}"') == 1
            configuration = configuration.replace(f'"127.0.0.1:{port}"', f'"127.0.0.1:{here}"')
        (self._folder / "prometheus.yml").write_text(configuration)
        address = f"127.0.0.1:{self._block.first}"
        self._log = open(self._folder / "log", "w")
        self._process = subprocess.Popen(
            [
                "prometheus", f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data",
                f"--web.listen-address={address}",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        self._http = Http(f"http://{address}")
        eventually(lambda: self.query("up") and all(value == 1 for value in self.query("up")), 120, "it reads both")

    def query(self, expression):
        """The values that it has now; none while it does not answer."""
        try:
            answer = self._http.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        except OSError:
            return []
        assert answer.status == 200, f"{expression}: {answer.text}"
        return [float(row["value"][1]) for row in answer.json()["data"]["result"]]

    def firing(self):
        try:
            alerts = self._http.get("/api/v1/alerts").json()["data"]["alerts"]
        except OSError as error:
            raise AssertionError(repr(error)) from None
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def stop(self):
        self._process.terminate()
        self._process.wait(60)
        self._log.close()
        self._block.release()
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="module")
def watched():
    """A stack of its own, for it is broken in several places, with some traffic; and its Prometheus."""
    stack = Stack.start(API_WORKERS=2, ADMINER_PORT="off", WS_MAX_CLIENTS=20, NOTIFIER_MEMORY_BYTES=67108864, WS_SILENT_S=0, **PATIENT)
    try:
        prometheus = Prometheus(stack)
        try:
            yield stack, prometheus
        finally:
            prometheus.stop()
    finally:
        stack.stop()


def change(stack, task):
    return stack.client().patch(f"/tasks/{task}", {"status": 1}).status


@pytest.mark.long
def test_every_panel_has_data(watched):
    """While something happens: a socket that comes back, and changes."""
    stack, prometheus = watched
    [user] = stack.new_users()
    [task] = stack.new_tasks([user])
    missing = {}

    def all_have():
        socket = stack.socket()
        socket.subscribe(user, since=f"{stack.epoch()}:0")
        assert change(stack, task) == 200
        socket.close()
        missing.clear()
        for query in QUERIES:
            values = prometheus.query(query.replace("$__rate_interval", "10s").replace("15m", "10s"))
            if not values or any(value != value for value in values):  # NaN
                missing[query] = values
        return not missing

    eventually(all_have, 120, missing, interval=0.5)
    # With times this short a machine that stalls sets one off by itself; it ends by itself, too.
    eventually(lambda: not prometheus.firing(), 60, "nothing fires")


@pytest.mark.long
def test_alerts_fire_when_what_they_watch_is_broken(watched):
    stack, prometheus = watched
    [user] = stack.new_users()
    [task] = stack.new_tasks([user])

    def fire(names, meanwhile=lambda: None):
        def all_fire():
            meanwhile()
            missing = names - prometheus.firing()
            assert not missing, f"{missing} do not fire; {prometheus.firing()} do"
            return True

        eventually(all_fire, 180, interval=0.3)

    def kill_a_worker():
        workers = stack.workers()
        if len(workers) == 2:  # else the one that is left tells Prometheus of it
            with contextlib.suppress(ProcessLookupError):
                workers[0].kill(signal.SIGKILL)

    def come_in_vain():
        stack.socket().close()

    # Too many sockets, of which some are sent away, again and again; and workers that end.
    opened = [stack.socket() for _ in range(25)]
    fire({"CarillonSocketsRefused"}, come_in_vain)
    for socket in opened:
        socket.close()
    fire({"CarillonWorkersRestart"}, kill_a_worker)
    # One part after the other, and none comes back. Nothing leaves.
    stack.s6("-d", "rabbitmq")
    fire(
        {"CarillonBrokerAway", "CarillonNotifierCutOff", "CarillonNothingConfirmed", "CarillonNotifierBehind", "CarillonOutboxOld"},
        lambda: change(stack, task),
    )
    # No writes, and no feed.
    stack.s6("-d", "mariadb")
    stack.s6("-d", "ws-notifier")
    fire({"CarillonErrors", "CarillonNotifierAway"}, lambda: change(stack, task))
    stack.s6("-d", "nginx")
    fire({"CarillonApiAway"})
