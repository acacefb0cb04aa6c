# SPDX-License-Identifier: MIT
"""Ordinary clients while others attack: some read and write, one hears every write. Each must be answered."""

import json
import statistics
import threading
import time

from lib.http import Http
from lib.wait import eventually

RATE, TIMEOUT_S, CLIENTS = 20, 30, 4


class Bystanders:
    def __init__(self, ground):
        self.ground = ground
        self.user, self.task = ground.prey()
        self.headers = ground.bearer(self.user)
        self.seconds, self.failures, self.written = [], [], 0
        self._lock, self._stop, self._next = threading.Lock(), threading.Event(), 0

    def __enter__(self):
        self.socket = self.ground.stack.socket()
        self.socket.subscribe(self.user, **self.ground.token(self.user))
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def _turn(self):
        with self._lock:
            self._next += 1
            return self._next

    def _run(self):
        client = Http(self.ground.stack.http, timeout=TIMEOUT_S)
        while not self._stop.is_set():
            number = self._turn()
            self._stop.wait(max(0, self._began + number / RATE - time.monotonic()))
            self._one(client, number)

    def _one(self, client, number):
        began = time.monotonic()
        try:
            if number % 4 == 0:
                answer = client.patch(f"/tasks/{self.task}", {"content": f"n{number}"}, headers=self.headers)
            elif number % 4 == 1:
                answer = client.get("/index.html")
            else:
                answer = client.get(f"/tasks?user_id={self.user}", headers=self.headers)
            problem = None if answer.status == 200 else f"{answer}"
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
        with self._lock:
            self.seconds.append(time.monotonic() - began)
            if problem:
                self.failures.append(problem)
            elif number % 4 == 0:
                self.written += 1

    def _heard(self):
        return sum(1 for text in list(self.socket.texts) if json.loads(text)["type"] == "notification")

    def __exit__(self, kind, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 5)
        if kind is None:
            eventually(lambda: self._heard() >= self.written, 60, f"the bystander hears of all {self.written} writes")
        self.socket.close()

    def quantile(self, share):
        return statistics.quantiles(self.seconds, n=100)[int(share * 100) - 1] if len(self.seconds) > 1 else 0.0

    def problems(self):
        seqs = [int(frame["cursor"].split(":")[1]) for frame in map(json.loads, self.socket.texts) if frame["type"] == "notification"]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"a bystander heard {seqs[:50]}"
        if self.failures:
            yield f"{len(self.failures)} of {len(self.seconds)} requests of bystanders failed: {self.failures[:3]}"
