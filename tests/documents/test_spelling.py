# SPDX-License-Identifier: MIT
"""Pages are spelled right, in English and in French: by hunspell and, for the words of this field, words.en and words.fr.

hunspell reads all pages of a language at once, as most of its time is its start; the pages are looked up afterwards."""

import re
import subprocess
from pathlib import Path

import pytest

from documents.pages import ROOT, pages, prose

HERE = Path(__file__).parent
DICTIONARY = {"en": "en_GB", "fr": "fr"}
NOT_READ = re.compile(r"^(\*\[(?:En français|In English)\].*|Written by `scripts/bench` at.*)$", re.M)  # the other language; the machine's name
ELIDED = re.compile(r"^(?:[cdjlmnst]|qu)'", re.I)


def language(page):
    return "fr" if page.startswith("docs/fr/") or page.endswith(".fr.md") else "en"


def own_words(code):
    return (HERE / f"words.{code}").read_text().split()


def misspelled(text, code):
    text = re.sub(r"(?<=\w)'s\b", "", prose(NOT_READ.sub("", text)).replace("’", "'"))
    said = subprocess.run(
        ["hunspell", "-l", "-i", "utf-8", "-d", DICTIONARY[code]], input=text, capture_output=True, text=True, check=True
    ).stdout
    own = {word.lower() for word in own_words(code)}
    bare = (ELIDED.sub("", word.strip(".-'")) for word in said.split())
    return sorted({word for word in bare if not re.search(r"\d", word) and word.lower() not in own and word})


@pytest.mark.parametrize("code", DICTIONARY)
def test_words_are_spelled_right(code):
    texts = {page: (ROOT / page).read_text() for page in pages() if language(page) == code}
    wrong = misspelled("\n\n".join(texts.values()), code)
    where = {word: [page for page, text in texts.items() if re.search(rf"\b{re.escape(word)}\b", text)] for word in wrong}
    assert where == {}, f"misspelled, or a word for tests/documents/words.{code}"


@pytest.mark.parametrize(
    "code, text",
    [("en", "An evnet of the brwoser's, `but_nott_this`."), ("fr", "L'événemnt du navigateru, `mais_pass_ceci`.")],
)
def test_a_wrong_word_is_found(code, text):
    assert len(misspelled(text, code)) == 2


@pytest.mark.parametrize("code", DICTIONARY)
def test_the_list_is_in_order(code):
    words = own_words(code)
    assert words == sorted(set(words), key=str.lower), f"words.{code}: sorted, each word once"
