# SPDX-License-Identifier: MIT
"""Many inputs at once: some processes with some threads each. Input n depends only on the seed and on n, not on the
number of inputs or on the process that sends it."""

import importlib
import random
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from .judge import Judge

PROCESSES, THREADS = 2, 6


def chance_of(seed, kind, number):
    return random.Random(f"{seed} {kind} {number}")


def _share(module, kind, target, seed, numbers):
    """In a process of its own: module.KINDS[kind](target) is one sender for each thread."""
    judge, lock, errors = Judge(), threading.Lock(), []
    make_sender = importlib.import_module(module).KINDS[kind]

    def send(mine):
        own = Judge()
        try:
            with make_sender(target, own) as sender:
                for number in mine:
                    sender.send(number, chance_of(seed, kind, number))
        except Exception as error:  # reported as a finding: the rest of this share was not sent
            own.find(f"{kind} {number}: {type(error).__name__}: {error}")
        with lock:
            judge.add(own.counts, own.findings, own.more)

    threads = [threading.Thread(target=send, args=(numbers[n::THREADS],)) for n in range(min(THREADS, len(numbers)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return judge.counts, judge.findings + errors, judge.more


def blast(judge, module, kind, target, seed, count):
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        shares = [pool.submit(_share, module, kind, target, seed, range(n, count, PROCESSES)) for n in range(PROCESSES)]
        for share in shares:
            judge.add(*share.result())
