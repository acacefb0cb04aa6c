# SPDX-License-Identifier: MIT
"""scripts/run and its friends, as a newcomer uses them: start, look, start again, stop, side by side."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from base64 import b64encode

import pytest

from conftest import PATIENT
from lib import proc
from lib.http import Http
from lib.stack import BUILD_DIR, ROOT, Stack
from lib.wait import eventually

PARTS = {"mariadb", "rabbitmq", "fcgi-api", "ws-notifier", "nginx", "adminer"}


def test_status_as_json(stack):
    status = stack.status()
    assert set(status["parts"]) >= PARTS
    for name, part in status["parts"].items():
        assert set(part) >= {"state", "pid", "restarts"}, name
        assert proc.read(part["pid"]) is not None, name
        assert isinstance(part["restarts"], int)
    assert set(status["endpoints"]) >= {"http", "ws", "amqp", "db_socket", "management", "adminer"}
    assert status["endpoints"]["http"].startswith("http://")
    assert status["endpoints"]["ws"].startswith("ws://")
    assert status["endpoints"]["amqp"].startswith("amqp://")
    assert (stack.run_dir / "sock").is_dir() and os.path.exists(status["endpoints"]["db_socket"])


def test_status_for_people(stack):
    done = stack.script("status")
    for name in PARTS:
        assert name in done.stdout


def test_logs(stack):
    everything = stack.script("logs", "--no-follow").stdout
    assert len(everything.splitlines()) > 10
    one = stack.script("logs", "ws-notifier", "--no-follow").stdout
    assert one.strip() and "mariadbd" not in one
    unknown = stack.script("logs", "nonsense", "--no-follow", check=False)
    assert unknown.returncode != 0 and "nonsense" in unknown.stdout + unknown.stderr


def test_sql(stack):
    assert stack.sql("SELECT 1 + 1, 'a\\tb', NULL") == [("2", "a\tb", None)]
    assert stack.sql_number("SELECT COUNT(*) FROM tasks WHERE id = 1") == 1
    assert stack.script("sql", "-e", "SELECT nonsense", check=False).returncode != 0


@pytest.mark.parametrize("name", ["run", "stop", "status", "logs", "sql", "test", "migrate", "accounts", "events", "restart"])
def test_help(stack, name):
    done = stack.script("sql" if name == "sql" else name, "--help")
    assert done.stdout.strip(), name


def bash(commands, **environment):
    """With what scripts/packages knows at hand."""
    text = f'. scripts/lib/common.sh; . scripts/lib/packages.sh; {commands}'
    done = subprocess.run(["bash", "-euc", text], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_part_is_asked_until_it_is_ready_once():
    """A new node's notifier is ready, and with the first beacon not: asked a second time it seemed to have failed."""
    asked = "asked=0; part_check() { asked=$((asked + 1)); [ $asked != 2 ]; }"
    others = "part_restarts() { echo 0; }; supervisor_runs() { :; }; begin() { :; }; ready() { echo $1 $asked; }; LOG_DIR=/nonexistent"
    assert bash(f". scripts/lib/clients.sh; . scripts/lib/supervisor.sh; {asked}; {others}; part_wait part 5 0") == ["part", "1"]
    late = "asked=0; part_check() { asked=$((asked + 1)); [ $asked = 3 ]; }"
    assert bash(f". scripts/lib/clients.sh; . scripts/lib/supervisor.sh; {late}; {others}; part_wait part 5 0") == ["part", "3"]


