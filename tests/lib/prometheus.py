# SPDX-License-Identifier: MIT
"""ops/: what is in its files, and a Prometheus that reads a stack by them."""

import json
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

from lib.http import Http
from lib.ports import Block
from lib.stack import ROOT
from lib.wait import eventually

OPS = ROOT / "ops"
RULES = OPS / "prometheus" / "carillon.rules.yml"
ALERTS = re.findall(r"^      - alert: (\w+)$", RULES.read_text(), re.M)
DASHBOARD = json.loads((OPS / "grafana" / "dashboards" / "carillon.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def short_rules(sockets):
    """Of a stack that takes so many sockets."""
    rules = RULES.read_text()
    shorter = [(r"\[\d+m\]", "[10s]"), (r"for: \d+m", "for: 1s"), (r"oldest_seconds > 30", "oldest_seconds > 3")]
    shorter += [(r"starts_total\[10s\]\) > 10", "starts_total[10s]) > 3"), (r"vector\(16000\)", f"vector({sockets})")]
    shorter += [(r"stale_total\[10s\]", "stale_total[30s]")]  # a pool that stands still tells nothing for some seconds
    for pattern, short in shorter:
        assert re.search(pattern, rules), pattern
        rules = re.sub(pattern, short, rules)
    return rules


class Prometheus:
    """It looks each half second, and the rules' times are short."""

    def __init__(self, stack, sockets):
        self._folder = Path(tempfile.mkdtemp(prefix="carillon-prometheus-"))
        self._block = Block()
        (self._folder / "carillon.rules.yml").write_text(short_rules(sockets))
        configuration = (OPS / "prometheus" / "prometheus.yml").read_text().replace("_interval: 15s", "_interval: 500ms")
        for place, here in (("localhost:80", stack.port("PORT")), ("127.0.0.1:3081", stack.port("NOTIFIER_PORT"))):
            assert configuration.count(f'"{place}"') == 1
            configuration = configuration.replace(f'"{place}"', f'"{place.partition(":")[0]}:{here}"')
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
        try:
            eventually(lambda: self.query("up") and all(value == 1 for value in self.query("up")), 120, "it reads both")
        except BaseException:
            self.stop()
            raise

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
        try:
            self._process.wait(60)
        finally:
            self._process.kill()
            self._log.close()
            self._block.release()
            shutil.rmtree(self._folder, ignore_errors=True)
