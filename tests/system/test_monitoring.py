# SPDX-License-Identifier: MIT
"""ops/: the alerts by Prometheus' own checks, and the names in them and in the dashboard. What a Prometheus makes of a stack
is in test_alerts.py."""

import re
import subprocess

from lib.prometheus import ALERTS, OPS, QUERIES, RULES
from lib.stack import ROOT


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
