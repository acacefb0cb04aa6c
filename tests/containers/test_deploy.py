# SPDX-License-Identifier: MIT
"""docs/deploy.md, from top to bottom: its own commands, on the containers of compose.yml, compose.tls.yml and
compose.inside-tls.yml.

Each test goes on where the one before ended. Left out is what needs the world: an authority for certificates, a look from
another machine, the container engine's own rules."""

import hashlib
import hmac
import json
import os
import re
import shlex
import ssl
import subprocess
import time

import pytest

from conftest import Compose, accepted, podman, settings_of
from lib.http import Http
from lib.issuer import encode
from lib.wait import eventually
from lib.ws import WebSocket

PORTS = {"HTTP_PORT": "23006", "TLS_PORT": "23007", "TLS_BIND": "127.0.0.1", "TLS_ADDRESS": ":23007"}
BACKUP = "backup.sql.gz"


class Deployed(Compose):
    """The stack that the guide builds."""

    def __init__(self, tree, project):
        super().__init__(tree, project, ("compose.yml", "compose.tls.yml", "compose.inside-tls.yml"))
        self.guide = (self.tree / "docs/deploy.md").read_text()
        self.certificate = self.tree / "tls/server.pem"

    def follow(self, heading, keep, replaced={}):
        """Runs the commands below a heading of the guide: the lines to keep, and {in the guide: here}."""
        section = re.search(rf"^## \d+\. {heading}\n(.*?)(?=^## )", self.guide, re.M | re.S)[1]
        commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S))
        commands = "\n".join(line for line in commands.splitlines() if keep(line))
        for old, new in replaced.items():
            assert old in commands, f"{heading}: the guide says nothing of {old}"
            commands = commands.replace(old, new)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=self.tree, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr

    @property
    def https(self):
        return Http(f"https://localhost:{PORTS['TLS_PORT']}", trust=self.certificate)

    def headers(self, user, **claims):
        """With a token as the guide's issuer would make it."""
        told = {"sub": str(user), "exp": int(time.time()) + 600, "aud": self.env["JWT_AUDIENCE"], "iss": self.env["JWT_ISSUER"], **claims}
        head = f"{encode({'alg': 'HS256', 'typ': 'JWT'})}.{encode(told)}"
        signature = hmac.new(self.env["JWT_SECRET"].encode(), head.encode(), hashlib.sha256).digest()
        return {"Authorization": f"Bearer {head}.{encode(signature)}"}

    def add_task(self, user, content):
        headers = self.headers(user) | {"Idempotency-Key": os.urandom(8).hex()}
        return accepted(lambda: self.https.post("/tasks", {"user_id": user, "content": content}, headers=headers))

    def subscribed(self, user, **more):
        """A notifier that has not caught up answers no cursor; after a start its broker and its name server need time."""
        eventually(lambda: self.https.get("/notifier/readyz").status == 200, 180, "the notifier has caught up")
        trusting = ssl.create_default_context(cafile=self.certificate)
        socket = WebSocket(f"wss://localhost:{PORTS['TLS_PORT']}/ws", ssl=trusting, headers=self.headers(user))
        socket.answer = socket.subscribe(user, **more)
        return socket


@pytest.fixture(scope="module")
def stack():
    if "CARILLON_TREE" not in os.environ:
        pytest.skip("started by tests/containers/run only")
    return Deployed(os.environ["CARILLON_TREE"], os.environ["CARILLON_PROJECT"])


@pytest.fixture(scope="module")
def user(stack):
    """Migrations without demo data: the first user is made by the administrator."""
    ask = 'exec mariadb -uroot -p"$MARIADB_ROOT_PASSWORD" "$DB_NAME" -Ne "INSERT INTO users (name) VALUES (\'Alice\'); SELECT LAST_INSERT_ID()"'
    return int(stack.exec("mariadb", "sh", "-c", ask))


