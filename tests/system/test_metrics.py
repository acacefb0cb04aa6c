# SPDX-License-Identifier: MIT
"""Prometheus can read the programs' metrics, and the API's are of the whole pool."""

import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.http import Http
from lib.stack import BUILD_DIR
from lib.wait import eventually

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:,|(?=\})))*\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9.e+-]+|NaN|[+-]Inf)$")


def parse(text):
    """{family: (type, {sample name + labels: value})}; fails on what Prometheus would refuse."""
    assert text.endswith("\n")
    families, seen, helped = {}, set(), set()
    current = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helped, f"HELP twice: {name}"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in ("counter", "gauge", "histogram") and name not in families, line
            families[name] = (kind, {})
            current = name
        elif line and not line.startswith("#"):
            found = SAMPLE.match(line)
            assert found, f"no sample: {line!r}"
            name, labels, value = found.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name) if current not in (name,) else name
            assert base == current, f"{line!r} stands under {current}"
            key = name + (labels or "")
            assert key not in seen, f"twice: {key}"
            seen.add(key)
            families[current][1][key] = float(value)
    for name, (kind, samples) in families.items():
        assert name in helped, f"no HELP for {name}"
        # Prometheus' base units: seconds, bytes, ratios (promtool check metrics).
        assert not re.search(r"_(milli|micro|nano)?(ms|us|milliseconds|microseconds|minutes|hours|days|kb|kib|mb|mib|percent)(_|$)", name), name
        if kind != "histogram":
            assert not re.search(r"_(count|sum|bucket)$", name), name
        assert not re.search(r"_(gauge|counter|histogram)(_|$)|[A-Z]", name), name
        if kind == "counter":
            assert name.endswith("_total"), name
            assert all(value >= 0 for value in samples.values())
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    series = {}
    for key, value in samples.items():
        if key.startswith(f"{name}_bucket"):
            bound = re.search(r'le="([^"]+)"', key)[1]
            rest = re.sub(r',?le="[^"]+",?', "", key)
            series.setdefault(rest, []).append((float(bound), value))
    assert series, name
    for buckets in series.values():
        assert buckets == sorted(buckets), f"{name}: buckets are not in order"
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), f"{name}: not cumulative"
        assert buckets[-1][0] == float("inf"), f"{name}: no +Inf"


def scrape(http, path="/metrics"):
    answer = http.get(path)
    assert answer.status == 200 and answer.header("Content-Type").startswith("text/plain")
    return parse(answer.text)


def total(families, name, *needles):
    assert name in families, f"no {name} among {sorted(families)}"
    return sum(value for key, value in families[name][1].items() if all(needle in key for needle in needles))


@pytest.mark.parametrize("path", ["/metrics", "/notifier/metrics"])
def test_text_is_well_formed(http, path):
    assert len(scrape(http, path)) >= 5


@pytest.mark.parametrize("path", ["/metrics", "/notifier/metrics"])
def test_promtool_has_no_remarks(http, path):
    """Prometheus' own check of names, units and help texts."""
    done = subprocess.run(["promtool", "check", "metrics"], input=http.get(path).text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("path, program", [("/metrics", "fcgi-api"), ("/notifier/metrics", "ws-notifier")])
def test_a_program_says_which_it_is(http, path, program):
    version = subprocess.run([BUILD_DIR / program, "--version"], capture_output=True, text=True).stdout.split()[1]
    assert scrape(http, path)["carillon_build_info"][1] == {
        f'carillon_build_info{{program="{program}",version="{version}"}}': 1
    }


def test_requests_are_counted_over_the_whole_pool(stack, http):
    """300 requests spread over the workers; every scrape, whichever worker answers it, tells of them all."""
    before = total(scrape(http), "carillon_api_requests_total")
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(lambda _: http.get("/tasks/1"), range(300))} == {200}
    counts = [total(scrape(http), "carillon_api_requests_total") for _ in range(2 * len(stack.workers()))]
    assert counts == sorted(counts), "scrapes of different workers disagree"
    assert counts[0] - before >= 300
    # The scrapes, and others that ask how the service is meanwhile; twice the 300 would be each worker's own count.
    assert counts[-1] - before <= 400


