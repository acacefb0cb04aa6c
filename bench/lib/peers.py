# SPDX-License-Identifier: MIT
"""The alternatives to Carillon. Each has a folder in bench/peers with a README that says why the comparison is fair.

A subject of a measure has some of: name; http (address of the API); ws, dialect (where and how clients listen);
trigger, trigger_address (how an event is made); push_memory(), push_cpu(), restart_push() (of the server
that holds the clients' connections)."""

import glob
import os
import shutil
import string
import subprocess
import time
from pathlib import Path

from lib.tools import ROOT, Daemon, Failed, cpu_seconds, free_port, memory, wait_port

PEERS = ROOT / "bench/peers"


class Bench:
    """All peers share Carillon's MariaDB and RabbitMQ, with an account of their own."""

    def __init__(self, directory, carillon, programs):
        self.directory, self.carillon, self.programs = Path(directory), carillon, programs
        password = os.urandom(12).hex()
        carillon.sql(f"""CREATE USER bench@localhost IDENTIFIED BY '{password}';
            GRANT SELECT, INSERT, UPDATE, DELETE ON carillon.* TO bench@localhost""")
        self.database = {"DB_SOCKET": carillon.db_socket, "DB_USER": "bench", "DB_PASSWORD": password, "DB_NAME": "carillon"}
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "AMQP_URL": carillon.amqp_url, **self.database}
        self.processes = 16  # of a pool with one request in each process; on two cores more were not better

    def folder(self, name):
        path = self.directory / name
        path.mkdir(exist_ok=True)
        return path

    def render(self, template, target, **values):
        text = string.Template((PEERS / template).read_text())
        target.write_text(text.safe_substitute(values))


def _user_line(text):
    return text if os.getuid() == 0 else ""


def _open_files():
    return int(subprocess.run(["bash", "-c", "ulimit -Hn"], capture_output=True, text=True).stdout.replace("unlimited", "65536"))


# ---- Express


class Express:
    dialect, trigger = "twin", "patch"

    def __init__(self, bench, processes=1, publish="channel"):
        kind = f"{processes} process{'es' if processes > 1 else ''}"
        self.name = {"channel": f"Express, {kind}", "connection": "Express, connection per publish", "outbox": "Express, outbox and relay"}[publish]
        self.bench, self.processes, self.publish = bench, processes, publish
        self.repeats = publish != "outbox"  # reads the task after its change, in no transaction: a message may tell a later change
        self.port = free_port()

    def start(self, push):
        environment = {**self.bench.environment, "PORT": str(self.port), "PROCESSES": str(self.processes), "PUBLISH": self.publish}
        log = self.bench.folder("express") / f"api-{self.port}.log"
        self.relay = None
        if self.publish == "outbox":
            self.bench.carillon.sql("CREATE OR REPLACE TABLE bench_outbox (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, body TEXT NOT NULL)")
            self.relay = Daemon(["node", str(PEERS / "express/relay.js")], self.bench.folder("express") / "relay.log", environment)
        self.daemon = Daemon(["node", str(PEERS / "express/api.js")], log, environment)
        wait_port(self.port, self.daemon.process)
        self.http = self.trigger_address = f"127.0.0.1:{self.port}"
        self.ws = self.push = push.push
        self.push_memory, self.push_cpu, self.restart_push = push.push_memory, push.push_cpu, push.restart_push

    def stop(self):
        self.daemon.stop()
        if self.relay:
            self.relay.stop()
            self.bench.carillon.sql("DROP TABLE bench_outbox")


