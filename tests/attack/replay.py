# SPDX-License-Identifier: MIT
"""Subscribers that ask for the whole replay, again and again: some read it, some do not."""

import json
import threading
import time

from lib.load import Load
from lib.ws import OP_CLOSE, OP_TEXT, RawWebSocket, close_code

READERS, DEAF = 8, 8
ANSWER = b'{"type":"subscribe"'


class Greedy(threading.Thread):
    def __init__(self, ground, judge, lock, question, reads, end):
        super().__init__(daemon=True)
        self.ground, self.judge, self.lock, self.reads, self.end = ground, judge, lock, reads, end
        self.question, self.replayed = question, 0

    def happened(self, what):
        with self.lock:
            self.judge.happened(what)

    def wants_more(self):
        """One that reads has at least one whole replay, however slow the machine is."""
        return time.monotonic() < self.end + (60 if self.reads and not self.replayed else 0)

    def run(self):
        while self.wants_more():
            try:
                socket = RawWebSocket(self.ground.stack.ws)
                try:
                    self.read(socket) if self.reads else self.ignore(socket)
                finally:
                    socket.close()
            except (OSError, EOFError, AssertionError) as error:
                self.happened(type(error).__name__)

    def read(self, socket):
        """One after the other, each to its end."""
        while self.wants_more():
            socket.send_frame(OP_TEXT, self.question)
            self.happened("replays")
            wanted, got = None, 0
            while wanted is None or got < wanted:
                opcode, payload = socket.recv_frame(30)
                if opcode == OP_CLOSE:
                    self.happened(f"closed {close_code(payload)[0]}")
                    return
                if opcode == OP_TEXT and payload.startswith(ANSWER):
                    if b'"recovered":true' not in payload:
                        self.happened("not recovered")
                        return
                    wanted = json.loads(payload)["replayed"]
                elif opcode == OP_TEXT and wanted is not None and payload.startswith(b'{"type":"notification"'):
                    got += 1
            self.replayed = max(self.replayed, got)

    def ignore(self, socket):
        """Many at once, and none is read."""
        for _ in range(100):
            socket.send_frame(OP_TEXT, self.question)
            self.happened("unread replays")
        time.sleep(min(1.0, max(0.0, self.end - time.monotonic())))


def run(ground, judge):
    user, _ = ground.prey()
    tasks = ground.stack.new_tasks([user] * 8)
    load = Load(ground.stack.http, lambda n: ("PATCH", f"/tasks/{tasks[n % 8]}", {"content": f"n{n}"}), 3000, ground.count)
    load.start().finish(600).assert_none_failed()
    ground.stack.outbox_empty(60)
    question = b'{"type":"subscribe","user_id":%d,"since":"%s:0"}' % (user, ground.stack.epoch().encode())
    end = time.monotonic() + (2 if ground.short else 40)
    lock = threading.Lock()
    greedy = [Greedy(ground, judge, lock, question, n < READERS, end) for n in range(READERS + DEAF)]
    for one in greedy:
        one.start()
    for one in greedy:
        one.join(120)
    judge.check(not any(one.is_alive() for one in greedy), "a replay does not end")
    largest = max(one.replayed for one in greedy)
    judge.check(largest >= ground.count, f"the largest replay had {largest} of {ground.count} events")
    ground.note(f"{largest:,} events each")
