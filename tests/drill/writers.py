# SPDX-License-Identifier: MIT
"""Writers: change tasks at a steady rate and remember every answer.

Each writer has tasks of its own, so it knows what every answer should be; users they share. Every attempt
has an X-Request-Id of its own, which the event carries: so the audit knows what became of it."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from .http import FAILURES, Connection

CREATE, COMPLETE, REOPEN, UPDATE, DELETE = (
    "task.created",
    "task.completed",
    "task.reopened",
    "task.updated",
    "task.deleted",
)
ACCEPTED, REFUSED, UNKNOWN, REJECTED = "accepted", "refused", "unknown", "rejected"
KEEP_TASKS = 6  # a writer's; above it deletes, below it creates
REPEATS = 40  # of a POST without a sure answer


@dataclass
class Write:
    event: str
    user: int
    task: int = None
    outcome: str = UNKNOWN
    status: int = 0
    answer: dict = None
    request_ids: list = field(default_factory=list)
    seconds: float = 0.0
    answered: float = 0.0  # time.time()
    excused: bool = False  # rejected, as could be expected
    bare: int = 0  # times it was refused without being told when to come back


def outcome_of(status):
    """What a client may conclude. 500, 502 and 504 leave it open whether the request had an effect."""
    if 200 <= status < 300:
        return ACCEPTED
    if status in (429, 503):
        return REFUSED
    return UNKNOWN if status >= 500 else REJECTED


class Pace:
    """Gives times at a steady rate; late ones are not made up for."""

    def __init__(self, rate):
        self._gap, self._next = 1 / rate, 0.0

    async def turn(self):
        now = asyncio.get_running_loop().time()
        self._next = max(self._next + self._gap, now)
        await asyncio.sleep(self._next - now)


class Writer:
    def __init__(self, name, endpoint, users, pace, seed):
        self.name, self._users, self._pace = name, users, pace
        self._connection = Connection(*endpoint)
        self._chance = random.Random(f"writer {seed} {name}")
        # Some users get much more than others.
        self._weights = [1 / (1 + position % 20) for position in range(len(users))]
        self._tasks = {}  # id -> user
        self._doubtful = set()  # tasks that may be deleted
        self._attempts = 0
        self.writes = []
        self.stopping = False

    async def run(self):
        while not self.stopping:
            await self._pace.turn()
            await self._one()
        self._connection.close()

    async def _one(self):
        choice = self._chance.random()
        if not self._tasks or (choice < 0.12 and len(self._tasks) < KEEP_TASKS):
            await self._create()
        elif choice > 0.9 and len(self._tasks) > 2:
            await self._delete()
        else:
            await self._change()

    async def _send(self, write, method, path, body=None, headers=()):
        self._attempts += 1
        write.request_ids.append(f"{self.name}-{self._attempts}")
        began = asyncio.get_running_loop().time()
        doubt = write.outcome == UNKNOWN and len(write.request_ids) > 1  # an earlier attempt may have done it
        try:
            answer = await self._connection.call(
                method, path, body, [("X-Request-Id", write.request_ids[-1]), *headers]
            )
            write.status, write.outcome = answer.status, outcome_of(answer.status)
            if write.outcome == REFUSED and "retry-after" not in answer.headers:
                write.bare += 1
            if doubt and write.outcome == REFUSED:
                write.outcome = UNKNOWN
            if write.outcome == ACCEPTED and answer.body:
                write.answer = answer.json()
        except FAILURES:
            write.status, write.outcome = 0, UNKNOWN
        write.answered = time.time()
        write.seconds = max(write.seconds, asyncio.get_running_loop().time() - began)
        if write.outcome in (REFUSED, UNKNOWN):
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))

    async def _create(self):
        """With a key, repeated until the answer is sure: that is what the key is for."""
        write = Write(CREATE, self._chance.choices(self._users, self._weights)[0])
        self.writes.append(write)
        body = {"user_id": write.user, "content": f"créé par {self.name}, {self._attempts}"}
        key = [("Idempotency-Key", f"{self.name}-{self._attempts}")]
        for _ in range(REPEATS):
            await self._send(write, "POST", "/tasks", body, key)
            if write.outcome not in (REFUSED, UNKNOWN):
                break
        if write.outcome == ACCEPTED:
            write.task = write.answer["id"]
            self._tasks[write.task] = write.user

    async def _change(self):
        task = self._chance.choice(list(self._tasks))
        event = self._chance.choice((COMPLETE, COMPLETE, REOPEN, UPDATE))
        body = {"status": 1} if event == COMPLETE else {"status": 0}
        if event == UPDATE:
            body = {"content": f"changé par {self.name}, {self._attempts}"}
        await self._existing(Write(event, self._tasks[task], task), "PATCH", body)

    async def _delete(self):
        task = self._chance.choice(list(self._tasks))
        write = Write(DELETE, self._tasks[task], task)
        await self._existing(write, "DELETE")
        if write.outcome == ACCEPTED:
            self._tasks.pop(task, None)
        elif write.outcome == UNKNOWN:
            self._doubtful.add(task)

    async def _existing(self, write, method, body=None):
        self.writes.append(write)
        await self._send(write, method, f"/tasks/{write.task}", body)
        if write.status == 404 and write.task in self._doubtful:
            write.excused = True  # so it had been deleted
            self._tasks.pop(write.task, None)