class Ws:
    """The push process of the twin."""

    name, dialect, trigger = "ws on Node", "twin", "patch"
    restarting = False

    def __init__(self, bench):
        self.bench, self.port = bench, free_port()
        self.push = self.ws = f"127.0.0.1:{self.port}/"
        self.front = None

    def restart_front(self):
        """An nginx in front of it, as an operator would have: for https, and to serve the page from the same address."""
        if self.front:
            self.front.stop()
        folder, self.front_port = self.bench.folder("ws-front"), free_port()
        self.bench.render("express/front.conf.template", folder / "nginx.conf", PEER_DIR=folder, PORT=self.front_port,
                          UPSTREAM=self.port, OPEN_FILES=_open_files(), USER_LINE=_user_line("user root;"))  # fmt: skip
        self.front = Daemon(["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")], folder / "nginx.log")
        wait_port(self.front_port, self.front.process)
        self.shipped = f"127.0.0.1:{self.front_port}/"

    def shipped_memory(self):
        return self.push_memory() + memory(self.front.pids())

    def start(self):
        environment = {**self.bench.environment, "PORT": str(self.port)}
        self.daemon = Daemon(["node", str(PEERS / "express/notifier.js")], self.bench.folder("express") / "notifier.log", environment)
        wait_port(self.port, self.daemon.process)  # it listens once it consumes

    def stop(self):
        self.daemon.stop()
        if self.front and not self.restarting:
            self.front.stop()

    def restart_push(self):
        self.restarting = True
        self.stop()
        self.restarting = False
        self.start()

    def push_memory(self):
        return memory(self.daemon.pids())

    def push_cpu(self):
        return cpu_seconds(self.daemon.pids())


# ---- behind the same nginx


class BehindNginx:
    """A FastCGI pool behind Carillon's own nginx configuration, with its own access log."""

    nginx = pool = None

    def start(self):
        self.port = free_port()
        self.folder = self.bench.folder(self.slug)
        self.socket = self.folder / "fpm.sock"
        self.pool = self.start_pool()
        done = subprocess.run([ROOT / "bench/lib/render-nginx", self.folder, str(self.port), self.socket, self.script],
                              capture_output=True, text=True)  # fmt: skip
        if done.returncode:
            raise Failed(f"{self.name}: no nginx configuration: {done.stderr}")
        (self.folder / "log").mkdir(exist_ok=True)
        self.nginx = Daemon(
            f"nginx -e stderr -c {self.folder}/etc/nginx/nginx.conf -g 'daemon off;' 2>&1 | s6-log n10 s10000000 {self.folder}/log",
            self.folder / "nginx.log", shell=True)  # fmt: skip
        wait_port(self.port, self.nginx.process)
        self.http = f"127.0.0.1:{self.port}"

    def stop(self):
        for part in (self.nginx, self.pool):
            if part:  # a start may fail before that
                part.stop()


class Php(BehindNginx):
    name, slug, script = "PHP-FPM", "php", str(PEERS / "php/index.php")

    def __init__(self, bench):
        self.bench = bench

    def start_pool(self):
        programs = sorted(glob.glob("/usr/sbin/php-fpm*"))
        if not programs:
            raise Failed("no php-fpm; install it with scripts/packages --install bench")
        self.bench.render("php/fpm.conf.template", self.folder / "fpm.conf", PEER_DIR=self.folder, PROCESSES=self.bench.processes,
                          FPM_USER=_user_line("user = root\ngroup = root"), **self.bench.database)  # fmt: skip
        os.chmod(self.folder / "fpm.conf", 0o600)
        root = ["--allow-to-run-as-root"] if os.getuid() == 0 else []
        pool = Daemon([programs[-1], "--nodaemonize", "--fpm-config", str(self.folder / "fpm.conf"), *root], self.folder / "fpm.out")
        _wait_socket(self.socket, pool)
        return pool


class FloorRead(BehindNginx):
    name, slug, script = "the floor", "floor-read", ""

    def __init__(self, bench):
        self.bench = bench

    def start_pool(self):
        pool = Daemon(["spawn-fcgi", "-n", "-s", str(self.socket), "-M", "0660", "-b", "1024", "--", "/usr/bin/multiwatch",
                       "-f", str(self.bench.processes), "--", self.bench.programs.path("floor-read")],
                      self.folder / "pool.log", self.bench.environment)  # fmt: skip
        _wait_socket(self.socket, pool)
        return pool


def _wait_socket(path, pool):
    for _ in range(200):
        if path.exists():
            time.sleep(0.3)
            return
        if pool.process.poll() is not None:
            raise Failed(f"{pool.process.args[0]} ended: {pool.log.read_text()[-1000:]}")
        time.sleep(0.05)
    raise Failed(f"no {path}")


