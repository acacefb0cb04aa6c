# SPDX-License-Identifier: MIT
"""Documents that are followed by copy and paste: their commands, in a copy of the tree and on ports of their own."""

import shutil
import subprocess

import pytest
from conftest import keep_logs

from browser.page import Browser
from lib.document import Document
from lib.stack import BUILD_DIR, ROOT, Stack


@pytest.fixture
def copy(tmp_path):
    """The tree as git knows it, with what is built already."""
    tree = tmp_path / "carillon"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)
    return tree


@pytest.fixture
def browser():
    started = Browser("en-US")
    yield started
    started.quit()


@pytest.mark.long
@pytest.mark.parametrize("name", ["docs/fr/atelier.md", "docs/tutorial.md"])
def test_a_document_can_be_followed(name, copy, browser):
    stack = Stack.prepare()
    shutil.copytree(BUILD_DIR, copy / "build", ignore=shutil.ignore_patterns("asan", "tsan", "test-logs", "fuzz*"))
    environment = dict(stack.environment, BUILD_DIR=str(copy / "build"))
    first = int(environment["PORT"])
    environment["MANAGEMENT_PORT"] = str(first + 5)
    here = {
        "http://localhost": f"http://localhost:{first}",
        "http://localhost:15673": f"http://localhost:{first + 5}",
        "http://localhost:8000": f"http://localhost:{first + 20}",
        "http.server 8000": f"http.server {first + 20}",
        ".run/": f"{environment['RUN_DIR']}/",
    }
    try:
        Document(ROOT / name, copy, environment, here, browser).follow()
    finally:
        keep_logs(stack, name.replace("/", "-"))
        stack.stop()