@pytest.mark.disturbs
def test_a_killed_worker_leaves_its_counts(stack, http):
    before = total(scrape(http), "carillon_api_requests_total")
    stack.kill_a_worker()
    assert total(scrape(http), "carillon_api_requests_total") >= before


def test_published_events_are_counted(stack, http, task):
    stack.outbox_empty()
    before = total(scrape(http), "carillon_api_events_published_total")
    for _ in range(20):
        http.patch(f"/tasks/{task['id']}", {"status": 1})

    def counted():
        now = total(scrape(http), "carillon_api_events_published_total")
        assert now - before >= 20, (before, now)
        return True

    eventually(counted, 60)


def test_notifier_counts_its_clients(stack, http, sockets):
    def clients():
        return total(scrape(http, "/notifier/metrics"), "carillon_notifier_clients")

    def steady():
        """Those of the tests before have left."""
        found = [clients()]
        for _ in range(5):
            time.sleep(0.1)
            found.append(clients())
        assert len(set(found)) == 1, found
        return True

    eventually(steady, 30, "as many clients as there were")
    before = clients()
    opened = [sockets() for _ in range(7)]
    eventually(lambda: clients() == before + 7, 30, "seven more clients")
    for client in opened:
        client.close()
    eventually(lambda: clients() == before, 30, "seven fewer clients")


def test_notifier_counts_deliveries(stack, http, sockets, task):
    stack.outbox_empty()
    opened = [sockets() for _ in range(3)]
    for client in opened:
        client.subscribe(task["user_id"])

    def sent():
        return total(scrape(http, "/notifier/metrics"), "carillon_notifier_deliveries_total")

    before = sent()
    http.patch(f"/tasks/{task['id']}", {"content": "counted"})
    for client in opened:
        client.recv_until(lambda frame: frame.get("task", {}).get("content") == "counted")
    eventually(lambda: sent() >= before + 3, 30)


def test_metrics_are_not_for_everybody(stack):
    """From a public address nginx says no; a forwarded header must not fool it."""
    addresses = {info[4][0] for info in socket.getaddrinfo("127.0.0.1", None)}
    assert "127.0.0.1" in addresses
    text = "\n".join(path.read_text() for path in (stack.run_dir / "etc").rglob("*") if path.is_file() and "nginx" in str(path))
    assert text.count("deny") >= 1, "nothing is denied in nginx's configuration"
    assert Http(stack.http).get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}).status in (200, 403)


@pytest.mark.parametrize(
    "path, names",
    [
        (
            "/metrics",
            "outbox_events outbox_oldest_seconds publish_lag_seconds broker_connects_total db_connects_total rows_purged_total"
            " events_healed_total epochs_renewed_total broker_blocked broker_confirmed_seconds db_write_refused_seconds",
        ),
        (
            "/notifier/metrics",
            "ring_events ring_bytes queue_bytes replayed_events_total resumes_total resets_total closed_total connects_total"
            " broker_connects_total",
        ),
    ],
)
def test_what_an_operator_looks_for(http, path, names):
    families = scrape(http, path)
    prefix = "carillon_notifier_" if "notifier" in path else "carillon_api_"
    assert [name for name in names.split() if prefix + name not in families] == []


@pytest.mark.disturbs
def test_outbox_tells_of_a_broker_that_is_away(stack, http, task):
    """Depth and age grow while nothing is confirmed, and are zero again after."""
    broker = stack.broker()
    broker.kill(signal.SIGSTOP)
    try:
        for number in range(5):
            assert http.patch(f"/tasks/{task['id']}", {"content": f"n{number}"}).status == 200

        def grown():
            families = scrape(http)
            assert total(families, "carillon_api_outbox_events") >= 5
            assert total(families, "carillon_api_outbox_oldest_seconds") >= 1
            return True

        eventually(grown, 60, "the outbox is seen to grow")
    finally:
        broker.kill(signal.SIGCONT)
    stack.outbox_empty()
    eventually(lambda: total(scrape(http), "carillon_api_outbox_events") == 0, 60, "and to be empty again")
    stack.ready()
