# SPDX-License-Identifier: MIT
"""The scenario in containers, in a realistic order. Each test goes on where the one before ended.

tests/containers/run starts this; after the first failure the rest makes no sense (-x)."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import pytest

from conftest import accepted, podman
from lib.http import Http, assert_problem
from lib.wait import eventually
from lib.ws import Closed

OURS = ("fcgi-api", "ws-notifier")


def complete(stack, task, port="PORT"):
    once = {"Idempotency-Key": os.urandom(8).hex()}
    answer = accepted(lambda: stack.http(port).patch(f"/tasks/{task}", '{"status":1}', headers=once))
    assert answer.status == 200, answer
    return answer.json()


def hears_of_task(socket, task, timeout=60):
    """Notifications of other tasks may come first."""
    return socket.recv_until(
        lambda frame: frame.get("event") == "task.completed" and frame["task"]["id"] == task, timeout
    )


def subscribed(stack, user=1, port="PORT", path="/ws", deadline=120, **more):
    """A subscription, as soon as the notifier gives one."""

    def attempt():
        try:
            socket = stack.websocket(port, path)
        except Exception as error:  # refused, 502, 503: not there yet
            raise AssertionError(f"no WebSocket: {error}") from None
        try:
            socket.answer = socket.subscribe(user, **more)
        except Closed as closed:
            raise AssertionError(str(closed)) from None
        return socket

    return eventually(attempt, deadline, "a subscription", interval=0.2)


# --- It comes up


def test_all_six_come_up_healthy(stack):
    stack.up()
    stack.wait_healthy()


def test_page_is_served(stack):
    for port in ("PORT", "CLIENT_PORT"):
        page = stack.http(port).get("/index.html?user_id=1")
        assert page.status == 200 and "<html" in page.text.lower(), page
        assert page.header("Content-Type").startswith("text/html")
        scripts = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
        assert scripts, "a page without a script"
        for script in scripts:
            assert stack.http(port).get("/" + script.lstrip("./")).status == 200, script


def test_database_is_migrated_with_its_demo_data(stack):
    # podman-compose starts the pool beside the migrations.
    eventually(lambda: stack.http().get("/tasks/1").status == 200, 120, "the tables are there")
    assert stack.state("migrate")["ExitCode"] == 0
    for port in ("PORT", "API_PORT", "CLIENT_PORT"):
        task = accepted(lambda: stack.http(port).get("/tasks/1"))
        assert task.status == 200, task
        assert task.json()["content"] == "Acheter du pain" and task.json()["user_id"] == 1
    # podman-compose did not wait for the broker before it started the programs.
    eventually(lambda: stack.http().get("/readyz").json()["status"] == "ok", 120, "database and broker are there")
    eventually(lambda: stack.http().get("/notifier/readyz").status == 200, 120, "the notifier has caught up")


# --- The scenario


@pytest.mark.parametrize("ws_port, ws_path, api_port", [("PORT", "/ws", "PORT"), ("WS_PORT", "/", "API_PORT")])
def test_a_completed_task_is_heard(stack, ws_port, ws_path, api_port):
    socket = subscribed(stack, port=ws_port, path=ws_path)
    assert socket.answer == {"type": "subscribe", "user_id": 1}
    complete(stack, 1, api_port)
    assert socket.notification()["message"].startswith("task 1 has been completed at ")
    socket.close()


def test_log_tells_the_scenario(stack):
    def told():
        notifier, api = stack.logs("ws-notifier"), stack.logs("fcgi-api")
        assert 'Subscribtion received : {"type":"subscribe","user_id":1}' in notifier
        assert "Message received from MQ {" in notifier
        assert 'Message published to "tasks_completed"' in api
        return True

    eventually(told)


def test_a_completed_task_is_heard_as_server_sent_event(stack):
    with stack.http().connect() as sock:
        sock.sendall(b"GET /events?user_id=1 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        sock.settimeout(60)
        text = sock.recv(65536)
        assert b" 200 " in text.split(b"\r\n")[0], text
        complete(stack, 1)
        while b"task.completed" not in text:
            more = sock.recv(65536)
            assert more, text
            text += more


def test_management_page_shows_the_stream(stack):
    user, password = "admin", stack.env["AMQP_ADMIN_PASSWORD"]

    def ask(path, password):
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        return stack.http("MANAGEMENT_PORT").get(path, headers={"Authorization": f"Basic {token}"})

    assert stack.http("MANAGEMENT_PORT").get("/").status == 200
    assert ask("/api/overview", "wrong").status == 401
    assert ask("/api/overview", password).status == 200
    queue = ask("/api/queues/%2F/tasks_completed", password).json()
    assert queue["arguments"]["x-queue-type"] == "stream" and queue["durable"], queue
    guest = base64.b64encode(b"guest:guest").decode()
    assert stack.http("MANAGEMENT_PORT").get("/api/overview", headers={"Authorization": f"Basic {guest}"}).status == 401


def test_adminer_shows_the_row(stack):
    adminer = stack.http("ADMINER_PORT")
    account = {"driver": "server", "server": "mariadb", "username": "carillon-adminer", "db": "carillon"}
    form = {f"auth[{key}]": value for key, value in account.items()} | {"auth[password]": stack.env["DB_ADMINER_PASSWORD"]}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    query = urllib.parse.urlencode({"server": "mariadb", "username": "carillon-adminer", "db": "carillon", "select": "tasks"})

    def shown():
        """Podman's name server may not know the database yet."""
        answer = adminer.post("/", urllib.parse.urlencode(form), headers=headers)
        assert answer.status == 302, answer
        cookies = "; ".join(value.split(";")[0] for value in answer.headers.get_all("Set-Cookie"))
        page = adminer.get(f"/?{query}", headers={"Cookie": cookies})
        assert page.status == 200 and "Acheter du pain" in page.text, page
        return True

    eventually(shown, 60)


