# SPDX-License-Identifier: MIT
"""Every relative link of every page leads to a file of the tree, and every anchor to a heading. Needs no network."""

import re
from urllib.parse import unquote

import pytest

from documents.pages import ROOT, anchors, links, pages, tracked

MENTION = re.compile(r"\b((?:docs|client)/[\w/.-]+\.md)(?:#([\w-]+))?")


def broken(page, text):
    for line, target in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target, re.I):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / unquote(path) if path else ROOT / page
        if not file.exists() or ROOT not in file.resolve().parents:
            yield f"{page}:{line}: there is no {target}"
        elif anchor and (file.suffix != ".md" or unquote(anchor) not in anchors(text if not path else file.read_text())):
            yield f"{page}:{line}: {target} leads to no heading"


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    assert list(broken(page, (ROOT / page).read_text())) == []


def test_a_broken_link_is_found():
    text = "## One `x`, two\n[a](docs/none.md) [b](#one-x-two) [c](#none)\n```\n[d](none.md)\n```\n[e](docs/protocol.md#none)\n"
    assert list(broken("README.md", text)) == [
        "README.md:2: there is no docs/none.md",
        "README.md:2: #none leads to no heading",
        "README.md:6: docs/protocol.md#none leads to no heading",
    ]


def test_pages_that_sources_name_exist():
    """A comment that says docs/x.md#y is a link, too."""
    missing = []
    for name in tracked("*.[ch]", "*.py", "*.sh", "*.js", "*.mjs", "*.sql", "*.yml", "*.yaml", "*.in", "scripts/*", "Makefile", ".env.example"):
        if name.startswith(("fuzz/corpus", "tests/documents")):
            continue
        for path, anchor in MENTION.findall((ROOT / name).read_text(errors="replace")):
            page = ROOT / path
            if not page.is_file() or (anchor and anchor not in anchors(page.read_text())):
                missing.append(f"{name}: {path}" + (f"#{anchor}" if anchor else ""))
    assert missing == []
