# SPDX-License-Identifier: MIT
"""Finds out whether the service answers and events flow: changes a task of a user of its own all the time through
nginx, and hears that user at every entrance. Also keeps reading the outbox.

The service has recovered from what happened at t0 when a change that was sent after t0 has been accepted and
heard at every entrance, and no row that was in the outbox at t0 is still there."""

import asyncio
import json
import time
from dataclasses import dataclass, field

import pymysql
import websockets

from .http import FAILURES, Connection

GAP_S = 0.1
LOOKS_S = 0.15
CHANGES = 2000


@dataclass
class Change:
    sent: float
    accepted: bool = False
    heard: dict = field(default_factory=dict)  # door -> when

    @property
    def content(self):
        return f"probe {self.sent!r}"


async def end(tasks):
    """What each ended with. More than once: asyncio.wait_for() may keep a cancellation to itself (until Python 3.12)."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=5)
    return await asyncio.gather(*tasks, return_exceptions=True)


class Probe:
    def __init__(self, stack, task, user, doors, http, database):
        self._task, self._user, self._doors, self._http = task, user, doors, http
        self._database = database
        database.patience = 2  # it is struck, too
        self._changes = {}  # what each wrote, the last CHANGES of them in order -> Change
        self._oldest = []  # (when looked, creation time of the oldest row in the outbox or None)
        self._tasks = []

    def start(self):
        self._tasks = [asyncio.create_task(self._change()), asyncio.create_task(self._look())]
        self._tasks += [asyncio.create_task(self._hear(door, url)) for door, url in self._doors.items()]

    async def stop(self):
        await end(self._tasks)
        self._tasks = []
        self._database.close()

    # -- what it does all the time

    async def _change(self):
        pending = set()
        while True:
            change = Change(time.time())
            self._changes[change.content] = change
            if len(self._changes) > CHANGES:
                del self._changes[next(iter(self._changes))]
            request = asyncio.create_task(self._send(change))
            pending.add(request)
            request.add_done_callback(pending.discard)
            # One change at a time while all is well; a second one when it takes long.
            await asyncio.wait(pending, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(GAP_S)

    async def _send(self, change):
        connection = Connection(*self._http)
        try:
            answer = await connection.call("PATCH", f"/tasks/{self._task}", {"content": change.content}, timeout=5)
            change.accepted = answer.accepted
        except FAILURES:
            pass
        finally:
            connection.close()

    async def _hear(self, door, url):
        while True:
            try:
                async with websockets.connect(url, ping_interval=None, compression=None, open_timeout=3, close_timeout=0.2) as visit:
                    await visit.send(json.dumps({"type": "subscribe", "user_id": self._user, "since": None}))
                    async for text in visit:
                        self._heard(door, text)
            except (websockets.WebSocketException, OSError, EOFError, asyncio.TimeoutError):
                await asyncio.sleep(0.05)

    def _heard(self, door, text):
        frame = json.loads(text)
        if frame.get("type") != "notification":
            return
        change = self._changes.get(frame["task"]["content"])
        if change:
            change.heard.setdefault(door, time.time())

    async def _look(self):
        while True:
            began = time.time()
            try:
                oldest = await asyncio.get_running_loop().run_in_executor(None, self._database.oldest_in_outbox)
                self._oldest.append((began, oldest))
                del self._oldest[:-200]
            except (pymysql.Error, OSError):
                self._database.close()
            await asyncio.sleep(LOOKS_S)

    # -- what it is asked

    def _flows_since(self, t0):
        for change in self._changes.values():
            if change.sent >= t0 and change.accepted and len(change.heard) == len(self._doors):
                return max(change.heard.values())
        return None

    def _outbox_clean_since(self, t0):
        for looked, oldest in self._oldest:
            if looked >= t0 and (oldest is None or oldest > t0):
                return looked
        return None

    async def recovered(self, t0, whole, limit):
        """Seconds from t0 until all is well again; None when that takes longer than `limit`. `whole` tells
        whether the part itself is complete."""
        complete = None
        while time.time() - t0 < limit:
            if complete is None and whole():
                complete = time.time()
            flows, clean = self._flows_since(t0), self._outbox_clean_since(t0)
            if complete is not None and flows is not None and clean is not None:
                return max(complete, flows, clean) - t0
            await asyncio.sleep(0.05)
        return None