# --- How the containers are made


def test_each_program_has_an_account_with_few_rights(stack):
    """With the passwords that a program's container has; tests/system/test_accounts.py checks every right."""
    ask = 'mariadb --host="$DB_HOST" --user="$DB_USER" --password="$DB_PASSWORD" "$DB_NAME" --execute="$0" 2>&1 || true'

    def as_api(statement):
        return stack.exec("fcgi-api", "sh", "-c", ask, statement)

    # Podman's name server may not know the database yet.
    eventually(lambda: "Acheter du pain" in as_api("SELECT content FROM tasks WHERE id = 1"), 60)
    for statement in ("CREATE TABLE mine (id INT)", "DROP TABLE tasks", "SELECT * FROM schema_progress"):
        eventually(lambda: "denied" in as_api(statement), 60, statement)
    told = stack.exec("rabbitmq", "rabbitmqctl", "--quiet", "list_permissions", "--no-table-headers")
    rights = {line.split("\t")[0]: line.split("\t")[1:] for line in told.splitlines()}
    assert set(rights) == {"admin", "carillon-api", "carillon-notifier"}, rights
    assert rights["carillon-notifier"] == ["^$", r"^tasks_completed\.markers$", "^tasks_completed$"], rights


def test_a_server_keeps_no_password_in_its_environment(stack):
    for service in ("mariadb", "rabbitmq"):
        environment = stack.exec(service, "cat", "/proc/1/environ")
        assert "change-me" not in environment.replace(stack.env["DB_ROOT_PASSWORD"], ""), service


def test_nothing_listens_beyond_loopback(stack):
    published = {}
    for service in stack.SERVICES:
        for bindings in (stack.inspect(service)["NetworkSettings"]["Ports"] or {}).values():
            for binding in bindings or []:
                published[int(binding["HostPort"])] = binding["HostIp"]
    named = set(re.findall(r"127\.0\.0\.1:\$\{(\w*PORT)", (stack.tree / "compose.yml").read_text()))
    expected = {int(stack.env[name]) for name in named}
    assert expected and set(published) == expected and set(published.values()) == {"127.0.0.1"}, published


def test_containers_may_do_little(stack):
    for service in stack.SERVICES:
        told = stack.exec(service, "sh", "-c", "cat /proc/1/status; touch /usr/bin/x /etc/x /x 2>&1; echo tried")
        assert re.search(r"^Uid:\s+[1-9]", told, re.M), f"{service} runs as root"
        for capabilities in ("CapPrm", "CapEff", "CapBnd"):
            assert re.search(rf"^{capabilities}:\s+0+$", told, re.M), f"{service}: {capabilities}"
        assert re.search(r"^NoNewPrivs:\s+1$", told, re.M), service
        refused = re.findall(r"^touch: .*(?:Read-only file system|Permission denied)$", told, re.M)
        assert len(refused) == 3, f"{service} could write where it should not: {told}"


