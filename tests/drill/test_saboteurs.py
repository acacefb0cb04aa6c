# SPDX-License-Identifier: MIT
"""The patches that prove the drill (saboteurs/run): each still fits the code it is made for."""

import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PATCHES = sorted((HERE / "saboteurs").glob("*.patch"))


def test_there_are_eleven():
    assert len(PATCHES) == 11, PATCHES


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_it_applies(patch):
    command = ["patch", "--dry-run", "--force", "-p1", "-d", HERE.parents[1], "-i", patch]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert "fuzz" not in done.stdout, f"it applies, but not where it was made for: {done.stdout}"


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_its_head_says_how_it_is_caught(patch):
    head = patch.read_text().split("\ndiff ")[0]
    for name, form in (("drill", r"(--\w+( [\w-]+)? ?)+"), ("settings", r"([A-Z_]+=\w+ ?)*"), ("caught by", r".+")):
        assert re.search(rf"^{name}: *{form}$", head, re.M), f"{name} in\n{head}"
