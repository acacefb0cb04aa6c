# SPDX-License-Identifier: MIT
"""Waits for a condition with a deadline, instead of a fixed sleep."""

import time


class Late(AssertionError):
    """The condition did not hold in time."""


def eventually(condition, deadline=10.0, what=None, interval=0.05):
    """Calls condition() until it returns something true and returns that.

    An AssertionError inside counts as "not yet"; the last one is shown when time is up."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last value {value!r}"
        except AssertionError as error:
            last = str(error)
        if time.monotonic() >= end:
            name = what or getattr(condition, "__name__", "condition")
            raise Late(f"{name}: not within {deadline:g} s ({last})")
        time.sleep(interval)