def test_our_images_hold_no_secret_and_no_tool_to_build(stack):
    for service in OURS:
        image = json.loads(podman("image", "inspect", f"localhost/{stack.project}_{service}"))[0]
        told = json.dumps(image["Config"]) + json.dumps(image["History"])
        assert not re.search(r"change-me|PASSWORD=", told), service
        assert image["Config"]["User"] == "carillon" and image["HealthCheck" if "HealthCheck" in image else "Healthcheck"]
        found = stack.exec(service, "sh", "-c", "ls /usr/bin/cc /usr/bin/gcc /usr/bin/make /src /.env 2>/dev/null || true")
        assert found == "", f"{service}: {found}"
        base = json.loads(podman("image", "inspect", "docker.io/library/debian:trixie-slim"))[0]["Size"]
        assert image["Size"] - base < 60_000_000, f"{service}: {(image['Size'] - base) // 1_000_000} MB above its base"


def test_settings_reach_the_programs(stack):
    """An invalid value stops the program with the setting's name: so the program did read it."""
    for service, name in (("fcgi-api", "OUTBOX_BATCH"), ("ws-notifier", "RING_AGE_S"), ("ws-notifier", "LOG_FORMAT")):
        program = {"fcgi-api": "/usr/local/bin/fcgi-api", "ws-notifier": "/usr/local/bin/ws-notifier"}[service]
        done = stack.exec(service, "sh", "-c", f"{name}=nonsense timeout 60 {program} 2>&1 || true")
        assert name in done and len(done.splitlines()) == 1, done
        assert f"{name}=" in stack.exec(service, "cat", "/proc/1/environ")


# --- Restarts


def test_a_restarted_notifier_is_found_again(stack):
    """It stops cleanly, tells its browsers, and comes back under another address."""
    socket = subscribed(stack)
    began = time.monotonic()
    stack.compose("restart", "--timeout", "90", "ws-notifier")
    assert time.monotonic() - began < 80, "it did not leave by itself"
    assert socket.wait_closed()[0] == 1012
    stack.wait_healthy("ws-notifier")
    again = subscribed(stack)
    complete(stack, 1)
    hears_of_task(again, 1)
    again.close()


def test_a_restarted_pool_is_found_again(stack):
    """While the pool is away nginx answers with the API's problem, and no request waits long. 502 is for a connection
    that the kernel had accepted for a pool that was about to close its socket; 504 where a new worker waits for Podman's
    name server for longer than a request may."""
    socket = subscribed(stack)
    answers, stop = [], threading.Event()

    def knock():
        while not stop.is_set():
            answers.append(stack.http().get("/tasks/1"))
            time.sleep(0.02)

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        began = time.monotonic()
        stack.compose("restart", "--timeout", "90", "fcgi-api")
        assert time.monotonic() - began < 80, "it did not leave by itself"
        stack.wait_healthy("fcgi-api")
        eventually(lambda: stack.http().get("/tasks/1").status == 200, 60, "nginx finds the pool")
    finally:
        stop.set()
        thread.join()
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {200, 502, 503, 504} and statuses.count(502) <= 1, statuses
    for answer in answers:
        if answer.status != 200:
            assert_problem(answer, answer.status, {502: "bad-gateway", 503: "unavailable", 504: "uncertain"}[answer.status])
    complete(stack, 1)
    hears_of_task(socket, 1)
    socket.close()


@pytest.mark.parametrize("service", OURS)
def test_a_killed_container_comes_back_by_itself(stack, service):
    stack.crash(service)
    eventually(
        lambda: stack.state(service)["Running"] and stack.inspect(service)["RestartCount"] > 0, 120, f"{service} is back"
    )
    stack.wait_healthy(service)
    eventually(lambda: stack.http().get("/tasks/1").status == 200, 60, "the pool answers")
    socket = subscribed(stack)
    complete(stack, 1)
    hears_of_task(socket, 1)
    socket.close()


def test_a_killed_worker_is_replaced(stack):
    def workers():
        return set(stack.exec("fcgi-api", "sh", "-c", "grep -lx fcgi-api /proc/[0-9]*/comm | cut -d/ -f3").split())

    before = eventually(workers, 60, "a worker")
    victim = sorted(before)[0]
    stack.exec("fcgi-api", "sh", "-c", f"kill -9 {victim}")
    eventually(lambda: len(workers()) == len(before) and victim not in workers(), 60, "all workers again")


def test_broker_away_and_back(stack):
    """Writes go on while it is away, and everything arrives after, without another restart."""
    socket = subscribed(stack, since=None)
    stack.stop("rabbitmq")
    once = {"Idempotency-Key": "sonner-les-cloches"}
    task = accepted(lambda: stack.http().post("/tasks", {"user_id": 1, "content": "Sonner les cloches"}, headers=once))
    assert task.status == 201, task
    number = task.json()["id"]
    complete(stack, number)

    def degraded():
        ready = accepted(lambda: stack.http().get("/readyz"))
        assert ready.status == 200 and ready.json()["status"] == "degraded", ready
        return True

    eventually(degraded, 60)
    stack.start("rabbitmq")
    stack.wait_healthy("rabbitmq")
    hears_of_task(socket, number, timeout=180)
    socket.close()


