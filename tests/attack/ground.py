# SPDX-License-Identifier: MIT
"""The stack under attack. New tasks and users have numbers that no input hits by chance."""

import random
import tempfile
import urllib.parse
from pathlib import Path

from lib.issuer import AUDIENCE, Issuer, make_rsa
from lib.stack import Stack

FIRST_TASK, FIRST_USER = 1_500_000_000, 1_400_000_000
FLOCK = 100
# The database may keep a statement waiting for longer than the API would wait: a busy machine is no finding.
SETTINGS = {"ADMINER_PORT": "off", "API_WORKERS": 8, "DB_TIMEOUT_MS": 8000}


class Ground:
    def __init__(self, guarded):
        self.guarded = guarded
        self.keys = tempfile.TemporaryDirectory(prefix="carillon-keys-")
        settings = dict(SETTINGS)
        if guarded:
            folder = Path(self.keys.name)
            folder.chmod(0o755)
            make_rsa(folder)
            settings |= {"AUTH": 1, "JWT_PUBLIC_KEY_2_FILE": folder / "public.pem", "JWT_KID_2": "rsa", "JWT_AUDIENCE": AUDIENCE}
        self.stack = Stack.start(**settings)
        try:
            self.stack.ready()
            self.stack.sql(f"ALTER TABLE tasks AUTO_INCREMENT={FIRST_TASK}; ALTER TABLE users AUTO_INCREMENT={FIRST_USER}")
        except BaseException:
            self.stack.stop()
            raise
        self.issuer = Issuer(self.stack.run_dir / "secrets" / "jwt_secret", Path(self.keys.name)) if guarded else None
        self.flock = []
        self.held = 0
        parts = urllib.parse.urlsplit(self.stack.http)
        self.host, self.port = parts.hostname, parts.port

    def aim(self, seed, count, short):
        """Prepares the next attack."""
        self.seed, self.count, self.short = seed, count, short
        self.chance = random.Random(seed)
        self.notes = []

    def prey(self):
        """A (user, task) of one's own. Made some at a time, because each statement starts a client."""
        if not self.flock:
            users = self.stack.new_users(FLOCK)
            self.flock = list(zip(users, self.stack.new_tasks(users)))
        return self.flock.pop()

    def bearer(self, user, **more):
        """Headers of a call: none where no token is wanted."""
        return {"Authorization": f"Bearer {self.issuer.token(user, 7200, **more)}"} if self.guarded else {}

    def token(self, user):
        """The same for a subscribe."""
        return {"token": self.issuer.token(user, 7200)} if self.guarded else {}

    def holds(self, connections):
        """Notes how many connections were held at a time: nginx may keep their memory (lib/leftovers.py)."""
        self.held = max(self.held, connections)

    def note(self, text):
        self.notes.append(text)

    def close(self, keep):
        if keep:
            print(f"kept: {self.stack.run_dir}")
        self.stack.stop(keep)
        self.keys.cleanup()