def test_secrets_tokens_and_limits(stack):
    elsewhere = {name: value for name, value in stack.env.items() if name.endswith("PORT") or name == "NOFILE"} | PORTS
    for heading in ("Secrets", "Tokens", "Limits"):
        # The last of them counts what is left to change: none, which is an error to grep.
        stack.follow(heading, lambda line: not line.startswith("grep"))
    path = stack.tree / ".env"
    assert path.stat().st_mode & 0o077 == 0
    assert "change-me" not in path.read_text()
    with path.open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in elsewhere.items())
    stack.env = settings_of(path)
    passwords = [value for name, value in stack.env.items() if name.endswith("_PASSWORD")]
    assert len(passwords) > 6 and len(set(passwords)) == len(passwords) and all(len(password) == 48 for password in passwords)


def test_it_comes_up_with_https(stack, tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    prepares = re.compile("mkdir|cp|chmod|chown")
    stack.follow("https", prepares.match, {"/etc/letsencrypt/live/tasks.example.org": str(tmp_path)})
    assert (stack.tree / "tls/server.key").stat().st_uid == 101
    stack.follow("TLS inside", lambda line: not line.startswith("docker"))
    for name in ("ca", "mariadb", "rabbitmq"):
        assert (stack.tree / f"tls/inside/{name}.key").stat().st_mode & 0o077 == 0
    stack.up()
    stack.wait_healthy()
    eventually(lambda: stack.https.get("/readyz").json()["status"] == "ok", 120, "database and broker are there")


def test_what_the_world_sees(stack):
    plain = Http(f"http://localhost:{PORTS['HTTP_PORT']}").get("/index.html")
    assert plain.status == 308 and plain.header("Location") == f"https://localhost:{PORTS['TLS_PORT']}/index.html"
    page = stack.https.get("/index.html")
    assert page.status == 200 and page.header("Strict-Transport-Security").startswith("max-age=")
    assert stack.https.get("/tasks").status == 401
    assert stack.https.get("/tasks", headers=stack.headers(1, exp=int(time.time()) - 3600)).status == 401


def test_an_event_travels(stack, user):
    socket = stack.subscribed(user, since=None)
    task = stack.add_task(user, "Sonner")
    assert task.status == 201, task
    frame = socket.recv_until(lambda frame: frame.get("event") == "task.created", 60)
    assert frame["task"]["content"] == "Sonner"
    assert accepted(lambda: stack.https.get(f"/tasks/{task.json()['id']}", headers=stack.headers(user + 1))).status == 404
    socket.close()


def test_nothing_inside_goes_in_the_clear(stack, user):

    def all_encrypted():
        rows = stack.exec("rabbitmq", "rabbitmqctl", "--silent", "list_connections", "user", "ssl").splitlines()
        assert dict(row.split("\t") for row in rows) == {"carillon-api": "true", "carillon-notifier": "true"}, rows
        return True

    eventually(all_encrypted, 60, interval=1)
    # MariaDB does not tell of others' connections. One that takes no others from the API, and ends those there are, does.
    only = "ALTER USER 'carillon-api'@'%' REQUIRE SSL; KILL USER 'carillon-api'"
    stack.exec("mariadb", "sh", "-c", f'exec mariadb -uroot -p"$MARIADB_ROOT_PASSWORD" -e "{only}"')
    assert accepted(lambda: stack.https.get("/tasks", headers=stack.headers(user))).status == 200


def test_backup_and_restore(stack, user):
    """Changes made after the backup are undone, and clients that saw them are told to read anew."""
    database = stack.container("mariadb")
    others = " ".join(stack.container(service) for service in ("fcgi-api", "ws-notifier", "nginx"))
    restores = re.compile("docker compose (stop|start|run)|gunzip|docker compose exec -T mariadb sh -c \"|    -e")
    here = {"docker compose exec -T mariadb": f"podman exec -i {database}"}
    stack.follow("Backups", lambda line: not restores.match(line), here | {"carillon-$(date -u +%F).sql.gz": BACKUP})

    socket = stack.subscribed(user, since=None)
    task = stack.add_task(user, "Après").json()
    cursor = socket.recv_until(lambda frame: frame.get("event") == "task.created", 60)["cursor"]
    socket.close()

    here |= {"carillon-2026-07-01.sql.gz": BACKUP,
             "docker compose stop nginx fcgi-api ws-notifier": f"podman stop --time 20 {others}",
             "docker compose run --rm migrate": f"{shlex.join(stack.command())} run --rm migrate",
             "docker compose start fcgi-api ws-notifier nginx": f"podman start {others}"}  # fmt: skip
    stack.follow("Backups", restores.match, here)
    stack.wait_healthy()
    assert accepted(lambda: stack.https.get(f"/tasks/{task['id']}", headers=stack.headers(user))).status == 404
    # A client that is faster than the API's beacon of the new epoch is answered from the old one, and reset a moment later.
    socket = stack.subscribed(user, since=cursor)
    told = socket.recv_until(lambda frame: frame["type"] == "reset", 120) if socket.answer["recovered"] else socket.answer
    assert told["reason"] == "epoch", told
    socket.close()


def test_who_is_connected_while_a_certificate_is_renewed_misses_nothing(stack, user):
    def writes(text):
        task = stack.add_task(user, text)
        assert task.status == 201, task

    heard = []

    def note(frame):
        if frame.get("event") == "task.created":
            heard.append(frame["task"]["content"])
        return heard[-1:] == ["Toujours"]

    socket = stack.subscribed(user, since=None)
    podman("kill", "--signal", "HUP", stack.container("nginx"))
    writes("Encore")
    socket.wait_closed(120)  # after some seconds (worker_shutdown_timeout), in which it hears, unless the machine stands still
    frames = [json.loads(text) for text in socket.texts]
    for frame in frames:
        note(frame)
    cursor = [frame["cursor"] for frame in frames if "cursor" in frame][-1]
    writes("Toujours")
    socket = stack.subscribed(user, since=cursor)
    assert socket.answer["recovered"], socket.answer
    socket.recv_until(note, 60)
    assert heard == ["Encore", "Toujours"]
    socket.close()


def test_an_upgrade(stack, user):
    """Connected clients miss nothing. podman-compose makes no container anew that is there, so the new
    programs are the old ones, restarted."""
    docker = "docker compose -f compose.yml -f compose.tls.yml"
    restarted = {f"{docker} up --detach --no-deps {service}": f"podman restart --time 20 {stack.container(service)}"
                 for service in ("fcgi-api", "ws-notifier")}  # fmt: skip
    socket = stack.subscribed(user, since=None)
    cursor = socket.answer["cursor"]
    stack.follow("Upgrades", re.compile(r"docker compose .* (run|up) |curl ").match, restarted | {
        docker: shlex.join(stack.command()), "http://127.0.0.1:8088": f"http://127.0.0.1:{stack.env['PORT']}"})  # fmt: skip
    assert socket.wait_closed()[0] == 1012
    task = stack.add_task(user, "Enfin")
    assert task.status == 201, task
    socket = stack.subscribed(user, since=cursor)
    assert socket.answer["recovered"], socket.answer
    socket.recv_until(lambda frame: frame.get("event") == "task.created" and frame["task"]["content"] == "Enfin", 60)
    socket.close()


def test_no_secret_is_in_a_log(stack):
    secrets = [value for name, value in stack.env.items() if re.search("PASSWORD|SECRET", name) and value]
    for service in stack.SERVICES:
        log = stack.logs(service)
        assert log and not [secret for secret in secrets if secret in log], service


def test_it_leaves(stack):
    stack.compose("down", "--timeout", "20", "--volumes")
    assert json.loads(podman("ps", "--all", "--format", "json") or "[]") == []
