# SPDX-License-Identifier: MIT
"""TLS to MariaDB and RabbitMQ: the programs talk only to a host with a certificate of their CA. Each is started alone
here, with its part's settings and one of them changed, against the servers of a stack with TLS."""

import base64
import os
import re
import shutil
import subprocess
import urllib.parse
from functools import partial

import pytest

from lib.http import Http
from lib.wait import eventually


@pytest.fixture
def start(tls_stack, programs):
    """start("fcgi-api", DB_TLS_CA=...) runs until the test ends."""
    return partial(programs, tls_stack)


@pytest.fixture
def relay(tls_stack, relays):
    """relay("DB_PORT") leads to that port of the stack."""
    return partial(relays, tls_stack)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """A CA that has signed no certificate here."""
    path = tmp_path_factory.mktemp("strangers") / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.devnull,
         "-out", path, "-days", "2", "-subj", "/CN=nobody"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return path


def db(wire):
    return {"DB_HOST": wire.host, "DB_PORT": wire.port}


def amqp(wire):
    return {"AMQP_HOST": wire.host, "AMQP_PORT": wire.port}


def management(stack):
    """(client, headers) of RabbitMQ's own account of things."""
    parts = urllib.parse.urlsplit(stack.amqp)
    token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    return Http(stack.endpoints["management"]), {"Authorization": f"Basic {token}"}


# --- As it should be


def test_the_broker_sees_encrypted_connections_only(tls_stack):
    client, headers = management(tls_stack)

    def all_encrypted():
        seen = [one for one in client.get("/api/connections", headers=headers).json() if one.get("user") not in (None, "admin")]
        names = {one.get("client_properties", {}).get("connection_name", "") for one in seen}
        assert len(names) >= 2, names
        assert all(one["ssl"] and one["ssl_protocol"] in ("tlsv1.3", "tlsv1.2") for one in seen), seen
        return True

    eventually(all_encrypted, 60, "publisher and notifier, both encrypted")


def test_the_database_takes_encrypted_connections_only(tls_stack):
    assert tls_stack.sql("SELECT host, ssl_type FROM mysql.user WHERE user = 'carillon-api'") == [("127.0.0.1", "ANY")]
    assert Http(tls_stack.endpoints["https"], trust=tls_stack.endpoints["tls_ca"]).get("/tasks/1").status == 200


def test_without_tls_the_database_refuses_the_api(start):
    api = start("fcgi-api", DB_TLS_CA="")
    assert api.ask("/tasks/1")[0] == 503
    assert "Access denied" in api.says("database: cannot read")


# --- The database


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_right_database(start, relay, host):
    api = start("fcgi-api", DB_HOST=host, DB_PORT=relay("DB_PORT").port)
    assert api.ask("/tasks/1")[0] == 200


def test_several_hosts(start, relay):
    """The certificate is compared with the name of each; one to which it does not belong is passed over."""
    wrong, right = relay("DB_PORT", host="127.0.0.2"), relay("DB_PORT")
    api = start("fcgi-api", DB_HOST=f"127.0.0.2:{wrong.port},localhost:{right.port}")
    assert api.ask("/tasks/1")[0] == 200


def test_a_database_of_another_ca(start, strangers, tls_stack, tmp_path):
    """Refused in one line a connection, and healed by the right file, without a restart."""
    file = tmp_path / "ca.pem"
    shutil.copy(strangers, file)
    api = start("fcgi-api", DB_TLS_CA=file)
    assert api.ask("/tasks/1")[0] == 503
    line = api.says("database: cannot read")
    assert re.search(r"certificate", line) and "Access denied" not in api.log(), line
    assert "no answer within" not in line, "it is refused at once"
    for _ in range(5):
        api.ask("/tasks/1")
    assert api.log().count("database: cannot read") <= 2  # requests and publisher have a connection each
    shutil.copy(tls_stack.endpoints["tls_ca"], file)
    eventually(lambda: api.ask("/tasks/1")[0] == 200, 60, "healed")


def test_a_database_of_another_name(start, relay):
    api = start("fcgi-api", **db(relay("DB_PORT", host="127.0.0.2")))
    assert api.ask("/tasks/1")[0] == 503
    assert re.search("Validation of SSL server certificate failed|Hostname verification failed", api.says("database: cannot read"))


def test_a_database_without_tls(programs, stack, tls_stack):
    """An attacker in between may remove TLS from the server's greeting: then there is no connection."""
    api = programs(stack, "fcgi-api", DB_SOCKET="", DB_PORT=stack.port("DB_PORT"), DB_TLS_CA=tls_stack.endpoints["tls_ca"])
    assert api.ask("/tasks/1")[0] == 503
    assert "SSL" in api.says("database: cannot read")


def test_a_database_that_stops_in_the_handshake(start, relay):
    """503 after DB_TIMEOUT_MS holds for it, too: the library by itself would wait for ever."""
    api = start("fcgi-api", **db(relay("DB_PORT", deaf=True)), DB_TIMEOUT_MS=1500)
    assert api.ask("/tasks/1")[0] == 503
    assert "no answer within 1500 ms" in api.says("database: cannot read")


