# SPDX-License-Identifier: MIT
"""Pictures are what their sources say, their text has room whatever font a viewer has, and they have colours for light and dark."""

import runpy
import xml.etree.ElementTree as ElementTree

import pytest

from documents.pages import ROOT

PICTURES = ROOT / "docs" / "pictures"
SVG = "{http://www.w3.org/2000/svg}"
draw = runpy.run_path(str(PICTURES / "draw"))["draw"]
SOURCES = sorted(path.name for path in PICTURES.glob("*.seq"))
DRAWN = sorted(path.name for path in PICTURES.glob("*.svg"))


@pytest.mark.parametrize("name", SOURCES)
def test_a_picture_is_what_its_source_says(name):
    source = PICTURES / name
    assert source.with_suffix(".svg").read_text() == draw(source.read_text()), "run: make pictures"


def extent(text):
    """Left and right end of a text, which has its width with it."""
    x, wide = float(text.get("x")), float(text.get("textLength") or 1e6)
    return x - wide / 2, x + wide / 2


def boxes(picture):
    for rect in picture.iter(f"{SVG}rect"):
        if rect.get("class") != "paper":
            x, y, wide, high = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
            yield x, y, x + wide, y + high


@pytest.mark.parametrize("name", DRAWN)
def test_text_fits(name):
    """A text stays in its box if its middle is in one, always in the picture, and beside other text of its line."""
    picture = ElementTree.parse(PICTURES / name).getroot()
    _, _, width, height = map(float, picture.get("viewBox").split())
    placed, wrong = [], []
    for text in picture.iter(f"{SVG}text"):
        left, right = extent(text)
        x, y = float(text.get("x")), float(text.get("y"))
        inside = [(low, high) for low, top, high, bottom in boxes(picture) if low < x < high and top < y < bottom]
        rooms = [*inside, (0, width)]
        if any(left < low + 2 or right > high - 2 for low, high in rooms) or not 0 < y < height:
            wrong.append(text.text)
        wrong += [f"{text.text} / {other}" for other, low, high, line in placed if abs(line - y) < 10 and left < high and low < right]
        placed.append((text.text, left, right, y))
    assert placed and wrong == []


@pytest.mark.parametrize("name", DRAWN)
def test_colours_for_light_and_dark(name):
    text = (PICTURES / name).read_text()
    assert "prefers-color-scheme: dark" in text and 'class="paper"' in text
    assert 'fill="#' not in text and 'stroke="#' not in text, "a colour that is the same in both"
