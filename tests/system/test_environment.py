# SPDX-License-Identifier: MIT
"""The caller's environment and files name other servers, options of tools and folders; no script uses them."""

import os
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest

from lib.stack import ROOT
from lib.wait import eventually


class Elsewhere:
    """A server that no script may call."""

    def __init__(self, folder):
        self.calls = 0
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(folder / "other.sock"))
        self._unix.listen()
        self.port, self.path = self._tcp.getsockname()[1], folder / "other.sock"
        for listener in (self._tcp, self._unix):
            threading.Thread(target=self._take, args=(listener,), daemon=True).start()

    def _take(self, listener):
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            self.calls += 1
            taken.close()

    def close(self):
        for listener in (self._tcp, self._unix):
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def hostile(folder, other):
    """An environment in which every tool would do something else."""
    home = folder / "home"
    home.mkdir()
    (home / ".my.cnf").write_text(f"[client]\nhost = 127.0.0.1\nport = {other.port}\nprotocol = tcp\nuser = nobody\n")
    (home / ".curlrc").write_text(f"proxy = http://127.0.0.1:{other.port}\n")
    (folder / "decoy" / "scripts" / "lib").mkdir(parents=True)
    address = f"http://127.0.0.1:{other.port}"
    return {
        "HOME": home, "CURL_HOME": home, "CDPATH": folder / "decoy",
        "MYSQL_HOST": "127.0.0.1", "MYSQL_TCP_PORT": other.port, "MYSQL_UNIX_PORT": other.path, "MYSQL_PWD": "wrong",
        "MYSQL_GROUP_SUFFIX": "_other", "MYSQL_HOME": home, "MARIADB_HOME": home,
        "PGHOST": "127.0.0.1", "PGPORT": other.port, "AMQP_URL": f"amqp://127.0.0.1:{other.port}",
        "RABBITMQ_NODENAME": "other@nowhere", "RABBITMQ_NODE_PORT": other.port, "RABBITMQ_CONF_ENV_FILE": "/nonexistent",
        "http_proxy": address, "https_proxy": address, "all_proxy": address, "ALL_PROXY": address,
        "OPENSSL_CONF": "/nonexistent", "SSL_CERT_FILE": "/nonexistent", "PERL5OPT": "-Mnonsense", "PERL5LIB": home,
    }  # fmt: skip


@contextmanager
def led_astray(folder):
    other = Elsewhere(folder)
    try:
        yield {name: str(value) for name, value in hostile(folder, other).items()}
        assert other.calls == 0, "another server was called"
    finally:
        other.close()


CALLS = {
    "sql": ["sql", "--skip-column-names", "-e", "SELECT @@socket"],
    "migrate": ["migrate", "--list"],
    "status": ["status"],
    "logs": ["logs", "mariadb", "--no-follow"],
    "token": ["token", "1"],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_script_stays_with_its_stack(guarded_stack, tmp_path, name):
    stack = guarded_stack
    secret = stack.run_dir / "secrets" / "db_migrate_password"
    told = {
        "sql": str(stack.endpoints["db_socket"]),
        "migrate": "applied  sql/001",
        "status": "nginx           up",
        "logs": "ready for connections",
        "token": "eyJ",
    }

    def says():
        """Once more when a part was too busy to answer scripts/status."""
        done = subprocess.run(
            [f"scripts/{CALLS[name][0]}", *CALLS[name][1:]], cwd=ROOT, capture_output=True, text=True, timeout=300,
            env={**stack.environment, **environment, "DB_SOCKET": stack.endpoints["db_socket"],
                 "DB_USER": "carillon-migrate", "DB_PASSWORD_FILE": str(secret)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert told[name] in done.stdout, done.stdout
        return True

    with led_astray(tmp_path) as environment:
        eventually(says, 10)


def test_certificates_and_ports(tmp_path):
    """The tools that scripts/run calls before it starts anything: openssl for certificates, perl for free ports."""
    libraries = "".join(f". {ROOT}/scripts/lib/{name}.sh; " for name in ("common", "clients", "ports", "tls"))
    with led_astray(tmp_path) as environment:
        done = subprocess.run(
            ["bash", "-euc", f"{libraries} TLS_DIR={tmp_path}/tls; tls_configure; ports_probe 1"],
            env={**os.environ, **environment}, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] in ("free", "forbidden"), done.stdout