def test_database_away_and_back(stack):
    restarts = stack.inspect("fcgi-api")["RestartCount"]
    stack.stop("mariadb")
    answers = []

    def refused():
        """504 where Podman's name server holds a worker for longer than a request may wait."""
        answers.append(stack.http().patch("/tasks/1", '{"status":1}'))
        return answers[-1].status != 504

    eventually(refused, 60)
    answer = answers[-1]
    assert_problem(answer, 503)
    assert answer.header("Retry-After")
    stack.start("mariadb")
    stack.wait_healthy("mariadb")
    eventually(lambda: stack.http().patch("/tasks/1", '{"status":1}').status == 200, 60, "writes again")
    assert stack.inspect("fcgi-api")["RestartCount"] == restarts, "it healed by a restart only"


# Ends the processes below streams, as a full disk does, and our stream's writer (tests/system/test_broken_broker.py).
END_STREAMS = """[supervisor:terminate_child(ra_systems_sup, Id) || {Id, _, _, _} <- supervisor:which_children(ra_systems_sup)],
    [exit(P, kill) || {_, P, _, [osiris_writer]} <- supervisor:which_children(osiris_server_sup)], ok."""


def test_a_broker_that_carries_nothing_is_started_again(stack):
    """Its port answers, so no health check of the engine would restart it. In the same container: a second time would
    come later."""
    stack.wait_healthy("rabbitmq")
    restarts = stack.inspect("rabbitmq")["RestartCount"]
    socket = subscribed(stack)
    stack.exec("rabbitmq", "rabbitmqctl", "eval", END_STREAMS)
    eventually(lambda: "RabbitMQ has carried nothing for" in stack.logs("rabbitmq"), 300, "it is started again", interval=1)
    eventually(lambda: stack.http().get("/readyz").json()["status"] == "ok", 240, "events leave", interval=0.5)
    assert stack.inspect("rabbitmq")["RestartCount"] == restarts
    complete(stack, 1)
    hears_of_task(socket, 1, timeout=180)
    socket.close()


def test_a_broker_that_does_not_start_gets_new_data(stack):
    """Its data are a copy. What a power cut left empty is seen at once, other damage after three starts."""
    kept = Path(json.loads(podman("volume", "inspect", f"{stack.project}_rabbitmq"))[0]["Mountpoint"]) / "mnesia"
    for damage in (b"", b"no table of mnesia"):
        stack.stop("rabbitmq")
        tables = list(kept.glob("rabbit@rabbitmq/schema.DAT"))
        assert tables, "there is no schema to damage"
        for path in tables:
            path.write_bytes(damage)
        # As if two starts had ended badly already: each takes the broker's time to start.
        if damage:
            (kept / "starts").write_text("\n\n")
            os.chown(kept / "starts", kept.stat().st_uid, kept.stat().st_gid)
        stack.start("rabbitmq")
        said = "(empty: " if not damage else "(it ended 3 times before it had started)"
        eventually(lambda: f"RabbitMQ's data are made anew {said}" in stack.logs("rabbitmq"), 300, said, interval=1)
        eventually(lambda: stack.http().get("/readyz").json()["status"] == "ok", 240, "events leave", interval=0.5)
        assert len(list(kept.glob("lost-*"))) == 1
    eventually(lambda: stack.http().get("/notifier/readyz").status == 200, 180, "the notifier has caught up")
    socket = subscribed(stack)
    complete(stack, 1)
    hears_of_task(socket, 1)
    socket.close()


@pytest.mark.parametrize(
    "name, path, source",
    [
        ("keys", "/usr/local/bin/fetch-keys", "scripts/fetch-keys"),
        ("prometheus", "/etc/prometheus/prometheus.compose.yml", "ops/prometheus/prometheus.compose.yml"),
        ("grafana", "/usr/share/carillon/dashboards/carillon.json", "ops/grafana/dashboards/carillon.json"),
    ],
)
def test_what_an_overlay_is_made_of_can_be_read(stack, name, path, source):
    as_nobody = [*shlex.split(os.environ["CARILLON_RUN_ARGS"]), "--network=none", "--user=65534", "--entrypoint=cat"]
    said = podman("run", "--rm", *as_nobody, f"localhost/{stack.project}_{name}", path)
    assert said == (stack.tree / source).read_text().strip()


