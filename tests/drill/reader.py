# SPDX-License-Identifier: MIT
"""The rule of a reader of one user's events, applied to each frame. No I/O: a client's frames are audited here, one
by one, so a list can test it.

    drop nothing, tolerate nothing: after a subscription with a cursor the events come one by one, each the successor
    of the last; any other event is a violation, unless the client was told before (recovered:false, reset)."""

import json
import time
import zlib
from array import array

from .report import clock


def parse_cursor(text):
    """(epoch, seq, time); time 0 when it is the short form."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0].isalnum():
        raise ValueError(text)
    return parts[0], int(parts[1]), int(parts[2]) if len(parts) == 3 else 0


class Reader:
    """One client's knowledge of one user."""

    def __init__(self, client, user, plain=False):
        self.client, self.user = client, user
        self.plain = plain  # subscribes without a cursor: hears events from then on
        self.cursor = None  # to come back with
        self.last = None  # the last event it has; None: it does not know
        self.answered = False
        self.needs_reload = False  # it was told that something is missing
        self.seqs, self.checksums = array("Q"), array("L")  # every event it was sent
        self.violations = []
        self.resumes = self.recovered = self.replayed = self.resets = 0
        self.refusals = {}  # reason -> count
        self.told = []  # when and how it was told, for the report of a violation
        self._since = None
        self._expected = None  # where the replay that was announced must end

    def violation(self, text):
        if len(self.violations) < 20:
            self.violations.append(f"{self.client}, user {self.user}, at {clock(time.time())}: {text}")

    # -- what it says

    def subscription(self):
        """The message to subscribe with, on a new connection."""
        self.answered, self._expected, self._since = False, None, self.cursor
        if self.plain:
            self.last = None
            return {"type": "subscribe", "user_id": self.user}
        return {"type": "subscribe", "user_id": self.user, "since": self.cursor}

    def reloaded(self, cursor):
        """It has read the tasks over HTTP; `cursor` came with them."""
        _, seq, _ = parse_cursor(cursor)
        if self.last is not None and seq < self.last:
            self.violation(f"Event-Cursor {cursor} is behind event {self.last}, which it already has")
        self.cursor, self.last, self.needs_reload = cursor, seq, False

    # -- what it hears

    def take(self, text):
        """One frame about this user."""
        frame = json.loads(text)
        handler = getattr(self, "_on_" + str(frame.get("type")), None)
        if handler is None:
            self.violation(f"unexpected frame {text[:200]}")
        else:
            handler(frame, text)

    def _on_subscribe(self, frame, text):
        if self.answered:
            self.violation(f"a second answer {text[:200]}")
        self.answered = True
        if self.plain:
            if frame != {"type": "subscribe", "user_id": self.user}:
                self.violation(f"not the echo of a plain subscription: {text[:200]}")
            return
        if self._since is not None:
            self.resumes += 1
        if frame["recovered"] is False:
            self.refusals[frame["reason"]] = self.refusals.get(frame["reason"], 0) + 1
            self.told.append(f"{clock(time.time())} since {self._since}, last {self.last}: {text[:200]}")
            self.needs_reload = True
            return
        _, seq, _ = parse_cursor(frame["cursor"])
        self.cursor = frame["cursor"]  # every cursor may be kept at once
        if self._since is None:
            self.last = seq or None  # 0 may mean that the notifier knows no event of this user
            return
        self.recovered += 1
        self.replayed += frame["replayed"]
        self._expected = parse_cursor(frame["until"])[1] if frame["replayed"] else None
        where_it_is = seq == parse_cursor(self._since)[1] or self.last is None
        if not where_it_is or (self._expected or seq) != seq + frame["replayed"]:
            self.violation(f"since {self._since} it was told {text[:200]}")

    def _on_notification(self, frame, text):
        _, seq, _ = parse_cursor(frame["cursor"])
        self.seqs.append(seq)
        self.checksums.append(zlib.crc32(text.encode()))
        if not self.answered:
            self.violation(f"event {seq} before the answer")
        if self.needs_reload:
            pass  # it was told, and will read everything again
        elif self.last is not None and seq <= self.last:
            self.violation(f"doubled: event {seq} after {self.last}")
            return
        elif self.last is not None and seq != self.last + 1:
            self.violation(f"gap: event {seq} after {self.last}")
        self.last, self.cursor = seq, frame["cursor"]
        if seq == self._expected:
            self._expected = None

    def _on_heartbeat(self, frame, _text):
        _, seq, time_s = parse_cursor(frame["cursor"])
        if self.plain or not time_s:
            self.violation(f"heartbeat {frame}")
        if self.needs_reload:
            return
        if self._expected is not None:
            self.violation(f"heartbeat {seq} before the replay had reached {self._expected}")
        if self.last is not None and seq != self.last:
            self.violation(f"heartbeat says {seq} after event {self.last}")
        self.cursor = frame["cursor"]

    def _on_reset(self, frame, text):
        _, seq, time_s = parse_cursor(frame["cursor"])
        if not self.plain and not self.needs_reload and (time_s or seq not in (self.last or 0, 0)):
            self.violation(f"a reset whose cursor may not be kept after event {self.last}: {frame}")
        self.resets += 1
        self.told.append(f"{clock(time.time())} last {self.last}: {text[:200]}")
        self.refusals["reset: " + frame["reason"]] = self.refusals.get("reset: " + frame["reason"], 0) + 1
        self.needs_reload = True
