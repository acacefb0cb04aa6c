# SPDX-License-Identifier: MIT
"""No secret of a running stack is on a command line, in an environment, a log or an answer; and only its owner can
read a file with a secret."""

import threading
from pathlib import Path

import pytest


@pytest.fixture(params=["stack", "guarded_stack"])
def some_stack(request):
    """The second has a key for tokens, too."""
    return request.getfixturevalue(request.param)


def secrets_of(stack):
    found = {path.name: path.read_bytes().strip() for path in (stack.run_dir / "secrets").iterdir()}
    assert len(found) >= 6 and all(len(secret) >= 32 for secret in found.values()), {k: len(v) for k, v in found.items()}
    assert len(set(found.values())) == len(found), "two secrets are the same"
    return found


def leaks(secrets, places):
    """[(place, name of the secret)] for {place: bytes}"""
    return [(place, name) for place, text in places for name, secret in secrets.items() if secret in text]


def of_processes(file):
    for path in Path("/proc").glob(f"[0-9]*/{file}"):
        try:
            yield str(path), path.read_bytes()
        except OSError:  # gone, or another user's
            pass


class Watch:
    """Looks at every command line and environment again and again while something runs."""

    def __init__(self, secrets):
        self._secrets, self._stop, self.found = secrets, threading.Event(), set()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self._stop.is_set():
            for file in ("cmdline", "environ"):
                self.found.update((Path(place).name, name) for place, name in leaks(self._secrets, of_processes(file)))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)


@pytest.mark.parametrize("file", ["cmdline", "environ"])
def test_no_process_shows_one(some_stack, file):
    """Of any process on this machine, the stack's own among them: they are told the secret's file."""
    places = list(of_processes(file))
    assert any(b"fcgi-api" in text for _, text in places)
    assert not leaks(secrets_of(some_stack), places)


@pytest.mark.parametrize("script", [["sql", "-e", "SELECT 1"], ["token", "1"], ["status"], ["logs", "--no-follow"]])
def test_no_script_shows_one(some_stack, script):
    secrets = secrets_of(some_stack)
    with Watch(secrets) as watch:
        done = some_stack.script(*script, check=False)
    assert not watch.found
    assert not leaks(secrets, [("its output", (done.stdout + done.stderr).encode())])


def test_no_log_holds_one(some_stack):
    some_stack.client().get("/readyz")
    logs = [(str(path), path.read_bytes()) for path in (some_stack.run_dir / "log").rglob("*") if path.is_file()]
    assert len(logs) >= 6
    assert not leaks(secrets_of(some_stack), logs)


def test_no_answer_holds_one(some_stack):
    http = some_stack.client()
    paths = ("/readyz", "/notifier/readyz", "/metrics", "/notifier/metrics", "/tasks", "/nothing", "/tasks/x")
    answers = [(path, http.get(path).text.encode()) for path in paths]
    assert not leaks(secrets_of(some_stack), answers)


def test_files_that_hold_one_are_their_owners(some_stack):
    """Passwords are rendered into configurations too: for the owner only, and nowhere but in etc/ and secrets/."""
    secrets, holders = secrets_of(some_stack), set()
    for folder in ("etc", "secrets", "service", "tmp", "log"):
        for path in (some_stack.run_dir / folder).rglob("*"):
            try:
                text = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:  # renamed meanwhile
                continue
            if leaks(secrets, [(path, text)]):
                assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"
                holders.add(folder)
    assert holders == {"etc", "secrets"}
    assert some_stack.run_dir.stat().st_mode & 0o077 == 0
