# SPDX-License-Identifier: MIT
"""How loaded the machine is: other work makes a recovery take longer, and is not the recovering part's fault."""

import os
import threading
import time

STEP_S = 0.1
KEPT = 3000  # samples: five minutes


class Crowd:
    """Counts, ten times a second, the processes that run or wait for a core."""

    def __init__(self):
        self._samples = []  # (when, how many)
        threading.Thread(target=self._watch, name="crowd", daemon=True).start()

    def _watch(self):
        while True:
            with open("/proc/loadavg") as file:
                runnable = int(file.read().split()[3].partition("/")[0]) - 1  # not this one
            self._samples.append((time.time(), runnable))
            del self._samples[:-KEPT]
            time.sleep(STEP_S)

    def stretch(self, since):
        """How much longer everything has taken since then (time.time()): 1 as long as on average no more than two
        processes wanted each core."""
        counts = [count for when, count in self._samples if when >= since - STEP_S]
        return stretch(counts, os.cpu_count())


def stretch(counts, cores):
    return max(1.0, sum(counts) / len(counts) / cores / 2) if counts else 1.0
