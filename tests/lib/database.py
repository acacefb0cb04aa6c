# SPDX-License-Identifier: MIT
"""A database of its own on the stack's server, with accounts of its own: made as docs/deploy.md has it for a server that
scripts/run did not start."""

import shutil
import subprocess

import pymysql

from lib.stack import ROOT

HOST = "127.0.0.0/255.0.0.0"  # a host that no other account has
PROGRAMS = ("api", "migrate", "adminer", "emit")


class Database:
    """Its scripts and SQL are a copy in `tree`, so that a test can write migrations of its own. Several at a time share the
    accounts."""

    alive = 0

    def __init__(self, stack, directory, name):
        self.stack, self.name, self.tree = stack, name, directory / "tree"
        self.secrets = stack.run_dir / "tmp" / "other-secrets"
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        Database.alive += 1
        for folder in ("scripts", "sql"):
            shutil.copytree(ROOT / folder, self.tree / folder)
        for _ in range(2):  # the second time changes nothing
            self.make_accounts()

    def environment(self, **more):
        return {**self.stack.environment, "DB_NAME": self.name, **more}

    def make_accounts(self):
        done = subprocess.run(
            [self.tree / "scripts" / "accounts", "database", self.secrets],
            env=self.environment(ACCOUNT_HOST=HOST), capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.stack.script("sql", input=done.stdout)

    def account(self, program):
        return f"'carillon-{program}'@'{HOST}'"

    def password(self, program):
        return (self.secrets / f"db_{program}_password").read_text().strip()

    def start_migrate(self, *arguments, **more):
        """scripts/migrate of the copy, in a process group of its own."""
        environment = self.environment(
            DB_HOST="127.0.0.1",
            DB_PORT=str(self.stack.port("DB_PORT")),
            DB_USER="carillon-migrate",
            DB_PASSWORD_FILE=str(self.secrets / "db_migrate_password"),
            API_ACCOUNT=self.account("api"),
            ADMINER_ACCOUNT=self.account("adminer"),
            EMIT_ACCOUNT=self.account("emit"),
        ) | more
        return subprocess.Popen(
            [self.tree / "scripts" / "migrate", *arguments], env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def migrate(self, *arguments, check=True, **more):
        running = self.start_migrate(*arguments, **more)
        said, complained = running.communicate(timeout=300)
        assert running.returncode == 0 or not check, f"{said}\n{complained}"
        return subprocess.CompletedProcess(running.args, running.returncode, said, complained)

    def connect(self, program="migrate", **more):
        return pymysql.connect(
            host="127.0.0.1", port=self.stack.port("DB_PORT"), user=f"carillon-{program}", password=self.password(program),
            database=self.name, charset="utf8mb4", init_command="SET time_zone = '+00:00'", autocommit=True, **more,
        )  # fmt: skip

    def sql(self, query, program="migrate"):
        """The last statement's rows."""
        connection = self.connect(program, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            found = cursor.fetchall()
            while cursor.nextset():
                found = cursor.fetchall()
            return list(found)

    def drop(self):
        self.stack.sql(f"DROP DATABASE IF EXISTS `{self.name}`")
        Database.alive -= 1
        if Database.alive == 0:
            self.stack.sql("DROP USER IF EXISTS " + ", ".join(self.account(program) for program in PROGRAMS))
