# SPDX-License-Identifier: MIT
"""The notifier's modules and common/cursor as Python sees them: one library, made by the Makefile."""

import ctypes
import os
import subprocess
from ctypes import POINTER, Structure, byref, c_bool, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATH = Path(os.environ.get("CARILLON_MODEL", ROOT / "build" / "tests" / "libmodel.so"))

OK = 0
MARGIN_S = 5  # RING_CLOCK_MARGIN_S
NEW, DUPLICATE, AFTER_HOLE = 0, 1, 2  # enum ring_verdict


class Cursor(Structure):
    _fields_ = [("epoch", c_char * 17), ("seq", c_uint64), ("time_s", c_int64)]


class Replay(Structure):
    _fields_ = [("after_seq", c_uint64), ("last_seq", c_uint64)]


class Subscription(Structure):
    _fields_ = [("client", c_void_p)]  # its head; the rest is the hub's


class HubEvent(Structure):
    _fields_ = [("user_id", c_uint32), ("seq", c_uint64), ("created_at_ms", c_int64), ("frame", c_void_p)]


RESET_MAKER = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_uint32, c_uint64)
VISITOR = ctypes.CFUNCTYPE(None, c_void_p, POINTER(Subscription))

_SIGNATURES = {
    "cursor_parse": (c_int, [c_char_p, c_size_t, POINTER(Cursor)]),
    "cursor_format": (c_size_t, [POINTER(Cursor), c_char_p]),
    "ring_new": (c_void_p, [c_size_t, c_int64, c_int64]),
    "ring_free": (None, [POINTER(c_void_p)]),
    "ring_begin": (None, [c_void_p, c_int64]),
    "ring_clear": (None, [c_void_p]),
    "ring_add": (c_int, [c_void_p, c_uint32, c_uint64, c_int64, c_void_p]),
    "ring_age": (None, [c_void_p, c_int64]),
    "ring_drop_oldest": (None, [c_void_p]),
    "ring_last_seq": (c_uint64, [c_void_p, c_uint32]),
    "ring_find": (c_bool, [c_void_p, c_uint32, POINTER(Cursor), c_int64, POINTER(Replay)]),
    "ring_after": (c_void_p, [c_void_p, c_uint32, c_uint64]),
    "ring_event_seq": (c_uint64, [c_void_p]),
    "ring_event_frame": (c_void_p, [c_void_p]),
    "ring_count": (c_size_t, [c_void_p]),
    "ring_bytes": (c_size_t, [c_void_p]),
    "ring_users": (c_size_t, [c_void_p]),
    "ring_begin_s": (c_int64, [c_void_p]),
    "shim_set_clock": (None, [c_int64]),
    "shim_new": (c_void_p, [c_int64, c_int64, c_int64, c_size_t, c_size_t]),
    "shim_forget_oldest": (None, [c_void_p, c_int]),
    "shim_free": (None, [c_void_p]),
    "shim_hub": (c_void_p, [c_void_p]),
    "shim_connect": (c_void_p, [c_void_p]),
    "shim_leave": (None, [c_void_p, c_void_p]),
    "shim_say": (None, [c_void_p, c_void_p, c_char_p]),
    "shim_hear": (c_char_p, [c_void_p]),
    "shim_closing": (c_int, [c_void_p]),
    "shim_event": (None, [c_void_p, c_int64, c_char_p, c_uint32, c_uint64, c_int64, c_char_p]),
    "shim_control": (None, [c_void_p, c_int64, c_char_p, c_char_p, c_int64]),
    "shim_beat": (None, [c_void_p]),
    "shim_tick": (None, [c_void_p]),
    "shim_connected": (None, [c_void_p, c_bool]),
    "shim_disconnected": (None, [c_void_p]),
    "shim_frame": (c_void_p, [c_char_p]),
    "shim_frame_text": (c_char_p, [c_void_p]),
    "shim_frame_references": (c_uint32, [c_void_p]),
    "shim_frame_free": (None, [c_void_p]),
    "hub_subscribe": (POINTER(Subscription), [c_void_p, c_void_p, c_uint32]),
    "hub_unsubscribe": (None, [c_void_p, c_void_p, c_uint32]),
    "hub_forget": (None, [c_void_p, c_void_p]),
    "hub_wait": (None, [c_void_p, POINTER(Subscription), POINTER(Cursor)]),
    "hub_first_waiting": (POINTER(Subscription), [c_void_p]),
    "hub_go_live": (None, [c_void_p, POINTER(Subscription), c_uint64, c_bool]),
    "hub_deliver": (None, [c_void_p, POINTER(HubEvent), RESET_MAKER, c_void_p]),
    "hub_each": (None, [c_void_p, VISITOR, c_void_p]),
    "hub_beat": (None, [c_void_p, VISITOR, c_void_p]),
    "subscription_user": (c_uint32, [POINTER(Subscription)]),
}


def _load():
    if "CARILLON_MODEL" not in os.environ:
        subprocess.run(["make", "-s", "-C", ROOT, str(PATH.relative_to(ROOT))], check=True, stdout=subprocess.DEVNULL)
    loaded = ctypes.CDLL(str(PATH))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


lib = _load()


def cursor(epoch, seq, time_s=0):
    return Cursor(epoch.encode(), seq, time_s)


def parse(text):
    """(epoch, seq, time_s) of a cursor's text, None when it is refused."""
    found = Cursor(b"unset", 7, 7)
    if lib.cursor_parse(text, len(text), byref(found)) != OK:
        assert (found.epoch, found.seq, found.time_s) == (b"unset", 7, 7), "a refused text must change nothing"
        return None
    return found.epoch.decode(), found.seq, found.time_s


def format_cursor(value):
    buffer = ctypes.create_string_buffer(64)
    length = lib.cursor_format(byref(value), buffer)
    assert length == len(buffer.value)
    return buffer.value


class Ring:
    """ring.h with lists and numbers."""

    def __init__(self, max_bytes, max_age_s, begin_s):
        self._ring = c_void_p(lib.ring_new(max_bytes, max_age_s, begin_s))

    def free(self):
        lib.ring_free(byref(self._ring))
        assert not self._ring.value

    def begin(self, time_s):
        lib.ring_begin(self._ring, time_s)

    def clear(self):
        lib.ring_clear(self._ring)

    def add(self, user, seq, time_s, text):
        frame = lib.shim_frame(text.encode())
        verdict = lib.ring_add(self._ring, user, seq, time_s, frame)
        assert lib.shim_frame_references(frame) <= 2
        lib.shim_frame_free(frame)
        return verdict

    def drop_oldest(self):
        lib.ring_drop_oldest(self._ring)

    def age(self, now_s):
        lib.ring_age(self._ring, now_s)

    def find(self, user, value, now_s):
        """None when it cannot be served, else (texts, last_seq)."""
        replay = Replay()
        if not lib.ring_find(self._ring, user, byref(value), now_s, byref(replay)):
            return None
        texts, seq = [], replay.after_seq
        while event := lib.ring_after(self._ring, user, seq):
            seq = lib.ring_event_seq(event)
            texts.append(lib.shim_frame_text(lib.ring_event_frame(event)).decode())
        assert len(texts) == replay.last_seq - replay.after_seq
        return texts, replay.last_seq

    def last_seq(self, user):
        return lib.ring_last_seq(self._ring, user)

    @property
    def count(self):
        return lib.ring_count(self._ring)

    @property
    def bytes(self):
        return lib.ring_bytes(self._ring)

    @property
    def users(self):
        return lib.ring_users(self._ring)

    @property
    def begin_s(self):
        return lib.ring_begin_s(self._ring)
