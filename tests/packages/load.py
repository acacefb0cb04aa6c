# SPDX-License-Identifier: MIT
"""Writes for a user and listens for the same user, until the file STOP is there; then judges.

    load.py URL USER STOP [TOKEN PAUSE]

No request may fail, and each accepted write is heard: once, in order, without a gap, whatever was restarted
meanwhile. Prints figures; the exit status is 1 when something is wrong.

PAUSE is what each of four writers waits after two writes, in seconds."""

import asyncio
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

import websockets

URL, USER, STOP = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TOKEN, PAUSE_S = (sys.argv[4], float(sys.argv[5])) if len(sys.argv) > 4 else (None, 0.02)
WRITERS, HEAR_S = 4, 60
failures, written, slowest = [], [], [0.0]


def call(method, path, body):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {TOKEN}"} if TOKEN else {})
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers, method=method)
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError) as error:
        failures.append(f"{method} {path}: {error} after {time.monotonic() - began:.2f} s")
    finally:
        slowest[0] = max(slowest[0], time.monotonic() - began)
    return None


def write():
    while not os.path.exists(STOP):
        task = call("POST", "/tasks", {"user_id": USER, "content": "under load"})
        if task:
            written.append(("task.created", task["id"]))
            if call("PATCH", f"/tasks/{task['id']}", {"status": 1}):
                written.append(("task.completed", task["id"]))
        time.sleep(PAUSE_S)


class Listener:
    def __init__(self):
        self.cursor, self.heard, self.wrong, self.connections = None, [], [], 0

    async def listen(self):
        while True:
            try:
                async with websockets.connect(URL.replace("http", "ws", 1) + "/ws") as socket:
                    self.connections += 1
                    subscribe = {"type": "subscribe", "user_id": USER, "since": self.cursor}
                    await socket.send(json.dumps(subscribe | ({"token": TOKEN} if TOKEN else {})))
                    async for text in socket:
                        self.take(json.loads(text))
            except (websockets.exceptions.WebSocketException, OSError, EOFError, asyncio.TimeoutError):
                await asyncio.sleep(0.1)

    def take(self, frame):
        if frame["type"] == "reset" or frame.get("recovered") is False and self.cursor:
            self.wrong.append(json.dumps(frame))
        elif frame["type"] == "notification":
            self.heard.append((frame["event"], frame["task"]["id"], int(frame["cursor"].split(":")[1])))
        self.cursor = frame.get("cursor", self.cursor)

    def judge(self):
        numbers = [number for *_, number in self.heard]
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            self.wrong.append("out of order, twice, or with a gap")
        known = [(event, task) for event, task, _ in self.heard]
        missing = set(written) - set(known)
        if missing:
            self.wrong.append(f"{len(missing)} of {len(written)} events were not heard: {sorted(missing)[:5]}")
        return self.wrong


async def main():
    listener = Listener()
    listening = asyncio.create_task(listener.listen())
    while listener.cursor is None:
        await asyncio.sleep(0.05)
    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    print("begun", flush=True)
    while any(writer.is_alive() for writer in writers):
        await asyncio.sleep(0.05)
    deadline = time.monotonic() + HEAR_S
    while time.monotonic() < deadline and not set(written) <= {(event, task) for event, task, _ in listener.heard}:
        await asyncio.sleep(0.1)
    listening.cancel()
    wrong = listener.judge() + failures[:10]
    print(f"{len(written)} writes, {len(failures)} failed, slowest {slowest[0]:.2f} s; {len(listener.heard)} events heard in {listener.connections} connections")
    print(*wrong, sep="\n")
    return 1 if wrong or not written else 0


sys.exit(asyncio.run(main()))
