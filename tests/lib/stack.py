# SPDX-License-Identifier: MIT
"""A running Carillon: started with scripts/run in a directory and on ports of its own, or one that a
developer has running already (CARILLON_RUN_DIR)."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

from lib import proc
from lib.amqp import Publisher, Stream
from lib.http import Http
from lib.ports import Block
from lib.wait import eventually
from lib.ws import WebSocket

ROOT = Path(__file__).resolve().parents[2]
BUILD_DIR = Path(os.environ.get("BUILD_DIR", ROOT / "build"))
if not BUILD_DIR.is_absolute():
    BUILD_DIR = ROOT / BUILD_DIR

# The tests set these themselves; no value may leak in from the caller's shell.
_OWN = re.compile(r"^(RUN_DIR|PORT|[A-Z]+_PORT|API_WORKERS|NOTIFIERS)$")

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|WARNING: ThreadSanitizer|AddressSanitizer:DEADLYSIGNAL"
)
REFUSAL = re.compile(r"refused a system call .*")


class Part:
    def __init__(self, name, state, pid, restarts):
        self.name, self.state, self.pid, self.restarts = name, state, pid, restarts

    def __repr__(self):
        return f"<{self.name} {self.state} pid={self.pid} restarts={self.restarts}>"


class Stack:
    def __init__(self, run_dir, environment=None, owned=False):
        self.run_dir = Path(run_dir)
        self.environment = environment or self._environment({})
        self.owned = owned
        self._block = None
        self._directory = None
        self._endpoints = None

    # -- starting and stopping

    def _environment(self, settings):
        environment = {k: v for k, v in os.environ.items() if not _OWN.match(k)}
        environment.update(RUN_DIR=str(self.run_dir), BUILD_DIR=str(BUILD_DIR))
        environment.update({name: str(value) for name, value in settings.items()})
        return environment

    @classmethod
    def attach(cls, run_dir):
        stack = cls(Path(run_dir).resolve())
        stack.endpoints  # fails here and now when nothing runs there
        return stack

    @classmethod
    def prepare(cls, **settings):
        """A directory and ports, nothing started yet."""
        directory = Path(tempfile.mkdtemp(prefix="carillon-"))
        directory.chmod(0o755)  # parts that run as another user must get through
        stack = cls(directory / "run", owned=True)
        stack._directory = directory
        stack._block = Block()
        stack.environment = stack._environment({"PORT": stack._block.first, **settings})
        return stack

    @classmethod
    def start(cls, **settings):
        stack = cls.prepare(**settings)
        try:
            stack.run()
        except BaseException:
            stack.stop()
            raise
        return stack

    def script(self, name, *arguments, check=True, timeout=300, **more):
        """Runs scripts/NAME for this stack; its output is in .stdout and .stderr as text."""
        if "input" not in more:
            more["stdin"] = subprocess.DEVNULL
        more.setdefault("env", self.environment)
        done = subprocess.run(
            [ROOT / "scripts" / name, *arguments],
            cwd=ROOT,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            **more,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"scripts/{name} {' '.join(map(str, arguments))} ended with {done.returncode}\n"
                f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def run(self, *arguments, timeout=420):
        done = self.script("run", "--detach", "--no-build", *arguments, timeout=timeout)
        self._endpoints = None
        self.said = done.stdout
        pool = int(self.environment.get("API_WORKERS", 1))
        eventually(lambda: len(self.workers()) >= pool, 20, "the pool is complete, which one worker's answer does not tell")
        return done

    def stop(self, keep=False):
        """Stops it; its ports are given back when they were its own, and its directory unless it is to be kept."""
        if not self.owned:
            return
        try:
            self.script("stop", check=False)
        finally:
            if self._block:
                self._block.release()
            if self._directory and not keep and not os.environ.get("CARILLON_KEEP"):
                shutil.rmtree(self._directory, ignore_errors=True)

    # -- what runs

    def status(self):
        return json.loads(self.script("status", "--json", check=False).stdout)

    @property
    def endpoints(self):
        if self._endpoints is None:
            self._endpoints = self.status()["endpoints"]
        return self._endpoints

    @property
    def http(self):
        return self.endpoints["http"].rstrip("/")

    @property
    def ws(self):
        return self.endpoints["ws"]

    @property
    def amqp(self):
        return self.endpoints["amqp"]

    def port(self, name):
        """A port by its variable's name, such as API_PORT."""
        text = (self.run_dir / "ports.env").read_text()
        found = re.search(rf"^(?:export )?{name}=['\"]?([0-9]+|off)", text, re.M)
        assert found, f"no {name} in ports.env:\n{text}"
        return None if found[1] == "off" else int(found[1])

    def parts(self):
        return {
            name: Part(name, part["state"], part["pid"], part["restarts"]) for name, part in self.status()["parts"].items()
        }

    def part(self, name):
        return self.parts()[name]

    def pids(self):
        """{part: process id}, from what each part's start leaves behind: scripts/status also asks every
        part how it is, which is too much to do twice a test."""
        found = {}
        for path in self.run_dir.glob("service/*/group"):
            found[path.parent.name] = int(path.read_text() or 0)
        return found or {name: part.pid for name, part in self.parts().items()}

    def processes(self, name):
        """The part's processes, its parent first."""
        return proc.tree(self.pids().get(name, 0))

    def process(self, part, name):
        """The one process of a part that has this command name."""
        for process in self.processes(part):
            if process.name == name:
                return process
        raise AssertionError(f"no {name} in {part}: {self.processes(part)}")

    def workers(self):
        return [process for process in self.processes("fcgi-api") if process.name == "fcgi-api"]

    def kill_a_worker(self):
        """Returns when another process has replaced it. The pid alone does not tell: a killed process can still be
        seen for a moment."""
        workers = self.workers()
        workers[0].kill(signal.SIGKILL)

        def replaced():
            now = self.workers()
            return len(now) == len(workers) and workers[0].pid not in {worker.pid for worker in now}

        eventually(replaced, 10, "the pool is complete again")

    def notifier(self):
        return self.process("ws-notifier", "ws-notifier")

    def broker(self):
        return self.process("rabbitmq", "beam.smp")

    def database(self):
        found = [p for p in self.processes("mariadb") if p.name in ("mariadbd", "mysqld")]
        assert found, self.processes("mariadb")
        return found[0]

    def s6(self, *arguments):
        """s6-svc with these options, on the part that is named last."""
        subprocess.run(["s6-svc", *arguments[:-1], self.run_dir / "service" / arguments[-1]], check=True)

    def signal(self, part, sig=signal.SIGTERM):
        os.kill(self.part(part).pid, sig)

    def ready(self, deadline=30, degraded=False):
        """Waits until API and notifier are ready. A program may not have noticed yet that a broker was killed a moment
        ago, so the broker is asked, too."""
        client = Http(self.http, timeout=10)

        def check():
            try:
                if not degraded:
                    socket.create_connection(("127.0.0.1", self.port("AMQP_PORT")), 10).close()
                api = client.get("/readyz")
                notifier = client.get("/notifier/readyz")
            except OSError as error:
                raise AssertionError(repr(error)) from None
            assert api.status == 200, api
            if not degraded:
                assert api.json()["broker"] == "up", api
                assert notifier.status == 200, notifier
            return True

        eventually(check, deadline, "the stack is ready")

    # -- its logs

    def log_files(self, part):
        folder = self.run_dir / "log" / part
        return sorted(folder.glob("@*")) + [path for path in [folder / "current"] if path.exists()]

    def logs(self, part):
        text = ""
        for path in self.log_files(part):
            try:
                text += path.read_text(errors="replace")
            except FileNotFoundError:  # just rotated away
                pass
        return text

    def log_parts(self):
        folder = self.run_dir / "log"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def log_marks(self):
        """Where each part's log ends now, for logs_since()."""
        marks = {}
        for part in self.log_parts():
            current = self.run_dir / "log" / part / "current"
            if current.exists():
                status = current.stat()
                marks[part] = (status.st_ino, status.st_size)
        return marks

    def logs_since(self, marks, part):
        """What a part has logged since; also when the file has been rotated meanwhile (it keeps its inode)."""
        inode, size = marks.get(part, (0, 0))
        found = None
        for path in self.log_files(part):
            try:
                data = path.read_bytes()[size if path.stat().st_ino == inode else 0 :]
                if path.stat().st_ino == inode:
                    found = data
                elif found is not None:
                    found += data
            except FileNotFoundError:
                pass
        return self.logs(part) if found is None else found.decode(errors="replace")

    def sanitizer_reports(self):
        reports = []
        for part in self.log_parts():
            lines = self.logs(part).splitlines()
            for number, line in enumerate(lines):
                if SANITIZER_REPORT.search(line):
                    reports.append(f"{part}: " + "\n".join(lines[max(number - 1, 0) : number + 30]))
        return reports

    def refusals(self):
        """System calls that the sandbox refused: calls that the programs need and have given up (common/sandbox_calls.h)."""
        return sorted({line for part in ("fcgi-api", "ws-notifier") for line in REFUSAL.findall(self.logs(part))})

    # -- database

    def sql(self, query):
        """Rows as tuples of str; NULL is None."""
        done = self.script("sql", "--batch", "--skip-column-names", "-e", query)
        unescape = {"n": "\n", "t": "\t", "\\": "\\", "0": "\0"}

        def value(text):
            return None if text == "NULL" else re.sub(r"\\(.)", lambda m: unescape.get(m[1], m[1]), text)

        return [tuple(value(cell) for cell in line.split("\t")) for line in done.stdout.split("\n") if line]

    def sql_number(self, query):
        return int(self.sql(query)[0][0])

    def epoch(self):
        return self.sql("SELECT value FROM epoch")[0][0]

    def new_users(self, count=1):
        """Ids of new users that no other test uses."""
        names = ",".join(f"('test {uuid.uuid4().hex[:12]}')" for _ in range(count))
        return [int(row[0]) for row in self.sql(f"INSERT INTO users (name) VALUES {names} RETURNING id")]

    def new_tasks(self, user_ids):
        """One open task each, put into the database without an event: their ids."""
        rows = ",".join(f"({user}, 'test')" for user in user_ids)
        return [int(row[0]) for row in self.sql(f"INSERT INTO tasks (user_id, content) VALUES {rows} RETURNING id")]

    def journal(self, user):
        """[(seq, type, payload), ...] in order."""
        rows = self.sql(f"SELECT seq, type, payload FROM events WHERE user_id = {int(user)} ORDER BY seq")
        return [(int(seq), kind, payload) for seq, kind, payload in rows]

    def outbox_count(self):
        return self.sql_number("SELECT COUNT(*) FROM outbox")

    def outbox_empty(self, deadline=20):
        eventually(lambda: self.outbox_count() == 0, deadline, "the outbox is empty", interval=0.1)

    # -- broker

    def rabbitmqctl(self, *arguments):
        """As the stack's own broker is reached; the one in /usr/sbin is for the system's. Returns what it says."""
        service = self.run_dir / "service" / "rabbitmq" / "env"
        environment = {**os.environ, **{path.name: path.read_text().rstrip("\n") for path in service.iterdir()}}
        done = subprocess.run(
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--node", "carillon@localhost", *arguments],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    # -- clients

    def client(self, **more):
        return Http(self.http, **more)

    def socket(self, url=None, **more):
        return WebSocket(url or self.ws, **more)

    def stream(self, offset="first"):
        return Stream(self.amqp, offset)

    def publisher(self):
        return Publisher(self.amqp)