def test_memory_and_files_are_bounded(stack):
    for service in stack.SERVICES:
        assert stack.inspect(service)["HostConfig"]["Memory"] >= 256 * 2**20, service
    for service in ("nginx", "ws-notifier", "rabbitmq"):
        limits = stack.exec(service, "cat", "/proc/1/limits")
        # The notifier lowers its own.
        assert re.search(rf"^Max open files +\d+ +{stack.env['NOFILE']} ", limits, re.M), (service, limits)
    token = base64.b64encode(f"admin:{stack.env['AMQP_ADMIN_PASSWORD']}".encode()).decode()
    ask = lambda: stack.http("MANAGEMENT_PORT").get("/api/nodes", headers={"Authorization": f"Basic {token}"}).json()[0]
    limit = eventually(lambda: ask().get("mem_limit"), 60, "the node's figures, which it has some seconds after its start")
    assert limit < 0.7 * stack.inspect("rabbitmq")["HostConfig"]["Memory"], limit


# --- The end, and the next day


def test_everything_leaves_when_asked_to(stack):
    """Every program is process 1 of its container and gets the signal: none has to be killed."""
    stack.settle_broker()
    for service in ("nginx", "ws-notifier", "fcgi-api", "adminer", "rabbitmq", "mariadb"):
        stack.stop(service)  # one that is killed after 30 s ends with 137
        assert stack.state(service)["ExitCode"] in (0, 130, 143), f"{service}: {stack.state(service)}"
    for service in stack.SERVICES:
        stack.start(service)
    stack.wait_healthy()


def test_data_outlives_the_containers(stack):
    socket = subscribed(stack, user=2, since=None)
    cursor = socket.answer["cursor"]
    once = {"Idempotency-Key": "garder-ceci"}
    task = accepted(lambda: stack.http().post("/tasks", {"user_id": 2, "content": "Garder ceci"}, headers=once)).json()
    complete(stack, task["id"])
    hears_of_task(socket, task["id"])
    socket.close()

    stack.down()
    left = podman("ps", "--all", "--quiet", "--filter", f"label=io.podman.compose.project={stack.project}")
    assert left == "", "containers stayed"
    stack.up()
    stack.wait_healthy()

    kept = accepted(lambda: stack.http().get(f"/tasks/{task['id']}"))
    assert kept.status == 200 and kept.json()["content"] == "Garder ceci" and kept.json()["status"] == 1, kept
    # The stream outlived them too: a browser that comes back gets what it missed.
    socket = subscribed(stack, user=2, since=cursor)
    assert socket.answer["recovered"] is True and socket.answer["replayed"] == 2, socket.answer
    hears_of_task(socket, task["id"])
    socket.close()


def test_data_of_an_older_mariadb_are_taken_over(stack, tmp_path):
    """The machine's own, where that is older: Debian 12 has 10.11. The accounts are made anew, also where none was."""
    told = subprocess.run(["mariadbd", "--version"], capture_output=True, text=True).stdout if shutil.which("mariadbd") else ""
    if " Ver 10." not in told:
        pytest.skip("the machine has no MariaDB 10")
    stack.stop("mariadb")
    data = Path(json.loads(podman("volume", "inspect", f"{stack.project}_mariadb"))[0]["Mountpoint"])
    for path in data.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    own = ["--no-defaults", "--user=root", f"--datadir={data}", f"--tmpdir={tmp_path}"]
    subprocess.run(["mariadb-install-db", *own, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, capture_output=True)
    rows = "CREATE DATABASE older;\nCREATE TABLE older.kept (content TEXT);\nINSERT INTO older.kept VALUES ('Garder cela');\n"
    subprocess.run(["mariadbd", *own, "--bootstrap"], input=rows, check=True, capture_output=True, text=True)
    for path in (data, *data.rglob("*")):
        os.chown(path, 999, 999)
    stack.start("mariadb")
    stack.wait_healthy("mariadb")

    assert int((data / "mariadb_upgrade_info").read_text().split(".")[0]) >= 11
    assert stack.exec("mariadb", "mariadb", "-uroot", "-Ne", "SELECT content FROM older.kept") == "Garder cela"
    accounts = stack.exec("mariadb", "mariadb", "-uroot", "-Ne", "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'carillon-%'")
    assert accounts == "4"


def test_nothing_is_left_after_the_last_down(stack):
    stack.compose("down", "--timeout", "20", "--volumes")
    podman("network", "rm", f"{stack.project}_default")
    for what in (["ps", "--all"], ["volume", "ls"]):
        assert podman(*what, "--quiet") == "", what
    with pytest.raises(OSError):
        Http(f"http://127.0.0.1:{stack.env['PORT']}").get("/")
