# SPDX-License-Identifier: MIT
"""Fixtures on the real parts only: every test talks to a running stack."""

import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from lib import contract, issuer
from lib.emit import APP, connect
from lib.program import Program
from lib.relay import Relay
from lib.stack import Stack
from lib.wait import eventually

LOGGED = ("fcgi-api", "ws-notifier", "nginx", "rabbitmq", "mariadb")
# A busy machine can keep a statement waiting longer than the API waits for one, and a request longer than nginx does
# (504). Only test_database_away.py is about these limits, and has a stack with the default ones.
PATIENT = {"DB_TIMEOUT_MS": 8000, "REQUEST_MAX_AGE_MS": 25000}


def pytest_configure(config):
    """A run that is told to end (a timeout, a CI that gives up) stops its stacks like one that is interrupted."""

    def stop(number, frame):
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    # A shell starts background jobs with Ctrl-C ignored; without this, a stack that a test interrupts would ignore it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def keep_logs(stack, name):
    """Puts a stack's logs where the runner collects them (CARILLON_TEST_LOGS); of tests that run side by side each has
    such a stack."""
    target = os.environ.get("CARILLON_TEST_LOGS")
    if target and (stack.run_dir / "log").is_dir():
        side = os.environ.get("PYTEST_XDIST_WORKER", "")
        shutil.copytree(stack.run_dir / "log", Path(target, side, name), dirs_exist_ok=True)


def finish(stack, name):
    """Ends a stack; a sanitizer's report anywhere in its logs is a failure of the suite, and so is a system call that
    a program made and was refused."""
    try:
        if stack.owned:
            stack.script("stop", check=False)
        reports = stack.sanitizer_reports()
        refusals = stack.refusals()
        keep_logs(stack, name)
    finally:
        stack.stop()
    assert not reports, f"{len(reports)} sanitizer reports\n" + "\n\n".join(reports[:5])
    assert not refusals, refusals


@pytest.fixture(scope="session")
def stack():
    """The stack most tests share; CARILLON_RUN_DIR names a running one to use instead."""
    running = os.environ.get("CARILLON_RUN_DIR")
    if running:
        yield Stack.attach(running)
        return
    shared = Stack.start(API_WORKERS=2, **PATIENT)
    yield shared
    finish(shared, "shared")


@pytest.fixture(scope="session")
def small_stack():
    """A second stack beside the first, with bounds and pauses small enough to be reached in a test. A client answers
    pings only while this process gets CPU time, so the time for a pong is not among them."""
    second = Stack.start(
        RING_BYTES=2_000_000,
        WS_PING_S=1,
        WS_PONG_TIMEOUT_S=10,
        WS_HEARTBEAT_S=1,
        WS_QUEUE_FRAMES=64,
        WS_QUEUE_BYTES=65536,
        MARKER_INTERVAL_S=1,
        HEAL_WINDOW_S=3,
        API_WORKERS=4,
        API_THREADS=16,
        **PATIENT,
    )
    yield second
    finish(second, "small")


@pytest.fixture(scope="session")
def guarded_stack(tmp_path_factory):
    """A stack that wants tokens: HS256 with a secret of its own, and RS256 by the name "rsa"."""
    keys = tmp_path_factory.mktemp("keys")
    issuer.make_rsa(keys)
    third = Stack.start(
        AUTH=1,
        JWT_PUBLIC_KEY_2_FILE=keys / "public.pem",
        JWT_KID_2="rsa",
        JWT_AUDIENCE="carillon-test",
        JWT_LEEWAY_S=0,
        ALLOWED_ORIGINS="https://app.example http://localhost:1234",
        API_WORKERS=4,
        API_THREADS=16,
        **PATIENT,
    )
    third.issuer = issuer.Issuer(third.run_dir / "secrets" / "jwt_secret", keys)
    yield third
    finish(third, "guarded")


@pytest.fixture(scope="session")
def tls_stack():
    """A stack behind https, with certificates of its own making; its logs are JSON."""
    fifth = Stack.start(TLS=1, LOG_FORMAT="json", HSTS_MAX_AGE=300, API_WORKERS=4, API_THREADS=16, ADMINER_PORT="off", **PATIENT)
    yield fifth
    finish(fifth, "tls")


@pytest.fixture(scope="module")
def pair():
    """Two notifiers with a small ring, for the tests that are about their number."""
    fourth = Stack.prepare(RING_BYTES=4_000_000, WS_HEARTBEAT_S=2, API_WORKERS=4, API_THREADS=16, ADMINER_PORT="off", **PATIENT)
    fourth.run("--notifiers", "2")
    fourth.ready()
    yield fourth
    finish(fourth, "pair")


@pytest.fixture
def http(stack):
    return stack.client(judge=contract.calls().judge)


