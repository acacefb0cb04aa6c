# SPDX-License-Identifier: MIT
"""How loaded the machine is: other work makes a recovery take longer, and is not the recovering part's fault. A machine
that others share may also stand still, which no count of its processes shows."""

import os
import threading
import time

STEP_S = 0.1
LONG_S = 0.5  # between two samples: the machine stood still
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
        processes wanted each core, and the machine did not stand still."""
        samples = [sample for sample in list(self._samples) if sample[0] >= since - STEP_S]
        whole = max(time.time() - since, STEP_S)
        ran = max(whole - stood_still([when for when, _ in samples]), STEP_S)
        return stretch([count for _, count in samples], os.cpu_count()) * whole / ran


def stood_still(whens):
    """Seconds in which no sample was taken that should have been."""
    gaps = [later - earlier for earlier, later in zip(whens, whens[1:])]
    return sum(gap - STEP_S for gap in gaps if gap > LONG_S)


def stretch(counts, cores):
    return max(1.0, sum(counts) / len(counts) / cores / 2) if counts else 1.0
