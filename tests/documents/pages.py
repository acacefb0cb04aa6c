# SPDX-License-Identifier: MIT
"""The project's pages (*.md), as the tests of documents read them: what is prose, what is a heading, what a link leads to."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[`~]*$", re.M | re.S)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*(\S+)", re.M)


def tracked(*patterns):
    """What git knows or would add: a page that is new counts, too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def pages():
    return tracked("*.md")


def _blank(match):
    """As many lines as before, so that line numbers stay."""
    return "\n" * match[0].count("\n")


def without_code(text):
    return _CODE.sub(" ", _COMMENT.sub(_blank, _FENCED.sub(_blank, text)))


def links(text):
    """[(line, target)]"""
    prose = without_code(text)
    return [(prose.count("\n", 0, found.start()) + 1, found[1] or found[2]) for found in _LINK.finditer(prose)]


def anchors(text):
    """The names that #... may have, as forges make them of headings."""
    names, seen = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text)), {}
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", _FENCED.sub(_blank, text), re.M):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def prose(text):
    """What people read: no code, no addresses, no tags, no indented examples."""
    text = without_code(text)
    text = re.sub(r"^(?: {4,}|\t)(?![-*\d|]).*$", "", text, flags=re.M)
    text = re.sub(r"(\]\()[^)]*\)", r"\1)", text)
    text = re.sub(r"<[^>\n]*>|https?://\S+|&\w+;|[\w/.-]+\.md\b", " ", text)
    return text
