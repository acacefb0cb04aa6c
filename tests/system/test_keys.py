# SPDX-License-Identifier: MIT
"""Keys that rotate (JWT_JWKS_FILE): read again while the programs run, and fetched by scripts/fetch-keys."""

import json
import os
import re
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import PATIENT
from lib.http import assert_problem
from lib.issuer import Issuer, encode, make_rsa
from lib.stack import ROOT, Stack
from lib.wait import eventually


WORKERS = 2


class Key:
    def __init__(self, folder, kid):
        self.kid, self.folder = kid, folder / kid
        self.folder.mkdir()
        make_rsa(self.folder)
        modulus = subprocess.run(
            ["openssl", "rsa", "-pubin", "-in", self.folder / "public.pem", "-modulus", "-noout"], capture_output=True, text=True, check=True
        ).stdout.split("=")[1]
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}

    def token(self, user):
        head = f"{encode({'alg': 'RS256', 'kid': self.kid})}.{encode(Issuer.claims(user))}"
        command = ["openssl", "dgst", "-sha256", "-sign", self.folder / "private.pem"]
        return f"{head}.{encode(subprocess.run(command, input=head.encode(), stdout=subprocess.PIPE, check=True).stdout)}"

    def bearer(self, user):
        return {"Authorization": f"Bearer {self.token(user)}"}


def put(path, keys):
    """As scripts/fetch-keys does it; `keys` is a list of them, or a text."""
    fresh = path.with_suffix(".new")
    fresh.write_text(keys if isinstance(keys, str) else json.dumps({"keys": [key.jwk for key in keys]}))
    fresh.rename(path)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotating")
    return [Key(folder, name) for name in ("one", "two")]


@pytest.fixture(scope="module")
def rotating(keys, tmp_path_factory):
    """A stack whose keys are in a file, which is `rotating.keys`."""
    path = tmp_path_factory.mktemp("set") / "jwks.json"
    put(path, keys[:1])
    made = Stack.start(JWT_JWKS_FILE=path, JWT_AUDIENCE="carillon-test", API_WORKERS=WORKERS, ADMINER_PORT="off", **PATIENT)
    made.keys = path
    yield made
    made.script("stop", timeout=180, check=False)
    made.stop()


def gets_in(stack, key, user):
    """What the notifier and the workers that take twelve requests say to its tokens."""
    client, answers = stack.client(), set()
    for _ in range(12):
        answers.add(client.get("/tasks", headers=key.bearer(user)).status)
    socket = stack.socket()
    socket.send({"type": "subscribe", "user_id": user, "token": key.token(user)})
    answers.add({"subscribe": 200, "error": 401}[socket.recv()["type"]])
    socket.close()
    return answers


def put_and_be_read(stack, keys, user):
    """Returns when every process has these keys: a worker looks when a request comes to it, and one alone may take many."""
    marks = stack.log_marks()
    put(stack.keys, keys)

    def read():
        assert gets_in(stack, keys[0], user) == {200}
        for part, processes in (("fcgi-api", WORKERS), ("ws-notifier", 1)):
            assert stack.logs_since(marks, part).count(f"has changed: {len(keys)} keys") >= processes, part
        return True

    eventually(read, 60, "all have read the file")


def test_a_new_key_is_taken_and_an_old_one_no_longer(rotating, keys):
    [user] = rotating.new_users(1)
    old, new = keys
    assert gets_in(rotating, old, user) == {200} and gets_in(rotating, new, user) == {401}
    put_and_be_read(rotating, keys, user)
    assert gets_in(rotating, new, user) == {200} and gets_in(rotating, old, user) == {200}
    put_and_be_read(rotating, keys[1:], user)
    assert gets_in(rotating, old, user) == {401}
    assert gets_in(rotating, new, user) == {200}
    problem = assert_problem(rotating.client().get("/tasks", headers=old.bearer(user)), 401, "unauthenticated")
    assert "key that is not known here" in problem["detail"]


@pytest.mark.parametrize(
    "text", ["", "{", '{"keys":[]}', '{"keys":[{"kty":"oct","k":"AA"}]}', "x" * 300_000], ids=["empty", "half", "none", "secret", "long"]
)
def test_of_a_bad_file_the_old_keys_stay(rotating, keys, text):
    [user] = rotating.new_users(1)
    put_and_be_read(rotating, keys[:1], user)
    marks = rotating.log_marks()
    put(rotating.keys, text)
    told = lambda part: rotating.logs_since(marks, part).count("the keys from before stay")
    eventually(lambda: gets_in(rotating, keys[0], user) == {200} and told("ws-notifier") and told("fcgi-api"), 60, "it is told")
    for _ in range(3):
        assert gets_in(rotating, keys[0], user) == {200}
    assert told("ws-notifier") == 1 and told("fcgi-api") <= WORKERS, "once a process"


