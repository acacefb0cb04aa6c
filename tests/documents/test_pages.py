# SPDX-License-Identifier: MIT
"""Each page of docs/ says in its first paragraph for whom it is, and what its reader can do afterwards."""

import re

import pytest

from documents.pages import ROOT, tracked


@pytest.mark.parametrize("page", sorted(tracked("docs/*.md")))
def test_the_first_paragraph_says_for_whom(page):
    first = re.search(r"^# [^\n]*\n\n(.*?)\n\n", (ROOT / page).read_text(), re.M | re.S)[1]
    if "/fr/" in page:
        assert first.startswith("Pour ") and "À la fin" in first
    else:
        assert first.startswith("For ") and re.search(r"\bafter reading\b", first, re.I)
