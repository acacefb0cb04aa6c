# SPDX-License-Identifier: MIT
"""SIGTERM under load: a worker, the pool and the notifier stop and come back without a failed request."""

import os
import signal
import time
from contextlib import suppress

import pytest

from lib.load import Load
from lib.wait import eventually
from lib.ws import OP_CLOSE, RawWebSocket

pytestmark = pytest.mark.disturbs


@pytest.fixture
def load(stack):
    """A steady load of PATCHes over ten users, running until the test stops it."""
    users = stack.new_users(10)
    tasks = stack.new_tasks(users)

    def request(index):
        return "PATCH", f"/tasks/{tasks[index % 10]}", {"status": index // 10 % 2}

    running = Load(stack.http, request, rate=150, connections=12)
    running.users = users
    running.start()
    eventually(lambda: len(running.accepted) > 50, 10, "the load runs")
    yield running
    running.stop()


def more(load, count):
    goal = len(load.results) + count
    eventually(lambda: len(load.results) >= goal, 30, "the load goes on")


def all_is_accounted_for(stack, load):
    load.stop()
    load.assert_none_failed()
    events = stack.sql_number(f"SELECT COUNT(*) FROM events WHERE user_id IN ({','.join(map(str, load.users))})")
    assert events == len(load.accepted)
    stack.outbox_empty()


def gone(process):
    """The seconds until it has left: 5 at most, on a machine that has time for it."""
    start = time.monotonic()
    eventually(lambda: not process.alive(), 5, f"{process.name} leaves", interval=0.01)
    return time.monotonic() - start


def test_sigterm_on_each_worker_in_turn(stack, load):
    count = len(stack.workers())
    for worker in stack.workers():
        worker.kill(signal.SIGTERM)
        gone(worker)
        eventually(lambda: len(stack.workers()) == count, 10, "the pool is complete again")
    more(load, 100)
    all_is_accounted_for(stack, load)


def test_rolling_restart_of_the_pool(stack, load):
    """SIGUSR2 on multiwatch restarts its workers in place."""
    old = {worker.pid for worker in stack.workers()}
    stack.signal("fcgi-api", signal.SIGUSR2)
    more(load, 50)
    for worker in list(stack.workers()):
        if worker.pid in old and worker.alive():
            with suppress(ProcessLookupError):
                worker.kill(signal.SIGUSR1)
    eventually(
        lambda: len(stack.workers()) == len(old) and not old & {worker.pid for worker in stack.workers()},
        15,
        "all workers are new ones",
    )
    more(load, 100)
    all_is_accounted_for(stack, load)


def test_sigterm_on_the_pool(stack, load):
    before = stack.part("fcgi-api")
    old = stack.workers()
    stack.signal("fcgi-api", signal.SIGTERM)
    for worker in old:
        gone(worker)
    eventually(lambda: stack.part("fcgi-api").pid not in (None, 0, before.pid), 15, "the pool comes back")
    eventually(lambda: len(stack.workers()) == len(old), 15, "with all its workers")
    more(load, 200)
    all_is_accounted_for(stack, load)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1"])
def test_signals_of_log_rotation_on_the_pool(stack, load, name):
    """It leaves as on SIGTERM and comes back, with the settings and keys of now; no request fails."""
    old = {worker.pid for worker in stack.workers()}
    stack.signal("fcgi-api", getattr(signal, name))
    eventually(lambda: len(stack.workers()) == len(old) and not old & {w.pid for w in stack.workers()}, 15, "a new pool")
    more(load, 100)
    all_is_accounted_for(stack, load)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_signals_of_log_rotation_on_the_notifier(stack, http, sockets, name):
    """It has nothing to reopen: no client notices."""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    socket, notifier = sockets(), stack.notifier()
    socket.subscribe(user)
    notifier.kill(getattr(signal, name))
    assert http.patch(f"/tasks/{task}", {"content": name}).status == 200
    assert socket.notification()["task"]["content"] == name
    assert notifier.alive() and stack.notifier().pid == notifier.pid


def test_worker_killed_at_once(stack, load):
    """kill -9 may cost the requests in progress, nothing else; the worker's events are published all the same."""
    stack.kill_a_worker()
    more(load, 100)
    load.stop()
    assert len(load.failed) <= load.connections, load.failed[:5]
    events = stack.sql_number(f"SELECT COUNT(*) FROM events WHERE user_id IN ({','.join(map(str, load.users))})")
    assert len(load.accepted) <= events <= len(load.results)
    stack.outbox_empty(10)


def test_frozen_worker_holds_up_nobody(stack, load, sockets, http):
    """Any worker, whatever it does for the others, and in the middle of any transaction. (Its own requests wait for it.)"""
    [user] = stack.new_users(1)
    [task] = stack.new_tasks([user])
    socket = sockets()
    socket.subscribe(user)
    others = ",".join(map(str, load.users))
    for number, worker in enumerate(stack.workers()):
        worker.kill(signal.SIGSTOP)
        try:
            before = stack.sql_number(f"SELECT SUM(event_seq) FROM users WHERE id IN ({others})")

            def accepted():
                return http.patch(f"/tasks/{task}", {"content": f"n{number}"}, timeout=20).status == 200

            eventually(accepted, 20, "writes are accepted")
            socket.recv_until(lambda frame: frame.get("task", {}).get("content") == f"n{number}", 20)

            def all_go_on():
                rows = stack.sql(f"SELECT id FROM users WHERE id IN ({others}) AND event_seq <= {before // 10}")
                return not rows

            eventually(all_go_on, 20, "the writes of all are accepted")
        finally:
            worker.kill(signal.SIGCONT)
    load.stop()
    stack.outbox_empty()


def test_pools_parent_killed_leaves_no_orphans(stack, http):
    """Workers must not outlive multiwatch: they would hold the socket and the new pool beside them."""
    old = stack.workers()
    os.kill(stack.part("fcgi-api").pid, signal.SIGKILL)
    for worker in old:
        gone(worker)
    eventually(lambda: len(stack.workers()) == len(old), 20, "a new pool")
    eventually(lambda: http.get("/tasks/1").status == 200, 10)


def test_sigterm_on_the_notifier(stack, load, sockets):
    """Browsers are told 1012 and find it again; requests notice nothing."""
    clients = [sockets() for _ in range(20)]
    for client in clients:
        client.subscribe(load.users[0])
    notifier = stack.notifier()
    notifier.kill(signal.SIGTERM)
    gone(notifier)
    assert {client.wait_closed(5)[0] for client in clients} == {1012}

    def again():
        try:
            return sockets()
        except Exception as error:
            raise AssertionError(repr(error)) from None

    back = eventually(again, 15, "a browser can come back")
    back.subscribe(load.users[0])
    more(load, 50)
    assert back.notification()["task"]["user_id"] == load.users[0]
    all_is_accounted_for(stack, load)
    stack.ready()


def test_who_does_not_answer_delays_no_restart(stack):
    """A client that does not answer a close frame does not delay the end. Were its answer waited for, each end would take
    the 4 s after which the notifier gives up; on a busy machine any one may."""
    taken = []
    while not taken or taken[-1] >= 3:
        assert len(taken) < 5, taken
        silent = RawWebSocket(f"ws://127.0.0.1:{stack.port('NOTIFIER_PORT')}/")
        notifier = stack.notifier()
        notifier.kill(signal.SIGTERM)
        taken.append(gone(notifier))
        assert silent.recv_frame()[0] == OP_CLOSE
        silent.close()
        stack.ready()


def test_notifier_killed_comes_back(stack, http, sockets):
    lost = sockets()
    notifier = stack.notifier()
    notifier.kill(signal.SIGKILL)
    lost.wait_closed(5)

    def again():
        try:
            socket = sockets()
            socket.subscribe(1)
            return socket
        except Exception as error:
            raise AssertionError(repr(error)) from None

    socket = eventually(again, 15, "a browser can come back")
    http.patch("/tasks/1", {"status": 1})
    assert socket.notification()["task"]["id"] == 1
    stack.ready()


def test_nginx_reload(stack, load):
    stack.signal("nginx", signal.SIGHUP)
    more(load, 150)
    load.stop()
    refused = [result for result in load.failed if result.status]
    assert not refused, refused[:3]  # a kept connection that nginx closes while idle is for the client to repeat
    assert len(load.failed) <= load.connections
