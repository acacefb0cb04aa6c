# SPDX-License-Identifier: MIT
"""Cursors against a regular expression and Python's own numbers."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from library import cursor, format_cursor, parse

SEQ_MAX = 2**53 - 1
SHAPE = re.compile(rb"([0-9A-Za-z]{1,16}):(0|[1-9][0-9]{0,15})(?::(0|[1-9][0-9]{0,15}))?")

numbers = st.integers(0, SEQ_MAX)
epochs = st.text("abcxyzABCXYZ0123456789", min_size=1, max_size=16)
# Near misses are more telling than noise.
almost = st.lists(
    st.sampled_from(["a", "Z9", ":", "::", "0", "7", "00", "-", "+", " ", "\0", ".", "é", str(SEQ_MAX), str(SEQ_MAX + 1), str(2**64)]),
    max_size=8,
).map(lambda pieces: "".join(pieces).encode())


def expected(text):
    found = SHAPE.fullmatch(text)
    if not found or int(found[2]) > SEQ_MAX or int(found[3] or 0) > SEQ_MAX:
        return None
    return found[1].decode(), int(found[2]), int(found[3] or 0)


@given(st.one_of(almost, st.binary(max_size=60)))
@example(b"a:1:")
@example(b"a:1:0")
@example(b"a" * 16 + b":1")
@example(b"a" * 17 + b":1")
@example(b"a:9007199254740991:9007199254740991")
@example(b"a:9007199254740992")
@example(b"a:1\0")
@example(b"a:1\n")
def test_takes_exactly_what_a_cursor_is(text):
    assert parse(text) == expected(text)


@given(epochs, numbers, numbers)
def test_what_is_written_can_be_read(epoch, seq, time_s):
    text = format_cursor(cursor(epoch, seq, time_s))
    assert parse(text) == (epoch, seq, time_s)
    assert text.count(b":") == (2 if time_s else 1)


@given(epochs, numbers, numbers)
def test_what_is_read_is_written_the_same(epoch, seq, time_s):
    text = f"{epoch}:{seq}" + (f":{time_s}" if time_s else "")
    assert format_cursor(cursor(*parse(text.encode()))) == text.encode()
