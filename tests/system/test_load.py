# SPDX-License-Identifier: MIT
"""200 browsers over 100 users, 5,000 PATCHes at 300 a second: each of them hears each of its user's events once, in
order; and the database and the stream hold as many events as there were answers."""

import collections
import json

import pytest

from lib.amqp import first_appearances
from lib.load import Load

USERS, CLIENTS, PATCHES, RATE = 100, 200, 5000, 300


@pytest.mark.long
def test_200_clients_5000_patches(stack, record_property):
    users = stack.new_users(USERS)
    tasks = stack.new_tasks(users)
    owner = dict(zip(tasks, users))
    clients = [(users[number % USERS], stack.socket()) for number in range(CLIENTS)]
    try:
        for user, client in clients:
            client.subscribe(user)

        # A stride prime to the number of users: neighbouring requests concern different users, and still
        # each user's come close enough together to overtake each other if anything let them.
        def request(index):
            return "PATCH", f"/tasks/{tasks[index * 7 % USERS]}", {"status": index % 2}

        load = Load(stack.http, request, RATE, total=PATCHES, connections=40, keep_bodies=True).start().finish()
        load.assert_none_failed()
        assert len(load.accepted) == PATCHES
        first, last = min(r.started for r in load.results), max(r.started for r in load.results)
        rate = PATCHES / (last - first)

        answered = collections.Counter(owner[json.loads(result.body)["id"]] for result in load.results)
        assert answered == {user: PATCHES // USERS for user in users}

        stack.outbox_empty()
        journal = {user: stack.journal(user) for user in users[:10]}
        counted = stack.sql_number(f"SELECT COUNT(*) FROM events WHERE user_id IN ({','.join(map(str, users))})")
        assert counted == PATCHES

        epoch = stack.epoch()
        for user, client in clients:
            frames = [client.notification(60) for _ in range(answered[user])]
            assert [frame["cursor"] for frame in frames] == [f"{epoch}:{seq}" for seq in range(1, answered[user] + 1)]
            assert {frame["task"]["user_id"] for frame in frames} == {user}
            if user in journal:
                texts = [text for text in client.texts if text.startswith('{"type":"notification"')]
                assert texts == [payload for _, _, payload in journal[user]]
            client.nothing_before_answer()

        reader = stack.stream()
        reader.sync()
        ours = [message for message in reader.events() if message.user in answered]
        reader.close()
        kept = first_appearances(ours)
        assert kept == {user: list(range(1, count + 1)) for user, count in answered.items()}

        times = sorted(result.seconds for result in load.results)
        record_property("rate", f"{rate:.0f}/s")
        print(
            f"{PATCHES} PATCHes at {rate:.0f}/s: p50 {times[len(times) // 2] * 1000:.1f} ms,"
            f" p99 {times[len(times) * 99 // 100] * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms;"
            f" {CLIENTS * PATCHES // USERS} notifications; {len(ours)} messages in the stream"
        )
    finally:
        for _, client in clients:
            client.close()
