# SPDX-License-Identifier: MIT
"""Neither program grows: 50,000 requests, 15,000 connects and disconnects at least.

Warm-up first (allocators and the notifier's ring, bounded here to 2 MB, fill up), then the same again; what is compared
is after and before. A leak adds to every round. A moment that was fuller than any before adds once, and on a busy
machine it may come late: so a round that added something is followed by others, until one adds next to nothing."""

import asyncio
import itertools
import re
import subprocess

import pytest
import websockets

from lib.wait import eventually

pytestmark = [pytest.mark.long]

WRK = """
local tasks = {TASKS}
local n = 0
wrk.headers["Content-Type"] = "application/json"
request = function()
  n = n + 1
  local task = tasks[n % #tasks + 1]
  local kind = n % 20
  if kind == 0 then return wrk.format("PATCH", "/tasks/" .. task, nil, '{"status":1}') end
  if kind == 1 then return wrk.format("PATCH", "/tasks/" .. task, nil, '{"content":"n' .. n .. '"}') end
  if kind == 2 then return wrk.format("POST", "/tasks", {["Idempotency-Key"] = "KEY" .. n}, '{"user_id":USER,"content":"x"}') end
  if kind == 3 then return wrk.format("GET", "/tasks?user_id=USER&limit=10") end
  if kind == 4 then return wrk.format("GET", "/users/USER/events?since=EPOCH:0&limit=10") end
  if kind == 5 then return wrk.format("GET", "/users") end
  if kind == 6 then return wrk.format("PATCH", "/tasks/" .. task, nil, '{"status":') end
  if kind == 7 then return wrk.format("PATCH", "/tasks/" .. task, nil, '{"status":7,"x":1}') end
  if kind == 8 then return wrk.format("GET", "/tasks/999999999") end
  if kind == 9 then return wrk.format("PUT", "/tasks/1") end
  if kind == 10 then return wrk.format("GET", "/metrics") end
  return wrk.format("GET", "/tasks/" .. task)
end
"""


def bombard(stack, tmp_path, users, tasks, wanted, tag):
    """At least `wanted` requests of every kind the API knows."""
    script = tmp_path / "mix.lua"
    text = WRK.replace("TASKS", ",".join(map(str, tasks))).replace("USER", str(users[0]))
    script.write_text(text.replace("EPOCH", stack.epoch()).replace("KEY", tag))
    done, rounds = 0, 0
    while done < wanted:
        rounds += 1
        output = subprocess.run(
            ["wrk", "-t2", "-c16", "-d2s", "--timeout", "10s", "-s", script, stack.http],
            capture_output=True, text=True, timeout=180,
        ).stdout  # fmt: skip
        found = re.search(r"(\d+) requests in", output)
        assert found, output
        done += int(found[1])
        assert "Socket errors" not in output or re.search(r"connect 0, read 0, write 0", output), output
        assert rounds < 200, f"only {done} requests in {rounds} rounds: {output}"
    return done


def settles(play, complaint, calm=1, rounds=6):
    """play() is a round and returns what there is after it; complaint(before, after) says what has grown, if anything.
    Over when nothing has in `calm` rounds on end."""
    before, quiet, said = play(), 0, []
    for _ in range(rounds):
        after = play()
        grown = complaint(before, after)
        said += [grown] if grown else []
        quiet = 0 if grown else quiet + 1
        if quiet == calm:
            return
        before = after
    raise AssertionError("; ".join(said))


def test_workers_do_not_grow(small_stack, tmp_path):
    """In rounds of 25,000 requests; the first ones fill buffers and the ring."""
    stack = small_stack
    users = stack.new_users(4)
    tasks = stack.new_tasks(users * 5)
    notifier = stack.notifier()
    number = itertools.count()

    def play(wanted=25_000):
        done = bombard(stack, tmp_path, users, tasks, wanted, f"r{next(number)}-")
        stack.outbox_empty(180)
        workers = {worker.pid: (worker.resident_kb(), worker.descriptors()) for worker in stack.workers()}
        print(f"{done} requests: workers {workers} (KiB, descriptors), notifier {notifier.resident_kb()} KiB")
        return workers, notifier.resident_kb()

    def complaint(before, after):
        assert after[0].keys() == before[0].keys(), "a worker ended meanwhile"
        for pid, (resident, descriptors) in after[0].items():
            if resident - before[0][pid][0] >= 64:
                return f"worker {pid} grew from {before[0][pid][0]} to {resident} KiB"
            if descriptors > before[0][pid][1] + 1:
                return f"worker {pid} holds more descriptors: {descriptors}"
        return after[1] - before[1] >= 128 and f"the notifier grew from {before[1]} to {after[1]} KiB"

    play(10_000)
    settles(play, complaint)


async def come_and_go(url, users, count, width=100):
    async def one(number):
        async with websockets.connect(url, ping_interval=None, compression=None, open_timeout=60) as socket:
            await socket.send(f'{{"type":"subscribe","user_id":{users[number % len(users)]}}}')
            await socket.recv()
            if number % 3 == 0:
                socket.transport.abort()  # some leave without a close frame
            elif number % 3 == 1:
                await socket.send(f'{{"type":"unsubscribe","user_id":{users[number % len(users)]}}}')
                await socket.recv()

    for start in range(0, count, width):
        results = await asyncio.gather(*(one(start + n) for n in range(width)), return_exceptions=True)
        bad = [r for r in results if isinstance(r, Exception) and not isinstance(r, websockets.ConnectionClosed)]
        assert not bad, bad[:3]


def test_notifier_does_not_grow(small_stack):
    stack = small_stack
    users = stack.new_users(50)
    notifier = stack.notifier()
    asyncio.run(come_and_go(stack.ws, users, 2_000))
    descriptors = notifier.descriptors()

    def play():
        asyncio.run(come_and_go(stack.ws, users, 5_000))
        eventually(lambda: notifier.descriptors() <= descriptors + 2, 60, "all sockets are closed")
        print(f"5,000 connects: notifier {notifier.resident_kb()} KiB")
        return notifier.resident_kb()

    def complaint(before, after):
        return after - before >= 64 and f"the notifier grew from {before} to {after} KiB"

    settles(play, complaint, calm=2)  # one round may fill holes that others left, and hide a small leak
    assert stack.notifier().pid == notifier.pid