class FloorWrite:
    name = "the floor"

    def __init__(self, bench, tasks):
        self.bench, self.tasks = bench, tasks

    def start(self):
        """A database of its own: no publisher reads its outbox."""
        sql = self.bench.carillon.sql
        schema = "\n".join(path.read_text() for path in sorted((self.bench.carillon.root / "sql").glob("[0-9]*.sql")))
        sql(f"CREATE DATABASE floor; USE floor; CREATE TABLE schema_migrations (name VARCHAR(64)); {schema}")
        sql("""USE floor; SET foreign_key_checks = 0;
            INSERT INTO users SELECT * FROM carillon.users; INSERT INTO tasks SELECT * FROM carillon.tasks;
            GRANT SELECT, INSERT, UPDATE, DELETE ON floor.* TO bench@localhost""")

    def run(self, seconds):
        self.bench.carillon.sql("USE floor; TRUNCATE outbox")
        done = subprocess.run([self.bench.programs.path("floor-write"), str(self.bench.processes), str(seconds), str(self.tasks)],
                              env={**self.bench.environment, "DB_NAME": "floor"}, capture_output=True, text=True)  # fmt: skip
        if done.returncode:
            raise Failed(done.stderr)
        return done.stdout

    def stop(self):
        self.bench.carillon.sql("DROP DATABASE IF EXISTS floor")


# ---- push servers


class FloorSend:
    """The least that C can do: a loop of send() to as many sockets."""

    name = "the floor"

    def __init__(self, bench, clients):
        self.bench, self.clients = bench, clients

    def start(self):
        pass

    def stop(self):
        pass

    def run(self, events):
        done = subprocess.run([self.bench.programs.path("floor-send"), str(self.clients), str(events)], capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr)
        return done.stdout


class Nchan:
    name, dialect, trigger, comeback_dialect = "nchan", "nchan", "post", "nchan-meta"

    def __init__(self, bench):
        self.bench = bench

    def start(self):
        self.port = free_port()
        folder = self.bench.folder("nchan")
        self.bench.render("nchan/nginx.conf.template", folder / "nginx.conf", PEER_DIR=folder, PORT=self.port,
                          OPEN_FILES=_open_files(), USER_LINE=_user_line("user root;"), NCHAN_MODULE=_nchan_module())  # fmt: skip
        self.daemon = Daemon(["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")], folder / "nginx.log")
        wait_port(self.port, self.daemon.process)
        self.push = self.ws = self.shipped = f"127.0.0.1:{self.port}/sub"
        self.comeback_push = f"127.0.0.1:{self.port}/back"
        self.trigger_address = f"127.0.0.1:{self.port}/pub"

    def stop(self):
        self.daemon.stop()

    def restart_push(self):
        self.stop()
        self.start()

    def push_memory(self):
        return memory(self.daemon.pids())

    def push_cpu(self):
        return cpu_seconds(self.daemon.pids())

    def restart_front(self):
        """nchan is itself the front."""

    shipped_memory = push_memory


def _nchan_module():
    for path in glob.glob("/usr/lib/nginx/modules/ngx_nchan_module.so") + glob.glob("/usr/lib/*/nginx/modules/ngx_nchan_module.so"):
        return path
    raise Failed("no ngx_nchan_module.so; install it with scripts/packages --install bench")


class Mosquitto(Nchan):
    name, dialect, trigger, comeback_dialect = "mosquitto", "mqtt", "mqtt", "mqtt"

    def start(self):
        self.port = free_port()
        folder = self.bench.folder("mosquitto")
        self.bench.render("mosquitto/mosquitto.conf.template", folder / "mosquitto.conf", PORT=self.port, PLAIN_PORT=free_port(),
                          USER_LINE=_user_line("user root"))  # fmt: skip
        self.daemon = Daemon([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(folder / "mosquitto.conf")], folder / "mosquitto.log")
        wait_port(self.port, self.daemon.process)
        self.push = self.ws = self.shipped = self.comeback_push = self.trigger_address = f"127.0.0.1:{self.port}/mqtt"


