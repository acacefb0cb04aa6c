# SPDX-License-Identifier: MIT
"""Which part is struck, how and when: drawn from the seed alone, so that a run can be repeated.

A part's weight is how often it is chosen; RabbitMQ needs seven seconds to come back, so it is chosen less."""

import random
from dataclasses import dataclass

KILL, HANG, FREEZE, RESTART = "kill", "hang", "freeze", "restart"  # a hang is a freeze that ends with a kill
WAYS = (KILL, HANG, FREEZE, RESTART)


@dataclass(frozen=True)
class Part:
    name: str
    weight: int
    limit: float  # seconds until the service answers and events flow again
    ways: tuple = (KILL, KILL, KILL, KILL, HANG, FREEZE, RESTART)


PARTS = (
    Part("api-worker", 32, 3),
    Part("api-pool", 10, 3),
    Part("notifier", 24, 3),
    Part("nginx", 7, 3),
    Part("nginx-worker", 8, 3, (KILL, KILL, KILL, HANG, FREEZE)),
    Part("rabbitmq", 7, 15),
    Part("mariadb", 12, 15),
)
NAMES = [part.name for part in PARTS]


@dataclass(frozen=True)
class Strike:
    number: int
    part: Part
    way: str
    pick: float  # 0..1: which one, of a part that has several
    hold: float  # seconds of a freeze or a hang
    pause: float  # seconds before it
    overlap: bool  # the next one does not wait for this one's recovery

    def __str__(self):
        held = f" for {self.hold:.1f} s" if self.way in (HANG, FREEZE) else ""
        return f"#{self.number} {self.way} {self.part.name}{held}"


def strikes(seed, only=None):
    """Without end."""
    chance = random.Random(f"plan {seed}")
    parts = [part for part in PARTS if only in (None, part.name)]
    number = 0
    while True:
        number += 1
        part = chance.choices(parts, [part.weight for part in parts])[0]
        yield Strike(
            number,
            part,
            chance.choice(part.ways),
            chance.random(),
            chance.uniform(0.5, 5.0),
            chance.uniform(0.1, 0.7),
            chance.random() < 0.25,
        )
