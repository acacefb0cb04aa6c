# SPDX-License-Identifier: MIT
"""The database's files as they were at one moment, put back at a later one: what a snapshot of a disk, or a replica
that lagged, does."""

import shutil
import subprocess


class DatabaseCopy:
    def __init__(self, stack, directory):
        self._stack = stack
        self._data = stack.run_dir / "mariadb"
        self._copy = directory / "mariadb"

    def stop(self):
        self._stack.s6("-wD", "-T", "60000", "-d", "mariadb")

    def start(self):
        self._stack.s6("-u", "mariadb")

    def take(self):
        self.stop()
        subprocess.run(["cp", "-a", self._data, self._copy], check=True)
        self.start()

    def put_back(self):
        """The database is stopped, and stays so."""
        self.stop()
        shutil.rmtree(self._data)
        subprocess.run(["cp", "-a", self._copy, self._data], check=True)
