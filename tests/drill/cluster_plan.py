# SPDX-License-Identifier: MIT
"""What is struck in a cluster and when, by the seed alone. Each ten strikes have the same kinds in another order; the first ten of
each thirty are the short form.

    part        kill -9 of one part of a node; its supervisor starts it again
    kill        kill -9 of everything of a node; scripts/cluster start brings it back
    cut         its cable is pulled, and plugged in again
    deaf        it hears nothing, and is heard
    lost        kill, and its disk is empty; scripts/cluster join brings it back
    brokers     kill -9 of every RabbitMQ
    databases   kill -9 of every MariaDB
    cold        kill -9 of everything, and scripts/cluster start
    two         kill -9 of everything of two nodes, one after the other: no majority is left
    islands     the cables of two nodes are pulled: each of the three is alone
    link        one node does not hear one other (half of them: nor that one it), and the third hears both
    skew        the clock of a node's programs is 3 s fast, or slow; they are restarted with it, and again without
    upgrade     the programs of each node in turn become those of an older revision, and then in turn those of today again
    forgotten   kill, scripts/cluster forget, an empty disk, and scripts/cluster join
"""

import itertools
import random
from dataclasses import dataclass

PART, KILL, CUT, DEAF, LOST, BROKERS, DATABASES, COLD = "part", "kill", "cut", "deaf", "lost", "brokers", "databases", "cold"
TWO, ISLANDS, LINK, SKEW, UPGRADE, FORGOTTEN = "two", "islands", "link", "skew", "upgrade", "forgotten"
KINDS = (PART, KILL, CUT, DEAF, LOST, BROKERS, DATABASES, COLD, TWO, ISLANDS, LINK, SKEW, UPGRADE, FORGOTTEN)
TENS = (
    (PART, PART, PART, KILL, KILL, CUT, CUT, DEAF, BROKERS, DATABASES),
    (PART, PART, PART, KILL, LOST, CUT, CUT, DEAF, BROKERS, COLD),
    (TWO, TWO, ISLANDS, LINK, LINK, LINK, SKEW, SKEW, UPGRADE, FORGOTTEN),
)
PARTS = ("fcgi-api", "ws-notifier", "nginx", "rabbitmq", "mariadb")
SKEW_S = 3

# Seconds in which no write was accepted, until an event was heard, and until all nodes were whole again, at most.
LIMITS = {
    PART: (8, 20, 60), KILL: (8, 20, 120), CUT: (8, 20, 120), DEAF: (8, 20, 120), LOST: (8, 20, 240),
    BROKERS: (2, 60, 60), DATABASES: (60, 60, 120), COLD: (120, 150, 180),
    TWO: (120, 150, 180), ISLANDS: (60, 60, 120), LINK: (8, 20, 120), SKEW: (8, 20, 120), UPGRADE: (4, 20, 120), FORGOTTEN: (8, 20, 240),
}  # fmt: skip


@dataclass(frozen=True)
class Strike:
    number: int
    kind: str
    node: float  # 0..1: which one
    part: str
    hold: float  # seconds until it is plugged in, or started again
    pause: float  # seconds before it
    other: float = 0.0  # 0..1: which one of the others, where two are struck
    both: bool = False  # ways of a link are cut; else the clock is slow

    def __str__(self):
        return f"#{self.number} {self.kind}"

    @property
    def skew(self):
        return SKEW_S if self.both else -SKEW_S

    def of(self, nodes):
        """The node that is struck, and the other one."""
        index = int(self.node * len(nodes))
        others = nodes[index + 1 :] + nodes[:index]
        return nodes[index], others[int(self.other * len(others))]


def strikes(seed):
    """Without end."""
    chance, more = random.Random(f"cluster {seed}"), random.Random(f"cluster, two {seed}")
    both = {LINK: more.random() < 0.5, SKEW: more.random() < 0.5}  # in turns
    number = 0
    for ten in itertools.cycle(TENS):
        for kind in chance.sample(ten, len(ten)):
            number += 1
            if kind in both:
                both[kind] = not both[kind]
            rest = chance.random(), chance.choice(PARTS), chance.uniform(2, 15), chance.uniform(1, 3)
            yield Strike(number, kind, *rest, more.random(), both.get(kind, False))