def test_a_client_certificate(start, tls_stack, tmp_path):
    """Where the server asks for one."""
    tls, cert, key = tls_stack.run_dir / "tls", tmp_path / "cert.pem", tmp_path / "key.pem"
    for command in (
        f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {tmp_path}/csr -subj /CN=fcgi-api",
        f"x509 -req -in {tmp_path}/csr -CA {tls}/ca.pem -CAkey {tls}/ca.key -set_serial 9 -days 2 -out {cert}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    tls_stack.sql("CREATE OR REPLACE USER 'shows'@'127.0.0.1' IDENTIFIED BY 'a-word' REQUIRE X509")
    tls_stack.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON carillon.* TO 'shows'@'127.0.0.1'")
    (tmp_path / "word").write_text("a-word")
    try:
        account = {"DB_USER": "shows", "DB_PASSWORD_FILE": tmp_path / "word"}
        shown = {"DB_TLS_CERT": cert, "DB_TLS_KEY": key, "AMQP_TLS_CERT": cert, "AMQP_TLS_KEY": key}
        api = start("fcgi-api", **account, **shown)
        assert api.ask("/tasks/1")[0] == 200
        api.says("broker: connected")
    finally:
        tls_stack.sql("DROP USER 'shows'@'127.0.0.1'")


# --- The broker


def test_the_right_broker(start, relay):
    notifier = start("ws-notifier", **amqp(relay("AMQPS_PORT")))
    eventually(notifier.ready, 90, "it has read the stream")


def test_a_broker_of_another_ca(start, strangers, tls_stack, tmp_path):
    file = tmp_path / "ca.pem"
    shutil.copy(strangers, file)
    notifier = start("ws-notifier", AMQP_TLS_CA=file)
    line = notifier.says("the broker is away")
    assert f"localhost:{tls_stack.port('AMQPS_PORT')}: the broker's certificate: " in line and "certificate" in line.partition("certificate: ")[2], line
    assert not notifier.ready()
    shutil.copy(tls_stack.endpoints["tls_ca"], file)
    eventually(notifier.ready, 90, "healed")
    assert notifier.log().count("the broker is away") == 1


def test_a_broker_of_another_name(start, relay):
    wire = relay("AMQPS_PORT", host="127.0.0.2")
    notifier = start("ws-notifier", **amqp(wire))
    assert "the broker's certificate: IP address mismatch" in notifier.says("the broker is away")


def test_a_publisher_refuses_the_same(start, relay):
    api = start("fcgi-api", **amqp(relay("AMQPS_PORT", host="127.0.0.2")))
    assert "the broker's certificate: IP address mismatch" in api.says("broker: ")
    assert api.ask("/tasks/1")[0] == 200, "the request path has nothing to do with it"


def test_a_broker_without_tls(start, relay):
    notifier = start("ws-notifier", **amqp(relay("AMQP_PORT")))
    assert "no TLS: " in notifier.says("the broker is away")


def test_a_broker_that_stops_in_the_handshake(start, relay):
    notifier = start("ws-notifier", **amqp(relay("AMQPS_PORT", deaf=True)), AMQP_TIMEOUT_MS=12000)
    eventually(notifier.alive, 60, "browsers are served meanwhile")
    assert "the broker is away" not in notifier.log(), "it was served after the handshake only"
    notifier.says("the broker is away")


def test_a_cut_connection_is_made_again(start, relay):
    wire = relay("AMQPS_PORT")
    notifier = start("ws-notifier", **amqp(wire))
    eventually(notifier.ready, 90, "it has read the stream")
    wire.cut()
    notifier.says("the broker is away")
    eventually(notifier.ready, 90, "and reads on")


# --- Settings that cannot be


@pytest.mark.parametrize(
    "program, settings, complaint",
    [
        ("ws-notifier", {"AMQP_TLS_CA": "/nowhere/ca.pem"}, "AMQP_TLS_CA: cannot open /nowhere/ca.pem: No such file"),
        ("ws-notifier", {"AMQP_TLS_CA": "/etc/hostname"}, "AMQP_TLS_CA: /etc/hostname holds no certificate in PEM"),
        ("ws-notifier", {"AMQP_TLS_CERT": "/x"}, "AMQP_TLS_CERT and AMQP_TLS_KEY go together; one is missing"),
        ("fcgi-api", {"DB_TLS_CA": "", "DB_TLS_CERT": "/x", "DB_TLS_KEY": "/x"}, "DB_TLS_CERT is set without DB_TLS_CA"),
        ("fcgi-api", {"DB_HOST": "a,"}, "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not ''"),
        ("fcgi-api", {"DB_HOST": "a:1,b:"}, "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not 'b:'"),
        ("fcgi-api", {"DB_HOST": "a:1, b:1"}, "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not ' b:1'"),
        ("fcgi-api", {"DB_HOST": "a:65536"}, "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not 'a:65536'"),
        ("fcgi-api", {"DB_HOST": "[::1]3306"}, "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not '[::1]3306'"),
        ("fcgi-api", {"DB_SOCKET": "/x"}, "DB_TLS_CA is for DB_HOST, but DB_SOCKET is set"),
        ("fcgi-api", {"DB_TLS_CERT": "CA", "DB_TLS_KEY": "/etc/hostname"}, "DB_TLS_KEY: /etc/hostname holds no key in PEM"),
        ("fcgi-api", {"DB_TLS_CERT": "CA", "DB_TLS_KEY": "KEY"}, "is not the key of DB_TLS_CERT"),
    ],
)
def test_what_cannot_work_is_named_at_the_start(start, tls_stack, program, settings, complaint):
    tls = tls_stack.run_dir / "tls"
    files = {"CA": tls / "ca.pem", "KEY": tls / "server.key"}
    started = start(program, **{name: files.get(value, value) for name, value in settings.items()})
    started.says(f"cannot start: {complaint}" if not complaint.startswith("is not") else complaint)
