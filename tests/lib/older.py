# SPDX-License-Identifier: MIT
"""The programs of an older revision, built from git into the cache the first time."""

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from .npm import cache_folder
from .stack import ROOT


def revision_that_added(path):
    """In a shallow clone that may be the first one it has. Skips the test where there is no history."""
    found = subprocess.run(["git", "log", "--max-count=1", "--diff-filter=A", "--format=%h", "--", path], cwd=ROOT, capture_output=True, text=True)
    if not found.stdout.strip():
        pytest.skip(f"git has no revision that added {path} here: {found.stderr.strip()}")
    return found.stdout.strip()


def programs_of(revision):
    """The folder with both; skips the test where they cannot be had."""
    target = cache_folder() / f"older-{revision}-{platform.freedesktop_os_release().get('VERSION_ID', '')}"
    if not target.is_dir():
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True)
        if archive.returncode != 0:
            pytest.skip(f"git has no revision {revision} here, as in a shallow clone: {archive.stderr.decode().strip()}")
        _build(archive.stdout, target)
    return target


def _build(archive, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="carillon-older-", dir=target.parent) as tree:
        subprocess.run(["tar", "--extract", "--directory", tree], input=archive, check=True)
        # Compilers of later warn of more.
        command = ["make", "--silent", f"-j{os.cpu_count()}", "WARNINGS=", "BUILD=build", "all"]
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "SANITIZE")}
        built = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
        if built.returncode != 0:
            pytest.skip(f"it cannot be built with the libraries of today: {built.stderr[-500:]}")
        fresh = Path(tree, "programs")
        fresh.mkdir()
        for name in ("fcgi-api", "ws-notifier"):
            shutil.move(Path(tree, "build", name), fresh)
        try:
            fresh.rename(target)
        except OSError:  # another run was faster
            if not target.is_dir():
                raise
