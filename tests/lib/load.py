# SPDX-License-Identifier: MIT
"""Requests at a steady rate, over kept connections, on a thread of its own."""

import asyncio
import json
import threading
import time
import urllib.parse
from dataclasses import dataclass

REFUSALS = 30  # of one request


@dataclass
class Result:
    index: int
    status: int  # 0: no answer
    started: float
    seconds: float
    body: bytes = b""
    error: str = ""
    retry_after: float = None  # of a refusal


async def _read_response(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b""
    if status not in (204, 304):
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
                body += (await reader.readexactly(size + 2))[:-2]
                if size == 0:
                    break
        else:
            body = await reader.read()
            headers["connection"] = "close"
    return status, headers, body


class _Line:
    """A connection that is made when it is needed, and kept while it can be."""

    def __init__(self, host, port, timeout):
        self._host, self._port, self._timeout = host, port, timeout
        self._reader = self._writer = None

    async def ask(self, index, method, path, data, keep_body):
        body = b"" if data is None else json.dumps(data, separators=(",", ":")).encode()
        result = Result(index, 0, time.monotonic(), 0.0)
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.wait_for(asyncio.open_connection(self._host, self._port), self._timeout)
            self._writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            result.status, headers, answer = await asyncio.wait_for(_read_response(self._reader), self._timeout)
            if result.status == 503 and "retry-after" in headers:
                result.retry_after = float(headers["retry-after"])
            if keep_body or result.status >= 400:
                result.body = answer
            if headers.get("connection", "").lower() == "close":
                self.close()
        except (OSError, EOFError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            result.error = f"{type(error).__name__}: {error}"
            self.close()
        result.seconds = time.monotonic() - result.started
        return result

    def close(self):
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None


class Load:
    """Sends request(index) -> (method, path, dict or None) for index 0, 1, 2, ... at `rate` a second.

    A request waits for a free connection of the `connections` there are; one that fails before any
    byte of an answer on a connection that was kept idle is what the HTTP rules let a client repeat,
    but here it is not repeated: it counts as failed, so that every refusal shows.

    With `patient` a request that is refused with 503, so before it had an effect, is sent again as its Retry-After says:
    for what is about something else, on a machine that may stand still for longer than the service waits for its
    database."""

    def __init__(self, base, request, rate, total=None, connections=16, timeout=60, keep_bodies=False, patient=False):
        parts = urllib.parse.urlsplit(base)
        self.host, self.port = parts.hostname, parts.port or 80
        self.request, self.rate, self.total, self.timeout = request, rate, total, timeout
        self.connections, self.keep_bodies, self.patient = connections, keep_bodies, patient
        self.results = []
        self._stop = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._main, name="load", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def _main(self):
        try:
            asyncio.run(self._run())
        except BaseException as error:  # handed to finish()
            self._error = error

    async def _run(self):
        turns = asyncio.Queue(maxsize=max(self.connections * 4, int(self.rate)))
        workers = [asyncio.create_task(self._connection(turns)) for _ in range(self.connections)]
        begin = time.monotonic()
        index = 0
        while not self._stop.is_set() and (self.total is None or index < self.total):
            due = begin + index / self.rate
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(min(pause, 0.1))
                if pause > 0.1:
                    continue
            await turns.put(index)
            index += 1
        for _ in workers:
            await turns.put(None)
        await asyncio.gather(*workers)

    async def _connection(self, turns):
        line = _Line(self.host, self.port, self.timeout)
        while (index := await turns.get()) is not None:
            method, path, data = self.request(index)
            for _ in range(REFUSALS):
                result = await line.ask(index, method, path, data, self.keep_bodies)
                if not self.patient or result.retry_after is None:
                    break
                await asyncio.sleep(result.retry_after)
            self.results.append(result)
        line.close()

    def stop(self):
        self._stop.set()
        return self.finish()

    def finish(self, timeout=600):
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "the load does not end"
        if self._error:
            raise self._error
        return self

    @property
    def accepted(self):
        return [r for r in list(self.results) if 200 <= r.status < 300]

    @property
    def failed(self):
        return [r for r in list(self.results) if not 200 <= r.status < 300]

    def assert_none_failed(self):
        failed = self.failed
        kinds = {}
        for result in failed:
            key = result.status or result.error
            kinds[key] = kinds.get(key, 0) + 1
        assert not failed, f"{len(failed)} of {len(self.results)} requests failed: {kinds}; first: {failed[:3]}"

    def slowest(self):
        return max(r.seconds for r in self.results)
