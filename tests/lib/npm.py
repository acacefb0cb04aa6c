# SPDX-License-Identifier: MIT
"""Tools from npm, pinned by a package-lock.json and installed into a cache the first time, never into the tree."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MANIFEST = ("package.json", "package-lock.json")


def cache_folder():
    """CARILLON_CACHE, else ~/.cache/carillon."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CARILLON_CACHE") or caches / "carillon")


def installed(name, folder, what):
    """The node_modules of what the manifest in `folder` names; a folder in the cache for each lock file, complete or not
    there at all. `what` is for people."""
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            sys.exit(f"{name}: {tool} is missing: scripts/packages --install test")
    version = hashlib.sha256(b"".join((folder / file).read_bytes() for file in MANIFEST)).hexdigest()[:16]
    cache = cache_folder()
    target = cache / f"{name}-{version}"
    if not (target / "node_modules").is_dir():
        _install(name, folder, what, cache, target)
    return target / "node_modules"


def _install(name, folder, what, cache, target):
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
    try:
        for file in MANIFEST:
            shutil.copy(folder / file, fresh)
        print(f"installing {what} into {target}", flush=True)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=fresh, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            sys.exit(f"{name}: npm could not install it, see above (CARILLON_CACHE can be copied from another machine)")
        try:
            fresh.rename(target)
        except OSError:  # another run was faster
            if not target.exists():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