@pytest.fixture
def user(stack):
    """A user that no other test uses."""
    return stack.new_users(1)[0]


@pytest.fixture
def task(http, user):
    """An open task of that user, made through the API (its first event is task.created)."""
    answer = http.post("/tasks", {"user_id": user, "content": "Acheter du pain"})
    assert answer.status == 201, answer
    return answer.json()


@pytest.fixture
def sockets(stack):
    """sockets() opens a WebSocket that is closed after the test."""
    opened = []

    def open_one(url=None, **more):
        opened.append(stack.socket(url, judge=contract.frames().judge, **more))
        return opened[-1]

    yield open_one
    for socket in opened:
        socket.close()


@pytest.fixture
def ws(sockets):
    return sockets()


@pytest.fixture
def stream(stack):
    """The stream from a minute ago on: all of the test's own events, not those of all tests."""
    reader = stack.stream("1m")
    yield reader
    reader.close()


@pytest.fixture
def publisher(stack):
    opened = stack.publisher()
    yield opened
    opened.close()


@pytest.fixture
def relays():
    """relays(stack, "DB_PORT") leads to that port of the stack until the test ends: see lib.relay."""
    with ExitStack() as ends:

        def lead(stack, port, **more):
            wire = Relay(stack.port(port), **more)
            ends.callback(wire.close)
            return wire

        yield lead


@pytest.fixture
def programs(tmp_path):
    """programs(stack, "fcgi-api", DB_PORT=...) runs a program beside the stack's own until the test ends: see lib.program."""
    with ExitStack() as ends:

        def start(stack, name, **more):
            (directory := tmp_path / name).mkdir()
            program = Program(stack, name, directory, **more)
            ends.callback(program.end)
            return program

        yield start


@pytest.fixture
def emitter(stack):
    with closing(connect(stack, autocommit=True)) as connection:
        yield connection


@pytest.fixture
def root(stack):
    with closing(connect(stack, "root")) as connection:
        yield connection


@pytest.fixture
def invoices(stack, root):
    """A table of an application that has a database of its own."""
    stack.sql(f"CREATE DATABASE IF NOT EXISTS {APP}; CREATE OR REPLACE TABLE {APP}.invoices (id INT AUTO_INCREMENT PRIMARY KEY, customer INT UNSIGNED, amount INT)")
    yield f"{APP}.invoices"
    root.rollback()
    stack.sql(f"DROP DATABASE {APP}")


def _pids(stack):
    pids = stack.pids()
    pids["workers"] = sorted(worker.pid for worker in stack.workers())
    return pids


def _takes_writes(stack):
    """Each worker has a connection for writing; after the database was away it pauses for up to two seconds before it
    connects again, and answers 503 meanwhile."""
    client = stack.client()
    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(lambda _: client.patch("/tasks/2147483600", {"status": 1}).status, range(32)))
    assert statuses == {404}, statuses
    return True


@pytest.fixture(autouse=True)
def nobody_dies(request):
    """Fails a test during which a process ended that the test did not mean to disturb: supervisors restart a crashed
    process so fast that it would go unnoticed. After a test that does disturb, waits until all parts are well again
    before the next begins, also when it failed half way."""
    if "stack" not in request.fixturenames:
        yield
        return
    stack = request.getfixturevalue("stack")
    before = _pids(stack)
    yield
    if request.node.get_closest_marker("disturbs"):
        stack.ready(60)
        complete = len(before["workers"])
        eventually(lambda: len(stack.workers()) >= complete, 20, "the pool is complete, which one worker's answer does not tell")
        eventually(lambda: _takes_writes(stack), 20, "every worker takes writes")
        return

    def same():
        after = _pids(stack)
        assert after == before, f"{before} before, {after} after"
        return True

    # Looked at again when they differ: /proc can leave out a process while another one ends.
    eventually(same, 1, "no process ended during this test")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield
    item.log_marks = {
        name: stack.log_marks() for name, stack in item.funcargs.items() if isinstance(stack, Stack) and stack.run_dir.is_dir()
    }


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name, stack in getattr(item, "funcargs", {}).items():
        if not isinstance(stack, Stack):
            continue
        marks = getattr(item, "log_marks", {}).get(name, {})
        for part in LOGGED:
            if part in stack.log_parts():
                text = stack.logs_since(marks, part) if part in marks else stack.logs(part)
                if text.strip():
                    report.sections.append((f"{name}: end of {part}'s log", "\n".join(line[:400] for line in text.splitlines()[-25:])))


def pytest_runtest_logreport(report):
    """Names a failure when it happens: the details come at the end, which may be minutes away."""
    if report.failed:
        sys.stdout.write(f"\nfailed: {report.nodeid} ({report.when})\n")
