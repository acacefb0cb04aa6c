# SPDX-License-Identifier: MIT
"""Listeners: browsers of many kinds, each with a Reader for every user it hears.

    steady      stays as long as it can
    wandering   leaves, with or without a word, and comes back to any notifier with its cursors
    slow        reads in fits, through a small socket
    plain       subscribes as the original does, without a cursor
    sse         Server-Sent Events, as EventSource: goes on from the last id
"""

import asyncio
import json
import random
import socket
import urllib.parse

import websockets

from lib.ws import ACCEPTED

from .http import FAILURES, Connection
from .reader import Reader

STEADY, WANDERING, SLOW, PLAIN, SSE = "steady", "wandering", "slow", "plain", "sse"
SILENCE_S = 20  # heartbeats come every few seconds in the drill
CLOSED = (websockets.ConnectionClosed, websockets.InvalidHandshake, OSError, EOFError, asyncio.TimeoutError)


class Listener:
    def __init__(self, name, kind, users, routes, http, seed):
        self.name, self.kind, self._routes = name, kind, routes
        self._http = Connection(*http)
        self._chance = random.Random(f"listener {seed} {name}")
        self._home = self._chance.choice(list(routes))
        self.readers = {user: Reader(f"{name} ({kind})", user, kind == PLAIN) for user in users}
        self.connects = self.frames = 0
        self.closes = {}  # code -> count
        self.stay = False  # towards the end no listener moves any more
        self._blind = kind == STEADY and self._chance.random() < 0.3  # begins with since:null

    async def run(self):
        """Visits until cancelled. Pauses grow while visits are short: refused, or told to read everything again."""
        pause = 0.1
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._reload_where_needed()
                await self._one_visit()
            except CLOSED + FAILURES:
                pass
            finally:
                self._http.close()
            lasted = asyncio.get_running_loop().time() - began
            pause = 0.1 if lasted > 2 else min(pause * 2, 2.0)
            away = self._chance.uniform(0.5, 15) if self._wanders() else pause
            await asyncio.sleep(away * self._chance.uniform(0.5, 1))

    def _wanders(self):
        return self.kind == WANDERING and not self.stay

    async def _reload_where_needed(self):
        """GET /tasks?user_id=: what a page does at first, and after a reset."""
        for reader in self.readers.values():
            first = reader.cursor is None and not reader.plain and not self._blind
            if not (reader.needs_reload or first):
                continue
            answer = await self._http.call("GET", f"/tasks?user_id={reader.user}&limit=1", timeout=5)
            if not answer.accepted:
                raise OSError(f"{answer.status}")
            reader.reloaded(answer.headers["event-cursor"])

    async def _open(self):
        route = self._chance.choice(list(self._routes)) if self.kind == WANDERING else self._home
        url, options = self._routes[route], {}
        if self.kind == SLOW:
            parts = urllib.parse.urlsplit(url)
            options["sock"] = small = socket.socket()
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            small.setblocking(False)
            await asyncio.wait_for(asyncio.get_running_loop().sock_connect(small, (parts.hostname, parts.port)), 5)
            options["max_queue"] = 4
            if "read_limit" in ACCEPTED:  # of websockets before 14
                options["read_limit"] = 4096
        return await websockets.connect(
            url, ping_interval=None, compression=None, open_timeout=10, close_timeout=1, max_size=None, **options
        )

    async def _one_visit(self):
        visit = await self._open()
        self.connects += 1
        try:
            for reader in self.readers.values():
                await visit.send(json.dumps(reader.subscription()))
            await self._listen(visit)
            if self._chance.random() < 0.5:
                visit.transport.abort()  # leaves without a close frame
        except websockets.ConnectionClosed:
            code = visit.close_code or 1006
            self.closes[code] = self.closes.get(code, 0) + 1
            raise
        finally:
            await visit.close()

    async def _listen(self, visit):
        now = asyncio.get_running_loop().time
        leave_at = now() + self._chance.uniform(1, 15)
        while not (self._wanders() and now() > leave_at):
            if any(reader.needs_reload for reader in self.readers.values()):
                return
            if self.kind == SLOW and self._chance.random() < 0.02 and not self.stay:
                await asyncio.sleep(self._chance.uniform(1, 6))
            try:
                text = await asyncio.wait_for(visit.recv(), 1 if self._wanders() else SILENCE_S)
            except asyncio.TimeoutError:
                if self._wanders() or self.kind == PLAIN:
                    continue
                raise OSError("silence") from None
            self._take(text)

    def _take(self, text):
        self.frames += 1
        frame = json.loads(text)
        user = (frame.get("task") or frame).get("user_id")
        if user in self.readers:
            self.readers[user].take(text)
        else:
            next(iter(self.readers.values())).violation(f"a frame that is none of its business: {text[:200]}")


class EventSource(Listener):
    """One user, over HTTP. Its place is the last id, of whatever frame."""

    async def _one_visit(self):
        (reader,) = self.readers.values()
        parts = urllib.parse.urlsplit(self._routes[self._chance.choice(list(self._routes))])
        source, sink = await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port), 5)
        try:
            reader.subscription()
            last = f"Last-Event-ID: {reader.cursor}\r\n" if reader.cursor else ""
            sink.write(f"GET /events?user_id={reader.user} HTTP/1.1\r\nHost: {parts.netloc}\r\n{last}\r\n".encode())
            head = await asyncio.wait_for(source.readuntil(b"\r\n\r\n"), SILENCE_S)
            if not head.startswith(b"HTTP/1.1 200"):
                raise OSError(head[:60].decode())
            self.connects += 1
            await self._events(source, reader, b"chunked" in head.lower())
        finally:
            sink.close()

    async def _events(self, source, reader, chunked):
        now = asyncio.get_running_loop().time
        leave_at = now() + self._chance.uniform(2, 20)
        text, cursor = "", None
        async for line in self._lines(source, chunked):
            if line.startswith("data: "):
                text = line[6:]
            elif line.startswith("id: "):
                cursor = line[4:]
            elif not line and text:
                before = reader.cursor
                self._take(text)
                if not reader.needs_reload:
                    reader.cursor = cursor or before
                text, cursor = "", None
            if reader.needs_reload or (now() > leave_at and not self.stay):
                return

    async def _lines(self, source, chunked):
        rest = b""
        while True:
            if chunked:
                size = int(await asyncio.wait_for(source.readuntil(b"\r\n"), SILENCE_S), 16)
                piece = (await source.readexactly(size + 2))[:-2] if size else b""
            else:
                piece = await asyncio.wait_for(source.read(65536), SILENCE_S)
            if not piece:
                raise EOFError
            rest += piece
            while b"\n" in rest:
                line, _, rest = rest.partition(b"\n")
                yield line.decode()


def make(count, users, routes, http, seed):
    """`count` listeners over all users: every user is heard, some by many."""
    chance = random.Random(f"listeners {seed}")
    kinds = [STEADY] * 50 + [WANDERING] * 26 + [SLOW] * 10 + [PLAIN] * 7 + [SSE] * 7
    listeners = []
    for number in range(count):
        kind = kinds[number * 37 % 100]
        heard = [users[number % len(users)]]
        if chance.random() < 0.2 and kind != SSE:
            heard += [user for user in chance.sample(users, 3) if user not in heard]
        listener = EventSource if kind == SSE else Listener
        listeners.append(listener(f"client {number + 1}", kind, heard, routes, http, seed))
    return listeners
