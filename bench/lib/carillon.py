# SPDX-License-Identifier: MIT
"""A whole Carillon stack of the benchmark's own, from this checkout or from another revision."""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

from lib.tools import ROOT, Failed, cpu_seconds, free_port, memory, process_age, process_tree, say

USERS = 100  # owners of the tasks, in turn
SMALL = 10_000  # tasks
INDEXES = {"tasks_of_user": "(user_id, id)", "tasks_of_user_by_status": "(user_id, status, id)", "tasks_by_status": "(status, id)"}
CROWD_USER, CROWD_TASK = 1001, 100_000_001  # a user and a task for each client of a crowd
HOT_USER, HOT_USERS, HOT_TASK, HOT_TASKS = 901, 3, 90_000_001, 10  # all writers change the same few tasks
_OWN = re.compile(r"^(RUN_DIR|PORT|[A-Z]+_PORT|API_WORKERS|NOTIFIERS|BUILD_DIR)$")


class Carillon:
    dialect, trigger = "carillon", "patch"

    def __init__(self, directory, name="Carillon", root=ROOT, build=None):
        self.name, self.root = name, Path(root)
        self.run_dir = Path(directory) / f"stack-{re.sub('[^a-zA-Z0-9]', '', name).lower()}"
        self.build = build or self.root / "build"
        self.port = free_port(25)
        self.crowd = 0
        environment = {key: value for key, value in os.environ.items() if not _OWN.match(key)}
        environment.update(
            RUN_DIR=str(self.run_dir), PORT=str(self.port), BUILD_DIR=str(self.build), ADMINER_PORT="off",
            API_PORT="off", CLIENT_PORT="off", RATE_LIMIT="1000000", RATE_BURST="1000000",
        )  # fmt: skip
        self.environment = environment

    # -- start and stop

    def script(self, name, *arguments, check=True, **more):
        done = subprocess.run([self.root / "scripts" / name, *arguments], env=self.environment, capture_output=True,
                              text=True, cwd=self.root, **more)  # fmt: skip
        if check and done.returncode:
            raise Failed(f"scripts/{name} of {self.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def start(self):
        self.script("run", "--detach", "--no-build", timeout=180)
        self.look()
        self.fill()

    def look(self):
        """Where its parts are, once it runs."""
        status = json.loads(self.script("status", "--json"))
        self.parts = {name: part["pid"] for name, part in status["parts"].items()}
        self.amqp_url = status["endpoints"]["amqp"]
        self.db_socket = status["endpoints"]["db_socket"]
        ports = dict(re.findall(r"^(\w+)=(\d+)$", (self.run_dir / "ports.env").read_text(), re.M))
        self.notifier_port, self.amqp_port, self.db_port = (int(ports[name + "_PORT"]) for name in ("NOTIFIER", "AMQP", "DB"))
        self.http = f"127.0.0.1:{self.port}"
        self.ws = f"127.0.0.1:{self.port}/ws"  # through nginx
        self.push = f"127.0.0.1:{self.notifier_port}/"  # the push server itself
        self.shipped = self.ws
        self.trigger_address = self.http

    def stop(self):
        if self.run_dir.exists():
            self.script("stop", check=False, timeout=90)

    # -- data

    def sql(self, text, timeout=600):
        return self.script("sql", "--batch", "--skip-column-names", "-e", text, timeout=timeout)

    def fill(self):
        """10,000 tasks of 100 users; task k belongs to user (k - 1) % 100 + 1."""
        self.sql(f"""
            SET foreign_key_checks = 0;
            TRUNCATE outbox; TRUNCATE events; TRUNCATE tasks; TRUNCATE users;
            INSERT INTO users (id, name) SELECT seq, CONCAT('user ', seq) FROM seq_1_to_{USERS};
            {tasks_insert("tasks", 1, SMALL)};
            INSERT INTO users (id, name) SELECT seq + {HOT_USER - 1}, CONCAT('hot ', seq) FROM seq_1_to_{HOT_USERS};
            INSERT INTO tasks (id, user_id, content) SELECT seq + {HOT_TASK - 1}, {HOT_USER} + (seq - 1) % {HOT_USERS}, 'Acheter du pain'
                FROM seq_1_to_{HOT_TASKS};""")

    def large_table(self, rows):
        """A second table beside the small one; use_large() swaps them. Its indexes are made at the end: sorting is
        quicker."""
        self.sql(f"CREATE TABLE tasks_large LIKE tasks; ALTER TABLE tasks_large {', '.join(f'DROP KEY {name}' for name in INDEXES)}")
        for first in range(1, rows + 1, 500_000):
            self.sql(tasks_insert("tasks_large", first, min(first + 499_999, rows)))
        self.sql(f"ALTER TABLE tasks_large {', '.join(f'ADD KEY {name} {columns}' for name, columns in INDEXES.items())}")
        self.sql("ANALYZE TABLE tasks_large, tasks")

    def use_large(self):
        self.sql("RENAME TABLE tasks TO tasks_small, tasks_large TO tasks")

    def use_small(self):
        self.sql("RENAME TABLE tasks TO tasks_large, tasks_small TO tasks")

    def need_crowd(self, count):
        if self.crowd >= count:
            return
        self.sql(f"""
            INSERT IGNORE INTO users (id, name) SELECT seq + {CROWD_USER - 1}, CONCAT('guest ', seq) FROM seq_1_to_{count};
            INSERT IGNORE INTO tasks (id, user_id, content) SELECT seq + {CROWD_TASK - 1}, seq + {CROWD_USER - 1}, 'Acheter du pain'
                FROM seq_1_to_{count};""")
        self.crowd = count

    def epoch(self):
        return self.sql("SELECT value FROM epoch").strip()

    def outbox_empty(self, seconds=30):
        deadline = time.monotonic() + seconds
        while self.sql("SELECT COUNT(*) FROM outbox").strip() != "0":
            if time.monotonic() > deadline:
                raise Failed("the outbox does not get empty")
            time.sleep(0.2)

    # -- the push server

    def push_pids(self):
        return self.part_pids("ws-notifier")

    def push_memory(self):
        return memory(self.push_pids())

    def restart_front(self):
        self._restart("nginx", lambda: self.page("/healthz"))

    def shipped_memory(self):
        return self.push_memory() + memory(self.part_pids("nginx"))

    def part_pids(self, name):
        told = subprocess.run(["s6-svstat", "-o", "pid", self.run_dir / "service" / name], capture_output=True, text=True).stdout
        return process_tree(int(told))

    def push_cpu(self):
        return cpu_seconds(self.push_pids())

    def restart_push(self):
        """Seconds from the start of the new process until it is ready."""
        return process_age(self._restart("ws-notifier", lambda: self.page("/readyz", self.notifier_port)))

    def _restart(self, name, answer):
        """The new process, once it gives an answer."""
        before = self.part_pids(name)[0]
        subprocess.run(["s6-svc", "-r", self.run_dir / "service" / name], check=True)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            pid = self.part_pids(name)[0]
            if pid not in (before, -1) and answer() is not None:
                return pid
            time.sleep(0.01)
        raise Failed(f"{name} does not get ready")

    def all_pids(self):
        """Of the whole stack: programs, nginx, database, broker, and the writers of their logs."""
        found = []
        for folder in [*self.run_dir.glob("service/*"), *self.run_dir.glob("service/*/log")]:
            told = subprocess.run(["s6-svstat", "-o", "pid", folder], capture_output=True, text=True).stdout.strip()
            if told.isdigit():
                found += process_tree(int(told))
        return found

    def page(self, path, port=None):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def metric(self, name, path="/metrics"):
        total, found = 0.0, False
        for line in (self.page(path) or "").splitlines():
            if re.match(rf"{name}(\{{| )", line):
                total, found = total + float(line.rsplit(" ", 1)[1]), True
        return total if found else None

    def amqp_environment(self):
        user, password = re.match(r"amqp://([^:]+):([^@]+)@", self.amqp_url).groups()
        return {"AMQP_HOST": "127.0.0.1", "AMQP_PORT": str(self.amqp_port), "AMQP_USER": user,
                "AMQP_PASSWORD": password, "AMQP_QUEUE": "tasks_completed"}  # fmt: skip


def tasks_insert(table, first, last):
    return f"""INSERT INTO {table} (id, user_id, status, content, created_at, completed_at)
        SELECT seq, (seq - 1) % {USERS} + 1, seq % 3 = 0, CONCAT('Acheter du pain et appeler le plombier, ', seq),
            '2024-01-02 17:00:00' + INTERVAL seq SECOND, IF(seq % 3 = 0, '2024-02-02 20:54:23.250', NULL)
        FROM seq_{first}_to_{last}"""


def other_revision(directory, revision):
    """The stack of another revision, built beside this one."""
    commit = subprocess.run(["git", "rev-parse", "--short", "--verify", f"{revision}^{{commit}}"], cwd=ROOT,
                            capture_output=True, text=True)  # fmt: skip
    if commit.returncode:
        raise Failed(f"git knows no revision '{revision}'")
    root = Path(directory) / "other"
    root.mkdir()
    say(f"building {revision} ({commit.stdout.strip()})")
    archive = subprocess.Popen(["git", "archive", commit.stdout.strip()], cwd=ROOT, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", root], stdin=archive.stdout, check=True)
    made = subprocess.run(["make", "-j2", "all"], cwd=root, capture_output=True, text=True)
    if made.returncode:
        raise Failed(f"{revision} does not build: {made.stderr[-2000:]}")
    return Carillon(directory, commit.stdout.strip(), root)
