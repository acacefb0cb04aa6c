# SPDX-License-Identifier: MIT
"""Every attack: against which stack, and how many inputs in the long and in the short form."""

from dataclasses import dataclass
from typing import Callable

from . import crowd, exchange, identities, injected, mutated, replay, slow, smuggling, traversal


@dataclass(frozen=True)
class Attack:
    name: str
    what: str
    run: Callable  # run(ground, judge)
    count: int = 0
    short: int = 0
    guarded: bool = False


ATTACKS = (
    Attack("bodies", "mutated bodies", mutated.attack("bodies"), 100_000, 1000),
    Attack("paths", "mutated paths", mutated.attack("paths"), 100_000, 1000),
    Attack("headers", "mutated headers", mutated.attack("headers"), 100_000, 1000),
    Attack("frames", "mutated WebSocket messages and frames", mutated.attack("frames"), 100_000, 1000),
    Attack("smuggling", "requests that two readers could read in two ways", smuggling.run),
    Attack("traversal", "ways out of the folder of the page", traversal.run, 20_000, 500),
    Attack("sqlmap", "SQL in every parameter, path, body field and header", injected.run),
    Attack("slow", "slow headers, bodies and readers (slowhttptest)", slow.run),
    Attack("crowd", "sockets that say nothing, or half of something", crowd.run, 15_000, 1000),
    Attack("exchange", "a publisher of garbage", exchange.run, 50_000, 1500),
    Attack("replay", "the largest replay, again and again", replay.run, 10_000, 500),
    Attack("keys", "Idempotency-Keys of two users that are the same", identities.keys, 1000, 20, guarded=True),
    Attack("cursors", "another's cursors, true and mutated", identities.cursors, 2000, 60, guarded=True),
)
NAMES = [attack.name for attack in ATTACKS]
