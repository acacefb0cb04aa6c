# SPDX-License-Identifier: MIT
"""https in front of everything (scripts/run --tls): clients with the CA connect by TLS, and plain http only redirects
there."""

import json
import socket
import ssl
import subprocess

import pytest

from lib.http import Http
from lib.stack import ROOT, Stack
from lib.ws import WebSocket


@pytest.fixture
def secure(tls_stack):
    return Http(tls_stack.endpoints["https"], trust=tls_stack.endpoints["tls_ca"])


def door(stack):
    return ("localhost", stack.port("TLS_PORT"))


def openssl(*arguments, **more):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(stack, *arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", stack.endpoints["tls_ca"], *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_page_and_api(secure):
    page = secure.get("/index.html?user_id=1")
    assert page.status == 200 and "<html" in page.text
    for answer in (page, secure.get("/tasks/1"), secure.get("/nonsense"), secure.get("/healthz")):
        assert answer.header("Strict-Transport-Security") == "max-age=300", answer
    made = secure.post("/tasks", {"user_id": 1, "content": "secretly"})
    assert made.status == 201 and secure.get(made.header("Location")).json() == made.json()


def test_websocket(tls_stack, secure):
    user = tls_stack.new_users(1)[0]
    with_ca = ssl.create_default_context(cafile=tls_stack.endpoints["tls_ca"])
    heard = WebSocket(tls_stack.ws, ssl=with_ca)
    heard.subscribe(user, since=None)
    secure.post("/tasks", {"user_id": user, "content": "secretly"})
    assert heard.notification()["event"] == "task.created"
    heard.close()


def test_server_sent_events_by_http2(tls_stack, secure):
    """curl says which protocol it got; HTTP/2 must not hold the events back."""
    user = tls_stack.new_users(1)[0]
    command = ["curl", "-N", "-i", "--silent", "--cacert", tls_stack.endpoints["tls_ca"]]
    listener = subprocess.Popen(
        [*command, f"{tls_stack.endpoints['https']}/events?user_id={user}"], stdout=subprocess.PIPE, text=True
    )
    try:
        lines = iter(listener.stdout.readline, "")
        assert next(lines).startswith("HTTP/2 200")
        assert next(line for line in lines if line.startswith("data:"))
        secure.post("/tasks", {"user_id": user, "content": "secretly"})
        event = json.loads(next(line for line in lines if "notification" in line).partition(":")[2])
        assert event["event"] == "task.created"
    finally:
        listener.kill()
        listener.communicate()


def test_no_upgrade_by_http2(tls_stack):
    """Upgrade and Connection are malformed there (RFC 9113, 8.2.2), also in the answer that wants them."""
    done = curl(tls_stack, "-i", "--http2", f"{tls_stack.endpoints['https']}/ws")
    head, _, body = done.stdout.replace("\r", "").partition("\n\n")
    assert head.startswith("HTTP/2 426") and json.loads(body)["type"] == "/problems/upgrade-required", done
    names = [line.partition(":")[0].lower() for line in head.splitlines()]
    assert "sec-websocket-version" in names and not {"upgrade", "connection"} & set(names), head


def test_a_body_without_a_length_by_http2(tls_stack, secure):
    """HTTP/2 needs no Content-Length, FastCGI does: nginx must have counted."""
    done = curl(tls_stack, "-X", "PATCH", "-T", "-", "-w", " %{http_version}", f"{tls_stack.endpoints['https']}/tasks/1")
    assert done.stdout.endswith(" 2") and '"status":400' in done.stdout, "an empty body is no JSON"
    done = subprocess.run(
        ["curl", "-s", "--cacert", tls_stack.endpoints["tls_ca"], "-X", "PATCH", "-T", "-", f"{tls_stack.endpoints['https']}/tasks/1"],
        input='{"content":"counted"}',
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout)["content"] == "counted"


def test_plain_http_leads_to_https(tls_stack):
    plain = Http(tls_stack.http)
    answer = plain.get("/index.html?user_id=1", headers={"Host": "localhost"})
    assert answer.status == 308 and answer.header("Location") == f"{tls_stack.endpoints['https']}/index.html?user_id=1"
    assert answer.header("Strict-Transport-Security") is None, "by plain http it would be worth nothing"
    for path in ("/ws", "/events?user_id=1", "/tasks", "/notifier/nonsense"):
        assert plain.get(path).status == 308, path
    # As curl follows it, method and body stay.
    user = tls_stack.new_users(1)[0]
    done = curl(tls_stack, "-L", "-d", json.dumps({"user_id": user, "content": "led"}), f"http://localhost:{tls_stack.port('PORT')}/tasks")
    assert json.loads(done.stdout)["content"] == "led"


def test_probes_need_no_certificate(tls_stack):
    plain = Http(tls_stack.http)
    for path in ("/healthz", "/readyz", "/metrics", "/notifier/healthz", "/notifier/readyz", "/notifier/metrics"):
        assert plain.get(path).status == 200, path


def test_plain_http_at_the_port_of_https(tls_stack):
    answer = Http(tls_stack.endpoints["https"].replace("https", "http")).get("/tasks/1")
    assert answer.status == 308 and answer.header("Location") == f"{tls_stack.endpoints['https']}/tasks/1"


def test_the_originals_ports_are_closed(tls_stack):
    assert [tls_stack.port(name) for name in ("API_PORT", "CLIENT_PORT", "WS_PORT")] == [None] * 3


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_certificate_is_for_these_names(tls_stack, name):
    trusting = ssl.create_default_context(cafile=tls_stack.endpoints["tls_ca"])
    with socket.create_connection(door(tls_stack)) as bare, trusting.wrap_socket(bare, server_hostname=name) as wrapped:
        assert wrapped.version() == "TLSv1.3"


def test_the_certificate_is_for_no_other_name(tls_stack):
    trusting = ssl.create_default_context(cafile=tls_stack.endpoints["tls_ca"])
    with socket.create_connection(door(tls_stack)) as bare, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        trusting.wrap_socket(bare, server_hostname="carillon.example")


def test_who_does_not_know_the_ca_is_warned(tls_stack):
    with socket.create_connection(door(tls_stack)) as bare, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(bare, server_hostname="localhost")


def test_the_ca_can_vouch_for_this_machine_only(tls_stack, tmp_path):
    """A thief of the CA's key can still not impersonate other names to clients that trust the CA."""
    tls = tls_stack.run_dir / "tls"
    (tmp_path / "names").write_text("subjectAltName = DNS:bank.example\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "key",
            "-out", tmp_path / "csr", "-subj", "/CN=bank.example")  # fmt: skip
    openssl("x509", "-req", "-in", tmp_path / "csr", "-CA", tls / "ca.pem", "-CAkey", tls / "ca.key", "-set_serial", 7,
            "-days", 1, "-extfile", tmp_path / "names", "-out", tmp_path / "pem")  # fmt: skip
    judged = subprocess.run(["openssl", "verify", "-CAfile", tls / "ca.pem", tmp_path / "pem"], capture_output=True, text=True)
    assert judged.returncode != 0 and "permitted subtree violation" in judged.stderr


@pytest.mark.parametrize(
    "limits, taken",
    [
        (["-tls1_3"], True),
        (["-tls1_2"], True),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], True),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], False),  # CBC
        (["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-SHA"], False),  # no forward secrecy
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
        (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], False),
    ],
)
def test_protocols_and_ciphers(tls_stack, limits, taken):
    host, port = door(tls_stack)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", tls_stack.endpoints["tls_ca"], "-verify_return_error", *limits],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) is taken, done.stdout[-1500:] + done.stderr[-1500:]


