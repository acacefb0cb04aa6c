# SPDX-License-Identifier: MIT
"""Waits for a condition with a deadline, instead of a fixed sleep."""

import time


class Late(AssertionError):
    """The condition did not hold in time."""


def patience(seconds):
    """How long to wait for what takes at most `seconds` on a quiet machine. With other suites beside it and with
    sanitizers everything takes ten times as long, and a process may get no CPU for seconds. A deadline only has to
    tell late from never."""
    return seconds + min(4 * seconds, 120)


def eventually(condition, deadline=10.0, what=None, interval=0.05):
    """Calls condition() until it returns something true and returns that; `deadline` is for a quiet machine.

    An AssertionError inside counts as "not yet", and so does an OSError: a part that restarts refuses a connection or
    does not answer, and a process ends while it is looked at. The last one is shown when time is up."""
    allowed = patience(deadline)
    end = time.monotonic() + allowed
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last value {value!r}"
        except AssertionError as error:
            last = str(error)
        except OSError as error:
            last = repr(error)
        if time.monotonic() >= end:
            name = what or getattr(condition, "__name__", "condition")
            raise Late(f"{name}: not within {allowed:g} s ({last})")
        time.sleep(interval)