def test_packages_of_a_programs_libraries():
    """Their names are this Debian's own (libjwt0 or libjwt2): what an image is told to install brings every library."""
    program = BUILD_DIR / "ws-notifier"
    done = subprocess.run([ROOT / "scripts/packages", "--of", program], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert "librabbitmq4" in names and "libc6" in names and names == sorted(set(names))
    known = subprocess.run(["dpkg-query", "-W", *names], capture_output=True, text=True)
    assert known.returncode == 0, known.stderr
    missing = subprocess.run([ROOT / "scripts/packages", "--of", "/missing"], capture_output=True, text=True)
    assert missing.returncode == 1 and "/missing" in missing.stderr


def test_units_that_packages_bring(tmp_path):
    """PHP's version is in its unit's name; what was there before stays as it is."""
    for name in ("nginx.service", "php8.4-fpm.service", "ssh.service"):
        (tmp_path / name).touch()
    before = bash("units_there", UNIT_FOLDER=str(tmp_path))
    assert before == ["nginx.service", "php8.4-fpm.service"]
    (tmp_path / "php9.0-fpm.service").touch()
    told = "$'" + r"\n".join(before) + "'"
    assert bash(f"units_new {told}", UNIT_FOLDER=str(tmp_path)) == ["php9.0-fpm.service"]


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--port"], ["--port", "abc"], ["--port", "99999"], ["--port", "-1"]])
def test_run_refuses_nonsense(stack, arguments):
    done = stack.script("run", "--detach", *arguments, check=False)
    assert done.returncode != 0 and (done.stdout + done.stderr).strip()


def test_run_twice_says_so(stack):
    before = stack.parts()
    done = stack.script("run", "--detach", check=False)
    text = (done.stdout + done.stderr).lower()
    assert "running" in text or "runs" in text, text
    assert {n: p.pid for n, p in stack.parts().items()} == {n: p.pid for n, p in before.items()}
    assert stack.client().get("/tasks/1").status == 200


def test_secrets_are_for_the_owner_only(stack):
    secrets = list((stack.run_dir / "secrets").rglob("*"))
    assert secrets
    for path in secrets:
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    for path in secrets:
        if path.is_file() and len(path.read_text().strip()) >= 12:
            assert path.read_text().strip() not in listed, f"{path.name} stands in a command line"


def listening():
    """{port: set of addresses} of everything that listens on TCP here."""
    found = {}
    for name, width in (("tcp", 8), ("tcp6", 32)):
        for line in open(f"/proc/net/{name}").read().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                address, port = local.split(":")
                found.setdefault(int(port, 16), set()).add(address)
    return found


def test_everything_listens_on_loopback_only(stack):
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    first = stack.port("PORT")
    seen = {port: addresses for port, addresses in listening().items() if first <= port <= first + 20}
    assert len(seen) >= 8
    for port, addresses in seen.items():
        assert addresses <= loopback, f"port {port} listens on {addresses}"


def test_two_stacks_side_by_side(stack, small_stack):
    """Each has its own data and tells its own browsers only."""
    assert stack.http != small_stack.http and stack.epoch() != small_stack.epoch()
    here, there = stack.socket(), small_stack.socket()
    for socket_ in (here, there):
        socket_.subscribe(1)
    assert small_stack.client().patch("/tasks/1", {"content": "over there"}).status == 200
    there.recv_until(lambda frame: frame.get("task", {}).get("content") == "over there")
    # Another test's last event of this user may come meanwhile.
    here.send({"type": "unsubscribe", "user_id": 2147483647})
    here.recv_until(lambda frame: frame["type"] == "unsubscribe")
    assert not [text for text in here.texts if "over there" in text]
    assert stack.client().get("/tasks/1").json()["content"] == "Acheter du pain"
    here.close()
    there.close()
    pids = {process.pid for name in PARTS for process in stack.processes(name)}
    assert not pids & {process.pid for name in PARTS for process in small_stack.processes(name)}


@pytest.mark.disturbs
def test_a_part_that_dies_is_started_again(stack):
    for name in ("adminer", "nginx"):
        before = stack.part(name)
        os.kill(before.pid, signal.SIGKILL)

        def back():
            now = stack.part(name)
            assert now.restarts > before.restarts and now.pid and now.pid != before.pid and now.state == "up", now
            return True

        eventually(back, 60, f"{name} is started again")
    eventually(lambda: answers(stack), 60)


def answers(stack):
    try:
        return stack.client().get("/tasks/1").status == 200
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.disturbs
def test_stop_start_reset(record_property):
    """One stack through its whole life: start, write, stop (no process left), start again (data kept),
    start anew with --reset, Ctrl-C in the foreground. Both starts' times are printed, not judged: they tell
    as much of the machine as of the stack."""
    stack = Stack.prepare(**PATIENT)
    others = temporary_table_of_another_server(stack)
    try:
        began = time.monotonic()
        stack.run()
        first_start = time.monotonic() - began
        answer = stack.client().post("/tasks", {"user_id": 1, "content": "kept"})
        assert answer.status == 201, answer
        made = answer.json()
        epoch = stack.epoch()
        stack.outbox_empty()
        old_accounts(stack)

        stack.script("stop")
        nothing_left(stack)
        assert stack.script("stop", check=False).returncode == 0, "stopping what is stopped is no error"
        told = stack.script("status", "--json", check=False)
        assert told.returncode != 0 and '"up"' not in told.stdout
        assert {part["restarts"] for part in json.loads(told.stdout)["parts"].values()} == {None}

        began = time.monotonic()
        stack.run()
        second_start = time.monotonic() - began
        print(f"first start {first_start:.1f} s, second start {second_start:.1f} s")
        assert stack.client().get(f"/tasks/{made['id']}").json() == made
        assert stack.epoch() == epoch
        assert "carillon" not in broker_users(stack)
        assert stack.sql_number("SELECT COUNT(*) FROM mysql.user WHERE user = 'carillon'") == 0
        reader = stack.stream()
        # A broker that was stopped just after its start may begin with an empty stream, into which the API puts them again.
        kept = lambda: any(json.loads(m.body)["task"]["id"] == made["id"] for m in reader.events(1))
        eventually(kept, 60, "the stream has its events")
        reader.close()
        stack.script("stop")

        interrupted(stack)

        without_adminer(stack, "--reset")
        assert stack.client().get(f"/tasks/{made['id']}").status == 404
        assert stack.epoch() != epoch
        stack.script("stop")
        nothing_left(stack)
        assert others.exists(), "a server that starts clears the directory it is given for temporary files"
    finally:
        stack.stop()


def temporary_table_of_another_server(stack):
    """Where every program of the machine has its temporary files."""
    shared = stack.run_dir.parent / "shared-tmp"
    shared.mkdir()
    stack.environment["TMPDIR"] = str(shared)
    table = shared / "#sql-temptable-1-1-1.MAI"
    table.touch()
    return table


def management(stack, path, method="GET", body=None):
    password = (stack.run_dir / "secrets" / "amqp_admin_password").read_text().strip()
    request = urllib.request.Request(f"http://127.0.0.1:{stack.port('MANAGEMENT_PORT')}/api/{path}", body, method=method)
    request.add_header("Authorization", "Basic " + b64encode(f"admin:{password}".encode()).decode())
    return urllib.request.urlopen(request, timeout=60).read()


def broker_users(stack):
    return {user["name"] for user in json.loads(management(stack, "users"))}


def old_accounts(stack):
    """As if the directory had been made when both programs shared one account that could do everything."""
    management(stack, "users/carillon", "PUT", b'{"password":"x","tags":""}')
    management(stack, "permissions/%2F/carillon", "PUT", b'{"configure":".*","write":".*","read":".*"}')
    assert "carillon" in broker_users(stack)
    stack.sql("CREATE USER carillon@localhost IDENTIFIED BY 'x'")
    stack.sql("GRANT SELECT, INSERT, UPDATE, DELETE, EVENT ON carillon.* TO carillon@localhost")


def interrupted(stack):
    """In the foreground: follows the logs, one prefix a part; Ctrl-C ends everything."""
    output = open(stack.run_dir.parent / "foreground.txt", "w+")
    running = subprocess.Popen(
        [ROOT / "scripts" / "run", "--no-build"], env=stack.environment, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        eventually(lambda: answers(stack), 180, "the stack answers", interval=0.3)
        stack._endpoints = None

        def followed():  # it begins when all parts are ready, which is later than the first answer
            assert stack.client().patch("/tasks/1", {"status": 1}).status == 200
            return 'Message published to "tasks_completed"' in open(output.name).read()

        eventually(followed, 120, "the log is followed", interval=0.3)
        lines = [line for line in open(output.name).read().splitlines() if "Message published" in line]
        assert "fcgi-api" in lines[0].split("Message published")[0], lines[0]
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(180) in (0, 130)
    finally:
        if running.poll() is None:
            running.kill()
        output.close()
    nothing_left(stack)


def without_adminer(stack, *arguments):
    """An optional part that does not start is named and left out; everything else runs."""
    broken = stack.run_dir.parent / "broken"
    broken.mkdir()
    (broken / "php").write_text("#!/bin/sh\necho no plugins here >&2\nexit 1\n")
    (broken / "php").chmod(0o755)
    path = os.environ["PATH"]
    stack.environment["PATH"] = f"{broken}:{path}"
    done = stack.script("run", "--detach", "--no-build", *arguments, timeout=400)
    stack.environment["PATH"] = path
    stack._endpoints = None
    assert "no plugins here" in done.stderr and "adminer is left out" in done.stderr, done.stderr[-3000:]
    assert "Adminer " not in done.stdout

    def the_others_are_up():
        states = {name: part["state"] for name, part in stack.status()["parts"].items()}
        assert states == {name: "down" if name == "adminer" else "up" for name in states}
        return True

    eventually(the_others_are_up, 60)


def nothing_left(stack):
    """No process of the stack, epmd included, and no port in use."""
    eventually(lambda: not proc.of_stack(stack.run_dir), 30, "no process is left")
    first = stack.environment["PORT"]
    busy = [port for port in listening() if int(first) <= port <= int(first) + 20]
    assert not busy, f"still listening: {busy}"


def test_a_busy_port_is_a_clear_message():
    stack = Stack.prepare()
    try:
        with socket.create_server(("127.0.0.1", int(stack.environment["PORT"]))):
            done = stack.script("run", "--detach", check=False, timeout=400)
        assert done.returncode != 0
        assert stack.environment["PORT"] in done.stdout + done.stderr
        nothing_left(stack)
    finally:
        stack.stop()


@pytest.mark.long
def test_a_part_that_cannot_start_is_named():
    """On failure: the part's name and the end of its log; and nothing is left running."""
    stack = Stack.prepare(RING_BYTES=1)
    try:
        done = stack.script("run", "--detach", check=False, timeout=400)
        text = done.stdout + done.stderr
        assert done.returncode != 0 and "ws-notifier" in text and "RING_BYTES" in text, text[-3000:]
        nothing_left(stack)
        # A stack that is down has no age and no restarts.
        lines = [line.split() for line in stack.script("status", check=False).stdout.splitlines()]
        rows = [words for words in lines if len(words) > 2]
        assert rows[0][0] == "part" and {words[0] for words in rows[1:]} == PARTS, rows
        assert all(words[1:] == ["down", "-", "-", "-"] for words in rows[1:]), rows
    finally:
        stack.stop()


def test_page_of_the_second_stack(small_stack):
    assert Http(small_stack.http).get("/index.html?user_id=1").status == 200
