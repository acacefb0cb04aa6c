"""scripts/nginx-config: a system's own nginx in front of the programs, and the units that start those."""

import os
import re
import ssl
import subprocess

import pytest

from lib.http import Http
from lib.program import free_port
from lib.stack import BUILD_DIR, ROOT
from lib.wait import eventually
from lib.ws import WebSocket

SCRIPT = ROOT / "scripts" / "nginx-config"
# As Debian's, but for where it lies and as whom it runs.
FRAME = """
%s
daemon off;
pid nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
    sendfile on;
    tcp_nopush on;
    types_hash_max_size 2048;
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    access_log access.log;
    gzip on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include conf.d/*.conf;
}
"""


def configure(folder, *arguments, **settings):
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    return subprocess.run([SCRIPT, *arguments, folder], env=environment, capture_output=True, text=True)


class Nginx:
    def __init__(self, stack, folder, *arguments, **settings):
        (folder / "conf.d").mkdir()
        (folder / "nginx.conf").write_text(FRAME % ("user root;" if os.geteuid() == 0 else ""))
        self.port, self.tls_port, self.log = free_port(), free_port(), folder / "carillon.log"
        done = configure(
            folder / "conf.d", *arguments,
            HTTP_LISTEN=f"127.0.0.1:{self.port}", TLS_LISTEN=f"127.0.0.1:{self.tls_port} ssl http2", ACCESS_LOG=self.log,
            FCGI_UPSTREAM=f"unix:{stack.run_dir}/sock/fcgi.sock", NOTIFIERS=f"127.0.0.1:{stack.port('NOTIFIER_PORT')}",
            CLIENT_ROOT=ROOT / "nginx/client", **settings,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self._process = subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
        eventually(self._answers, 10, "nginx answers")

    def _answers(self):
        try:
            return self.http.get("/healthz").status == 200
        except OSError:
            return False

    @property
    def http(self):
        return Http(f"http://127.0.0.1:{self.port}")

    def stop(self):
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def nginx(stack, tmp_path):
    opened = []

    def start(*arguments, **settings):
        opened.append(Nginx(stack, tmp_path, *arguments, **settings))
        return opened[-1]

    yield start
    for one in opened:
        one.stop()


def test_plain(nginx, task):
    front = nginx()
    assert "<html" in front.http.get("/index.html").text
    socket = WebSocket(f"ws://127.0.0.1:{front.port}/ws")
    socket.subscribe(task["user_id"])
    assert front.http.patch(f"/tasks/{task['id']}", {"status": 1}).status == 200
    assert socket.notification()["task"]["id"] == task["id"]
    socket.close()
    eventually(lambda: f"PATCH /tasks/{task['id']}" in front.log.read_text(), 5, "the log has it")


def test_https_and_limits(nginx, tmp_path, task):
    key, certificate = tmp_path / "server.key", tmp_path / "server.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    front = nginx("--tls", TLS_KEY=key, TLS_CERTIFICATE=certificate, RATE_LIMIT=1, RATE_BURST=20)
    led = front.http.get("/tasks")
    assert led.status == 308 and led.header("Location") == "https://127.0.0.1/tasks"
    secure = Http(f"https://localhost:{front.tls_port}", trust=certificate)
    answer = secure.get(f"/tasks/{task['id']}")
    assert answer.status == 200 and answer.header("Strict-Transport-Security") == "max-age=31536000"
    socket = WebSocket(f"wss://localhost:{front.tls_port}/ws", ssl=ssl.create_default_context(cafile=certificate))
    socket.subscribe(task["user_id"])
    socket.close()
    assert 429 in [secure.get("/tasks?limit=1").status for _ in range(40)]


@pytest.mark.parametrize(
    "folder, settings, told",
    [("missing/conf.d", {}, "is nginx installed?"), ("other", {}, "must be called conf.d"), ("conf.d", {"RATE_LIMIT": "many"}, "RATE_LIMIT must be")],
)
def test_what_it_cannot_do_it_says(tmp_path, folder, settings, told):
    for name in ("other", "conf.d"):
        (tmp_path / name).mkdir()
    done = configure(tmp_path / folder, **settings)
    assert done.returncode == 1 and told in done.stderr and done.stderr.count("\n") == 1


# ---- the units: what they take from elsewhere is called as it is there --------------------------------


def settings_of(program):
    """The names that the program's own --help has."""
    text = subprocess.run([BUILD_DIR / program, "--help"], capture_output=True, text=True).stdout
    return set(re.findall(r"\b[A-Z][A-Z_]+[A-Z0-9]\b", text))


@pytest.mark.parametrize("unit, program", [("carillon-api.service", "fcgi-api"), ("carillon-notifier.service", "ws-notifier")])
def test_a_unit_sets_what_its_program_knows(unit, program):
    text = (ROOT / "systemd" / unit).read_text()
    names = {word.partition("=")[0] for line in re.findall(r"^Environment=(.*)$", text, re.M) for word in line.split()}
    known = settings_of(program) | {name + "_FILE" for name in settings_of(program)} | {"API_WORKERS"}
    assert names and names <= known, names - known
    credentials = set(re.findall(r"^LoadCredential=(\w+):", text, re.M))
    assert credentials == set(re.findall(r"%d/(\w+)", text))
    for file in re.findall(r"^LoadCredential=\w+:/etc/carillon/(\w+)$", text, re.M):
        assert re.search(rf"\b{file}\b", (ROOT / "scripts/lib/accounts.sh").read_text()), f"{file} is made by nobody"


def test_the_socket_is_where_nginx_looks():
    address = re.search(r"^ListenStream=(.*)$", (ROOT / "systemd/carillon-api.socket").read_text(), re.M)[1]
    assert f"unix:{address}" in SCRIPT.read_text()


def test_units_are_sound(tmp_path):
    """Where systemd is. What it cannot know are programs that are not installed."""
    if subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True).returncode != 0:
        pytest.skip("systemd-analyze is not here")
    units = sorted((ROOT / "systemd").glob("*.service")) + sorted((ROOT / "systemd").glob("*.socket"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    wrong = [line for line in done.stderr.splitlines() if "carillon" in line and "is not executable" not in line]
    assert not wrong, wrong