def test_keys_are_for_the_owner_only(tls_stack):
    keys = list((tls_stack.run_dir / "tls").glob("*.key"))
    assert len(keys) == 2 and all(key.stat().st_mode & 0o777 == 0o600 for key in keys), keys


def test_run_and_status_name_it(tls_stack):
    for told in (tls_stack.script("status").stdout, tls_stack.said):
        for what in ("https", "ws", "tls_ca"):
            assert tls_stack.endpoints[what] in told, what


def test_plain_stack_has_none_of_it(stack):
    assert stack.endpoints["https"] is None and stack.endpoints["tls_ca"] is None
    assert not (stack.run_dir / "tls").exists()
    assert stack.client().get("/tasks/1").header("Strict-Transport-Security") is None


def test_a_port_for_tls_is_not_ignored():
    plain = Stack.prepare(TLS_PORT=1234)
    try:
        refused = plain.script("run", "--detach", "--no-build", check=False)
        assert refused.returncode != 0 and "--tls" in refused.stderr
    finally:
        plain.stop()


# --- The next start


@pytest.fixture
def certificates(tmp_path):
    """certificates() does what each start does, in a directory of its own: (CA, certificate) as they are then."""

    def make():
        script = f'set -eu; for lib in common clients tls; do . {ROOT}/scripts/lib/$lib.sh; done; TLS_DIR={tmp_path}; tls_configure'
        subprocess.run(["bash", "-c", script], check=True, timeout=120)
        openssl("verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "server.pem")
        return (tmp_path / "ca.pem").read_text(), (tmp_path / "server.pem").read_text()

    return make


def lasting(tmp_path, name, days):
    """One more certificate of the same CA, name and key, for so many days."""
    openssl("req", "-new", "-key", tmp_path / f"{name}.key", "-out", tmp_path / "csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", tmp_path / "csr", "-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key",
            "-set_serial", 7, "-days", days, "-out", tmp_path / f"{name}.pem")  # fmt: skip
    return (tmp_path / f"{name}.pem").read_text()


def test_certificates_are_used_again(certificates, tmp_path):
    first = certificates()
    assert certificates() == first
    still_good = lasting(tmp_path, "server", 31)
    assert certificates() == (first[0], still_good)


def test_a_certificate_near_its_end_is_renewed(certificates, tmp_path):
    """Only the certificate is renewed: clients that trust the CA need no other."""
    first = certificates()
    short = lasting(tmp_path, "server", 29)
    again = certificates()
    assert again[0] == first[0] and again[1] not in (first[1], short)
    openssl("x509", "-in", tmp_path / "server.pem", "-noout", "-checkend", 89 * 86400)


def test_a_ca_that_is_damaged_or_near_its_end_is_made_anew(certificates, tmp_path):
    """With a certificate of its own."""
    first = certificates()
    (tmp_path / "ca.key").unlink()
    second = certificates()
    lasting(tmp_path, "ca", 29)
    third = certificates()
    (tmp_path / "ca.pem").write_text("damaged")
    assert len({*first, *second, *third, *certificates()}) == 8
