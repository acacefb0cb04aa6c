# SPDX-License-Identifier: MIT
"""Runs a document's commands from top to bottom, so that a reader can copy them.

Of its code blocks these count, by what stands behind the fence:

    sh      run by one bash, which keeps its variables from block to block; a command that fails ends the test
    text    what the block before it printed, or a part of it
    diff    applied to the tree, each hunk where its text is; a header may be a bare @@
    html    written to the file that `file=` names

`terminal=2` is another terminal: what runs there goes on beside the rest, until the next block for it. `browser=ADDRESS` is
what a browser shows there, which stays open from the first such block on. In a text block, each line has to be found
behind the one before, and "…" stands for anything."""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from lib.wait import eventually

_BLOCK = re.compile(r"^```(sh|text|diff|html)(?: (terminal|file|browser)=(\S+))?\n(.*?)^```$", re.M | re.S)
_END = "---- end of the block"


def _pattern(block):
    lines = [".*?".join(map(re.escape, line.split("…"))) for line in block.splitlines() if line.strip()]
    return re.compile(r"[^\n]*\n(?:.*\n)*?".join(lines))


class Document:
    def __init__(self, path, tree, environment, replaced, browser=None):
        """replaced: {what the document says: what it is here}, for addresses and paths. browser: a chromium of tests/browser."""
        self.path, self.tree, self.environment = Path(path), tree, environment
        self.browser, self.tab = browser, None
        longest_first = sorted(replaced, key=len, reverse=True)  # http://localhost:8080 before http://localhost
        found = re.compile("|".join(map(re.escape, longest_first)))
        self.text = found.sub(lambda match: replaced[match[0]], self.path.read_text())

    def follow(self):
        self.first = self._bash()
        self.second = None
        printed = {1: "", 2: ""}
        try:
            for kind, place, which, block in _BLOCK.findall(self.text):
                number = 2 if place == "terminal" else 1
                if kind == "diff":
                    self._patch(block)
                elif kind == "html":
                    Path(self.tree, which).write_text(block)
                elif place == "browser":
                    self._look(which, block)
                elif kind == "text":
                    printed[number] = self._find(block, number, printed[number])
                elif number == 1:
                    printed[1] = self._run(block)
                else:
                    self._begin_second(block)
                    printed[2] = ""
        finally:
            for shell in (self.first, self.second):
                self._end(shell)

    # ---- the terminals

    def _bash(self, *arguments):
        output = tempfile.TemporaryFile(mode="w+", errors="replace")
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", *arguments], cwd=self.tree, env=self.environment, stdin=subprocess.PIPE,
            stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        shell.output = output
        return shell

    def _end(self, shell):
        if shell is None:
            return
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGTERM)
        shell.stdin.close()
        shell.wait(20)
        shell.output.close()

    @staticmethod
    def _printed(shell):
        shell.output.seek(0)
        return shell.output.read()

    def _run(self, block):
        before = len(self._printed(self.first))
        self.first.stdin.write(f"{{\n{block}}} </dev/null\necho '{_END}'\n")
        self.first.stdin.flush()

        def done():
            said = self._printed(self.first)[before:]
            if self.first.poll() is not None and _END not in said:
                raise Failed(f"{self.path.name}: this block failed:\n{block}\n{said}")
            return said if _END in said else None

        return eventually(done, 180, block).split(_END)[0]

    def _begin_second(self, block):
        self._end(self.second)
        self.second = self._bash("-c", block)

    # ---- what they print

    def _look(self, address, block):
        if self.tab is None:
            self.tab = eventually(lambda: self.browser.visit(address), 20, f"a page at {address}")

        def shown():
            text = self.tab.text("body")
            assert _pattern(block).search(text), f"{self.path.name} shows\n{block}\nand the page showed:\n{text}"
            return True

        eventually(shown, 30, f"{self.path.name}: the browser")

    def _find(self, block, number, said):
        """Returns what was printed behind it."""
        wanted = _pattern(block)
        if number == 1:
            found = wanted.search(said)
            assert found, f"{self.path.name} shows\n{block}\nand this was printed:\n{said}"
            return said[found.end() :]

        def there():
            found = wanted.search(self._printed(self.second), self.seen)
            assert found, self._printed(self.second)
            return found

        if said == "":
            self.seen = 0
        self.seen = eventually(there, 20, f"{self.path.name}: the second terminal shows\n{block}").end()
        return "seen"

    def _patch(self, block):
        """Each hunk by its text alone, which has to be there once."""
        for file, hunks in re.findall(r"^--- a/.*\n\+\+\+ b/(.*)\n((?:(?!--- ).*\n)+)", block, re.M):
            path = Path(self.tree, file)
            text = path.read_text()
            for hunk in re.split(r"^@@.*\n", hunks, flags=re.M)[1:]:
                old = "".join(line[1:] + "\n" for line in hunk.splitlines() if line[0] in " -")
                new = "".join(line[1:] + "\n" for line in hunk.splitlines() if line[0] in " +")
                assert text.count(old) == 1, f"{self.path.name}: {file} has {text.count(old)} places like this:\n{old}"
                text = text.replace(old, new)
            path.write_text(text)


class Failed(Exception):
    """Not to be waited for, unlike an AssertionError."""
