"""Every attack: against which stack, and how many inputs in the long and in the short form."""

from dataclasses import dataclass
from typing import Callable

from . import mutated, smuggling, traversal


@dataclass(frozen=True)
class Attack:
    name: str
    what: str
    run: Callable  # run(ground, judge)
    count: int = 0
    short: int = 0
    guarded: bool = False


ATTACKS = (
    Attack("bodies", "mutated bodies", mutated.attack("bodies"), 100_000, 1500),
    Attack("paths", "mutated paths", mutated.attack("paths"), 100_000, 1500),
    Attack("headers", "mutated headers", mutated.attack("headers"), 100_000, 1500),
    Attack("frames", "mutated WebSocket messages and frames", mutated.attack("frames"), 100_000, 1500),
    Attack("smuggling", "requests that two readers could read in two ways", smuggling.run),
    Attack("traversal", "ways out of the folder of the page", traversal.run, 20_000, 500),
)
NAMES = [attack.name for attack in ATTACKS]
