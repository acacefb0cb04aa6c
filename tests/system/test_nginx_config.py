# SPDX-License-Identifier: MIT
"""scripts/nginx-config: a system's own nginx in front of the programs, and the units that start those."""

import os
import re
import socket
import ssl
import subprocess

import pytest

from lib.http import Http, assert_problem
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
    include sites/*.conf;
}
"""


def configure(folder, *arguments, **settings):
    environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
    return subprocess.run([SCRIPT, *arguments, folder], env=environment, capture_output=True, text=True)


class Nginx:
    """A system's nginx, in front of the stack's programs."""

    def __init__(self, stack, folder, *arguments, default_ports=False, **settings):
        (folder / "conf.d").mkdir()
        (folder / "sites").mkdir(exist_ok=True)
        (folder / "nginx.conf").write_text(FRAME % ("user root;" if os.geteuid() == 0 else ""))
        self.folder, self.port, self.tls_port, self.log = folder, free_port(), free_port(), folder / "carillon.log"
        listen = dict(HTTP_LISTEN=f"127.0.0.1:{self.port}", TLS_LISTEN=f"127.0.0.1:{self.tls_port} ssl")
        done = configure(
            folder / "conf.d", *arguments, ACCESS_LOG=self.log, ERROR_LOG="stderr warn", ACME_ROOT=folder / "lib" / "acme",
            FCGI_UPSTREAM=f"unix:{stack.run_dir}/sock/fcgi.sock", NOTIFIERS=f"127.0.0.1:{stack.port('NOTIFIER_PORT')}",
            CLIENT_ROOT=ROOT / "nginx/client", CLIENT_PACKAGE=ROOT / "client", **({} if default_ports else listen), **settings,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if default_ports:
            self._move_ports()
        test = self.nginx("-t")
        assert test.returncode == 0 and "[warn]" not in test.stderr, test.stderr
        self._process = subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
        eventually(self._answers, 60, "nginx answers")

    def nginx(self, *arguments):
        command = ["/usr/sbin/nginx", "-e", "stderr", "-p", self.folder, "-c", self.folder / "nginx.conf", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def _move_ports(self):
        """Ports 80 and 443 may be in use on this machine; all else stays as it was written."""
        for path in [*self.folder.glob("conf.d/**/*"), *self.folder.glob("sites/*")]:
            if path.is_file():
                text = re.sub(r"\blisten (\[::\]:)?80\b", rf"listen \g<1>{self.port}", path.read_text())
                path.write_text(re.sub(r"\blisten (\[::\]:)?443\b", rf"listen \g<1>{self.tls_port}", text))

    def _answers(self):
        try:
            return self.http.get("/healthz").status in (200, 404)  # of whatever site it is
        except OSError:
            return False

    @property
    def http(self):
        return Http(f"http://127.0.0.1:{self.port}")

    def stop(self):
        self._process.terminate()
        self._process.wait(60)


def make_certificate(folder, name, days=1):
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days",
            str(days), "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    return key, certificate


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
    eventually(lambda: f"PATCH /tasks/{task['id']}" in front.log.read_text(), 30, "the log has it")


def test_https_and_limits(nginx, tmp_path, task):
    key, certificate = make_certificate(tmp_path, "localhost")
    front = nginx("--tls", TLS_KEY=key, TLS_CERTIFICATE=certificate, RATE_LIMIT=1, RATE_BURST=20)
    led = front.http.get("/tasks")
    assert led.status == 308 and led.header("Location") == "https://127.0.0.1/tasks"
    secure = Http(f"https://localhost:{front.tls_port}", trust=certificate)
    answer = secure.get(f"/tasks/{task['id']}")
    assert answer.status == 200 and answer.header("Strict-Transport-Security") == "max-age=31536000"
    socket = WebSocket(f"wss://localhost:{front.tls_port}/ws", ssl=ssl.create_default_context(cafile=certificate))
    socket.subscribe(task["user_id"])
    socket.close()
    assert any(secure.get("/tasks?limit=1").status == 429 for _ in range(200))


def served_certificate(port, name):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 30) as sock, context.wrap_socket(sock, server_hostname=name) as secure:
        return secure.getpeercert(binary_form=True)


# As certbot and Debian leave them: the default server of port 80, and options on the `listen` lines of another site.
OTHERS = """
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name _;
    return 404 other;
}
server {
    server_name other.example;
    listen [::]:443 ssl ipv6only=on;
    listen 443 ssl;
    ssl_certificate %s;
    ssl_certificate_key %s;
    return 404 other;
}
"""


@pytest.mark.parametrize("arguments", [[], ["--tls"]], ids=["plain", "tls"])
def test_beside_other_sites(nginx, tmp_path, task, arguments):
    """It was "duplicate listen options", and the default server of the others took what was asked of Carillon by its name."""
    key, certificate = make_certificate(tmp_path, "localhost")
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites/others.conf").write_text(OTHERS % (certificate, key))
    front = nginx(*arguments, default_ports=True, SERVER_NAME="tasks.example.org localhost", TLS_KEY=key, TLS_CERTIFICATE=certificate)
    ask = lambda name: front.http.get(f"/tasks/{task['id']}", headers={"Host": name})
    assert ask("elsewhere.example").text == "other"
    answer = ask("localhost")
    if not arguments:
        assert answer.status == 200 and answer.json()["id"] == task["id"]
        assert ask("tasks.example.org").status == 403, "the programs of this test are open, and were not told the name"
        return
    assert answer.status == 308 and answer.header("Location") == f"https://localhost/tasks/{task['id']}"
    secure = Http(f"https://localhost:{front.tls_port}", trust=certificate)
    assert secure.get(f"/tasks/{task['id']}").status == 200
    assert secure.get("/", headers={"Host": "other.example"}).text == "other"
    assert (tmp_path / "lib/acme").is_dir() and (tmp_path / "lib/acme").stat().st_mode & 0o777 == 0o755
    (tmp_path / "lib/acme/.well-known/acme-challenge").mkdir(parents=True)
    (tmp_path / "lib/acme/.well-known/acme-challenge/token").write_text("answer")
    assert front.http.get("/.well-known/acme-challenge/token", headers={"Host": "tasks.example.org"}).text == "answer"


@pytest.mark.parametrize(
    "version, lines",
    [("1.22.1", "listen 1:443 ssl http2 backlog=9; listen [::]:443 ssl http2;\n"), ("nginx version: nginx/1.24.0", "listen 1:443 ssl http2 backlog=9; listen [::]:443 ssl http2;\n"),
     ("1.25.1", "listen 1:443 ssl backlog=9; listen [::]:443 ssl;\nhttp2 on;\n"), ("nginx version: nginx/1.26.3 (Ubuntu)", "listen 1:443 ssl backlog=9; listen [::]:443 ssl;\nhttp2 on;\n"),
     ("2.0.0", "listen 1:443 ssl backlog=9; listen [::]:443 ssl;\nhttp2 on;\n")],
)  # fmt: skip
def test_http2_in_the_words_of_the_nginx_that_is_there(version, lines):
    for listen in ("1:443 ssl backlog=9; listen [::]:443 ssl", "1:443 ssl http2 backlog=9; listen [::]:443 ssl http2"):
        done = subprocess.run([ROOT / "nginx/listen-tls", listen, version], capture_output=True, text=True, check=True)
        assert done.stdout == lines


def test_a_renewed_certificate_is_served(nginx, tmp_path):
    """nginx/deploy-certificate, as certbot calls it."""
    folders = {}
    for name in ("first", "second", "other"):
        (tmp_path / name).mkdir()
        folders[name] = make_certificate(tmp_path / name, "tasks.example.org")
    tls = tmp_path / "tls"
    deploy = lambda name, reload: subprocess.run(
        [ROOT / "nginx/deploy-certificate"], capture_output=True, text=True,
        env={**os.environ, "RENEWED_LINEAGE": str(tmp_path / name), "TLS_DIR": str(tls), "RELOAD": reload},
    )  # fmt: skip
    assert deploy("first", "true").returncode == 0
    front = nginx("--tls", TLS_KEY=tls / "server.key", TLS_CERTIFICATE=tls / "server.pem")
    before = served_certificate(front.tls_port, "tasks.example.org")
    done = deploy("second", f"/usr/sbin/nginx -e stderr -p {tmp_path} -c {tmp_path}/nginx.conf -s reload")
    assert done.returncode == 0, done.stderr
    wanted = ssl.PEM_cert_to_DER_cert(folders["second"][1].read_text())
    assert wanted != before
    # A worker from before the reload may still accept for a moment.
    eventually(lambda: served_certificate(front.tls_port, "tasks.example.org") == wanted, 60, "the new one is served")
    assert (tls / "server.key").stat().st_mode & 0o777 == 0o400 and (tls / "server.pem").stat().st_mode & 0o777 == 0o644
    folders["other"][0].write_text(folders["first"][0].read_text())
    done = deploy("other", "true")
    assert done.returncode == 1 and "nothing was changed" in done.stderr
    assert (tls / "server.pem").read_text() == folders["second"][1].read_text()


def test_under_a_path(nginx, task):
    """One setting: addresses with the path in front are Carillon's, and what they answer has it, too."""
    front = nginx(BASE_PATH="/carillon")
    http, user = front.http, task["user_id"]
    led = http.get("/carillon?user_id=1")
    assert led.status == 308 and led.header("Location") == "/carillon/?user_id=1"
    for path in ("/carillon/", "/carillon/index.html", "/carillon/js/main.js", "/carillon/client/feed.js", "/carillon/problems/validation", "/carillon/readyz", "/carillon/notifier/readyz", "/carillon/admin.html", "/carillon/admin/metrics", "/carillon/admin/notifiers/1/metrics"):
        assert http.get(path).status == 200, path
    assert "<html" in http.get("/carillon/").text
    assert "<a href='/carillon/'>" in http.get("/carillon/nothing", headers={"Accept": "text/html"}).text
    made = http.post("/carillon/tasks", {"user_id": user, "content": "under a path"})
    assert made.status == 201 and made.header("Location") == f"/carillon/tasks/{made.json()['id']}"
    assert http.get(made.header("Location")).json() == made.json()
    page = http.get(f"/carillon/tasks?user_id={user}&limit=1")
    assert page.header("X-Request-Id") and page.header("Link").startswith("</carillon/tasks?"), dict(page.headers)
    after = re.match(r"<([^>]+)>", page.header("Link"))[1]
    assert [found["id"] for found in http.get(after).json()] == [made.json()["id"]]
    socket = WebSocket(f"ws://127.0.0.1:{front.port}/carillon/ws")
    socket.subscribe(user)
    assert http.patch(f"/carillon/tasks/{task['id']}", {"status": 1}).status == 200
    done = socket.recv_until(lambda frame: frame.get("event") == "task.completed")
    assert done["task"]["id"] == task["id"]
    socket.close()
    assert_problem(http.get("/carillon/task/1"), 404, "not-found")
    assert_problem(http.get("/carillon/tasks/x%20y"), 404, "not-found")
    with http.connect() as sock:
        sock.sendall(f"GET /carillon/events?user_id={user} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.makefile("rb").readline().split()[1] == b"200"
    for path in ("/@notifier_metrics", "/admin/@notifier_metrics"):
        assert_problem(http.get(f"/carillon{path}"), 404, "not-found")
    direct = http.post("/tasks", {"user_id": user, "content": "without it"})
    assert direct.status == 201 and direct.header("Location") == f"/tasks/{direct.json()['id']}"


@pytest.mark.parametrize(
    "folder, settings, told",
    [("missing/conf.d", {}, "is nginx installed?"), ("other", {}, "must be called conf.d"), ("conf.d", {"RATE_LIMIT": "many"}, "RATE_LIMIT must be"),
     ("conf.d", {"BASE_PATH": "carillon/"}, "BASE_PATH must be"), ("conf.d", {"SERVER_NAME": "a;b"}, "SERVER_NAME must be"),
     ("conf.d", {"ALLOWED_ORIGINS": 'https://a.example"'}, "ALLOWED_ORIGINS has")],
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
        assert re.search(rf"\b{file}\b", (ROOT / "scripts/lib/accounts.sh").read_text()), f"no script makes {file}"


@pytest.mark.parametrize("unit", ["carillon-watch.service", "carillon-backup.service"])
def test_what_a_unit_starts_is_installed(tmp_path, unit):
    """With all that it reads: it says its help, or asks."""
    subprocess.run(["make", "install", f"DESTDIR={tmp_path}", f"BUILD={BUILD_DIR}"], cwd=ROOT, check=True, capture_output=True)
    command = re.search(r"^ExecStart=(\S+)", (ROOT / "systemd" / unit).read_text(), re.M)[1]
    program = tmp_path / command.lstrip("/")
    assert os.access(program, os.X_OK)
    scripts = tmp_path / "usr/local/share/carillon/scripts"
    for script in (path for path in scripts.iterdir() if path.is_file()):
        called = re.findall(r"\$ROOT/scripts/(\w+)\"", script.read_text())
        called += [f"lib/{lib}.sh" for names in re.findall(r"^for lib in ([\w ]+);", script.read_text(), re.M) for lib in names.split()]
        assert [name for name in called if not (scripts / name).exists()] == [], script.name
    if "backup" in unit:
        for name, told in (("backup", "no file was written"), ("restore", "there is no file")):
            done = subprocess.run(
                [program.with_name(name), tmp_path / f"{name}s"], env={**os.environ, "DB_SOCKET": str(tmp_path / "none")},
                capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 1 and told in done.stderr, done


def test_the_socket_is_where_nginx_looks():
    address = re.search(r"^ListenStream=(.*)$", (ROOT / "systemd/carillon-api.socket").read_text(), re.M)[1]
    assert f"unix:{address}" in SCRIPT.read_text()


def test_units_are_sound(tmp_path):
    """Where systemd is. What it cannot know are programs that are not installed."""
    if subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True).returncode != 0:
        pytest.skip("systemd-analyze is not here")
    units = sorted((ROOT / "systemd").glob("*.service")) + sorted((ROOT / "systemd").glob("*.socket")) + sorted((ROOT / "systemd").glob("*.timer"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
    wrong = [line for line in done.stderr.splitlines() if "carillon" in line and "is not executable" not in line]
    assert not wrong, wrong
