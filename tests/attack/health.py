# SPDX-License-Identifier: MIT
"""What must hold after an attack: everything answers, an event still arrives, no process died, and memory,
descriptors and connections are as before."""

from concurrent.futures import ThreadPoolExecutor

from lib import leftovers, proc
from lib.load import Load
from lib.wait import Late, eventually

LIMIT_S = 120
LONGEST_LIST = 200
CLIENTS = 320  # a few more than all workers have threads


class Health:
    def __init__(self, ground):
        self.ground, self.stack = ground, ground.stack
        self.ports = [self.stack.port("NOTIFIER_PORT")]
        self.warm_up()
        self.before = self.last = leftovers.take(self.stack, self.ports)
        self.pids = self._pids()
        self.marks = self.stack.log_marks()

    def warm_up(self):
        """Has every worker serve as much at the same time as it can, so that its connections and what its threads keep exist
        before they are counted."""
        load = Load(self.stack.http, lambda index: ("GET", "/readyz", None), 400, total=400)
        load.start().finish().assert_none_failed()
        user, _ = self.ground.prey()
        self.stack.new_tasks([user] * LONGEST_LIST)
        with ThreadPoolExecutor(CLIENTS) as pool:
            for status in pool.map(lambda _: self._longest_lists(user), range(CLIENTS)):
                assert status == {200}, status
        self.alive()

    def _longest_lists(self, user):
        client, headers = self.stack.client(), self.ground.bearer(user)
        path = f"/tasks?user_id={user}&limit={LONGEST_LIST}"
        return {client.get(path, headers=headers).status for _ in range(4)}

    def _pids(self):
        return self.stack.pids(), sorted(worker.pid for worker in self.stack.workers())

    def alive(self):
        self.stack.ready(LIMIT_S)
        client = self.stack.client()
        assert client.get("/healthz").status == 200
        user, _ = self.ground.prey()
        headers = self.ground.bearer(user)
        socket = self.stack.socket()
        try:
            socket.subscribe(user, **self.ground.token(user))
            made = client.post("/tasks", {"user_id": user, "content": "x"}, headers=headers)
            assert made.status == 201, made
            task = made.json()["id"]
            assert socket.notification()["event"] == "task.created"
            answer = client.patch(f"/tasks/{task}", {"status": 1}, headers=headers)
            assert answer.status == 200, answer
            assert socket.notification()["event"] == "task.completed"
        finally:
            socket.close()

    def _is_alive(self):
        try:
            self.alive()
        except OSError as error:
            raise AssertionError(repr(error)) from None
        return True

    def problems(self):
        """Lines about failed conditions. Waits for connections that are closing."""
        try:
            eventually(self._is_alive, LIMIT_S, "the service is healthy", interval=1)
            self.stack.outbox_empty(LIMIT_S)
        except (Late, OSError) as error:
            yield f"not healthy: {error}"
            return
        self.last, left = leftovers.settle(self.stack, self.ports, self.before, LIMIT_S, self.ground.held)
        yield from (f"left behind: {line}" for line in left)
        pids = self._pids()
        if pids != self.pids:
            yield f"a process ended: {self.pids} before, {pids} after"
            self.pids = pids
        for line in leftovers.complaints(self.stack) + self.stack.refusals():
            yield f"in a log: {line[:300]}"

    def memory(self):
        """Memory of the largest process of each kind, MiB: at the beginning and now."""
        names = (("fcgi-api", "worker"), ("ws-notifier", "notifier"), ("nginx", "nginx"))
        mib = lambda snapshot, name: round(snapshot.memory_kb.get(name, 0) / 1024)
        return ", ".join(f"{word} {mib(self.before, name)}→{mib(self.last, name)}" for name, word in names)

    def still_running(self):
        return proc.of_stack(self.stack.run_dir)