def test_a_file_that_is_gone(rotating, keys):
    [user] = rotating.new_users(1)
    put_and_be_read(rotating, keys[:1], user)
    marks = rotating.log_marks()
    rotating.keys.unlink()
    eventually(lambda: gets_in(rotating, keys[0], user) == {200} and "cannot be opened" in rotating.logs_since(marks, "ws-notifier"), 60, "it is told")
    put_and_be_read(rotating, keys[1:], user)
    put(rotating.keys, keys[:1])


@pytest.mark.parametrize("text, why", [(None, "No such file"), ("", "is empty"), ("{}", 'no list "keys"'), ('{"keys":[]}', "has no key for signatures")])
def test_a_start_with_a_bad_file(tmp_path, text, why):
    path = tmp_path / "jwks.json"
    if text is not None:
        path.write_text(text)
    program = subprocess.run(
        [ROOT / os.environ.get("BUILD_DIR", "build") / "ws-notifier"],
        env={"AMQP_PASSWORD": "x", "JWT_JWKS_FILE": str(path), "WS_PORT": "1", "UBSAN_OPTIONS": "halt_on_error=1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert program.returncode == 1
    assert f"cannot start: JWT_JWKS_FILE: {path} " in program.stdout + program.stderr and why in program.stdout + program.stderr


# --- fetching ---


@pytest.fixture
def provider(tmp_path):
    """A server of the files in `provider.folder`, at `provider.url`."""
    folder = tmp_path / "provider"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    server.folder, server.url = folder, f"http://127.0.0.1:{server.server_port}/jwks.json"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(*words, **more):
    env = {**os.environ, "CHECK_KEYS": str(ROOT / os.environ.get("BUILD_DIR", "build") / "ws-notifier"), **more}
    return subprocess.run([ROOT / "scripts" / "fetch-keys", *words], env=env, capture_output=True, text=True, timeout=180)


def test_fetch(provider, keys, tmp_path):
    target = tmp_path / "jwks.json"
    put(provider.folder / "jwks.json", keys)
    done = fetch(provider.url, target)
    assert done.returncode == 0 and "has 2 keys: RS256, RS256" in done.stdout, done
    assert json.loads(target.read_text()) == {"keys": [key.jwk for key in keys]} and target.stat().st_mode & 0o777 == 0o644
    before = target.stat().st_ino
    again = fetch(provider.url, target)
    assert again.returncode == 0 and again.stdout == "" and target.stat().st_ino == before, "the same is left alone"
    for bad in ("", "{", '{"keys":[]}', "<html>", "x" * 300_000, None):
        if bad is None:
            (provider.folder / "jwks.json").unlink()
        else:
            put(provider.folder / "jwks.json", bad)
        done = fetch(provider.url, target)
        assert done.returncode == 1 and "stays as it is" in done.stderr, done
        assert target.stat().st_ino == before and {path.name for path in tmp_path.glob("jwks.json*")} == {"jwks.json"}


@pytest.mark.parametrize("words", [[], ["https://x.example"], ["http://id.example.org/x", "f"], ["file:///etc/passwd", "f"], ["--every", "x", "https://x.example", "f"], ["http://localhost.example.org/", "f"]])
def test_fetch_asked_wrongly(words, tmp_path):
    done = fetch(*words)
    assert done.returncode == 1 and done.stderr.startswith("fetch-keys: "), done


def test_fetch_again_and_again(provider, keys, tmp_path):
    target = tmp_path / "jwks.json"
    env = {**os.environ, "CHECK_KEYS": str(ROOT / os.environ.get("BUILD_DIR", "build") / "ws-notifier")}
    with subprocess.Popen([ROOT / "scripts" / "fetch-keys", "--every", "1", provider.url, target], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as loop:
        try:
            assert "stays as it is" in "".join(loop.stderr.readline() for _ in range(2)), "nothing is there yet"
            for part in (keys[:1], keys):
                put(provider.folder / "jwks.json", part)
                eventually(lambda: target.exists() and len(json.loads(target.read_text())["keys"]) == len(part), 60, "it is fetched")
        finally:
            loop.terminate()
    assert loop.returncode == -15


# --- units and containers ---


def test_the_unit_and_the_container_call_the_script_rightly():
    unit = (ROOT / "systemd/carillon-keys.service").read_text()
    assert "ExecStart=/usr/local/share/carillon/scripts/fetch-keys ${JWKS_URL} ${JWT_JWKS_FILE}" in unit
    path = re.search(r"JWT_JWKS_FILE=(\S+)", unit)[1]
    compose = (ROOT / "compose.keys.yml").read_text()
    assert f"JWT_JWKS_FILE: {path}" in compose and f"--check-keys {path}" in compose
    assert re.search(r"^INSTALLED +:=.* fetch-keys ", (ROOT / "Makefile").read_text(), re.M)
