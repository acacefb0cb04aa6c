# SPDX-License-Identifier: MIT
"""Threads that hang: stopped as a debugger stops them, while the other threads of their process go on."""

import ctypes
import os
import re
import signal
from contextlib import contextmanager, suppress
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # waits for a thread that is no child, too

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def hanging(threads):
    """PermissionError where no process may stop another one's threads."""
    held = []
    try:
        for thread in threads:
            _ptrace(SEIZE, thread)
            held.append(thread)
            _ptrace(INTERRUPT, thread)
            os.waitpid(thread, WALL)
        yield
    finally:
        for thread in held:
            with suppress(ProcessLookupError):
                _ptrace(DETACH, thread)


def publisher_threads(stack):
    """One of each worker: of the threads that block signals it alone takes SIGURG (fcgi-api/publisher/publisher.c)."""
    found, workers = [], stack.workers()
    for worker in workers:
        for path in Path(f"/proc/{worker.pid}/task").glob("*/status"):
            blocked = int(re.search(r"^SigBlk:\s*(\w+)$", path.read_text(), re.M)[1], 16)
            if blocked >> signal.SIGCHLD - 1 & 1 and not blocked >> signal.SIGURG - 1 & 1:
                found.append(int(path.parent.name))
    assert len(found) == len(workers), (found, workers)
    return found
