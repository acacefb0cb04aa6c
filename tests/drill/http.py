# SPDX-License-Identifier: MIT
"""HTTP/1.1 over one kept connection, without blocking. An answer that does not come is an exception: what
became of the request is then unknown."""

import asyncio
import json
from dataclasses import dataclass

FAILURES = (OSError, EOFError, ValueError, IndexError, asyncio.TimeoutError)


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def accepted(self):
        return 200 <= self.status < 300


class Connection:
    def __init__(self, host, port):
        self._host, self._port = host, port
        self._reader = self._writer = None

    async def call(self, method, path, body=None, headers=(), timeout=15.0):
        """Raises one of FAILURES when there is no answer."""
        try:
            return await asyncio.wait_for(self._call(method, path, body, headers), timeout)
        except BaseException:
            self.close()
            raise

    async def _call(self, method, path, body, headers):
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        data = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}:{self._port}", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        await self._writer.drain()
        return await self._answer()

    async def _answer(self):
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = b""
        if status not in (204, 304):
            body = await self._body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    async def _body(self, headers):
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return body

    def close(self):
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
