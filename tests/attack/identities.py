# SPDX-License-Identifier: MIT
"""Where tokens are wanted: one user tries to reach another's data with the other's Idempotency-Key or cursor."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

from lib.http import once_free
from lib.ws import Closed

from . import seeds
from .mutator import Mutator


class Users:
    """Two users, and an administrator."""

    def __init__(self, ground):
        self.ground, self.client = ground, ground.stack.client()
        (self.mine, _), (self.theirs, _) = ground.prey(), ground.prey()
        self.headers = {user: ground.bearer(user) for user in (self.mine, self.theirs)}
        self.headers["admin"] = ground.bearer(2147483647, scope="tasks:admin")

    def post(self, who, user, content, key):
        """Sent again while the answer is 503: its twin is being written."""
        headers = {**self.headers[who], "Idempotency-Key": key}
        return once_free(lambda: self.client.post("/tasks", {"user_id": user, "content": content}, headers=headers))


def keys(ground, judge):
    """The same key of two users, at once and each twice; then one user's key with the other's id."""
    users = Users(ground)

    def collide(number):
        key = f"{number}-{uuid.uuid4()}"
        with ThreadPoolExecutor(4) as pool:
            asked = [(who, pool.submit(users.post, who, who, "the same", key)) for who in (users.mine, users.theirs) * 2]
            answers = [(who, future.result()) for who, future in asked]
        made = {}
        for who, answer in answers:
            judge.happened(answer.status)
            if judge_created(judge, key, who, answer):
                made.setdefault(who, set()).add(answer.json()["id"])
        judge.check(all(len(ids) == 1 for ids in made.values()), f"{key}: one key made {made}")
        judge.check(len(set().union(*made.values())) == len(made), f"{key}: two users share a task: {made}")
        for who, user, status in (
            (users.mine, users.theirs, 403),  # the other's id, key and body
            ("admin", users.theirs, 201),  # allowed, but the administrator's key is another one: another task
        ):
            answer = users.post(who, user, "the same", key)
            judge.happened(answer.status)
            judge.check(answer.status == status, f"{key}: {who} for {user}: {answer}")
            if answer.status == 201:
                judge.check(answer.json()["id"] not in made[users.theirs], f"{key}: an administrator was given a user's answer")
        answer = users.post(users.mine, users.mine, "another", key)
        judge.happened(answer.status)
        judge.check(answer.status == 422, f"{key}: another body: {answer}")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(collide, number) for number in range(ground.count)]:
            done.result()
    for user, wanted in ((users.mine, 1), (users.theirs, 2)):
        made = ground.stack.sql_number(f"SELECT COUNT(*) FROM tasks WHERE user_id = {user}")
        judge.check(made - 1 == wanted * ground.count, f"{ground.count} keys made {made - 1} tasks of user {user}")


def judge_created(judge, key, who, answer):
    """201, and the user's own task."""
    if answer.status == 201:
        judge.check(answer.json()["user_id"] == who, f"{key}: user {who} was given {answer}")
        return True
    judge.find(f"{key}: {answer}")
    return False


def cursors(ground, judge):
    """Cursors of the other user, real and mutated: no call returns the other's data for them."""
    users = Users(ground)
    for who in (users.mine, users.theirs):
        for number in range(5):
            users.post(who, who, f"secret of {who}", f"c{who}-{number}")
    epoch = ground.stack.epoch()
    true = [f"{epoch}:{seq}".encode() for seq in range(6)] + [f"{epoch}:5:1700000000".encode()]
    mutator = Mutator(true + [b"k3:1", b"null"], seeds.words())
    socket = ground.stack.socket()
    token = ground.token(users.mine)
    socket.subscribe(users.mine, **token)
    for number in range(ground.count):
        cursor = (true[number % len(true)] if number < 50 else mutator.make(ground.chance)).decode("latin-1")[:500]
        by_http(users, judge, cursor)
        socket = by_socket(ground, users, judge, socket, token, cursor)
    socket.close()


def by_http(users, judge, cursor):
    quoted = "".join(f"%{byte:02x}" for byte in cursor.encode("latin-1"))
    own = {**users.headers[users.mine], "Last-Event-ID": cursor if cursor.isprintable() and cursor.isascii() else "k3:1"}
    answer = users.client.get(f"/users/{users.mine}/events?since={quoted}&limit=200", headers=own)
    judge.happened(answer.status)
    judge.check(answer.status in (200, 400, 410, 422), f"since {cursor!r}: {answer}")
    judge.check(f"secret of {users.theirs}" not in answer.text, f"since {cursor!r}: {answer}")
    for path in (f"/users/{users.theirs}/events?since={quoted}", f"/users/{2**31 - 1}/events?since={quoted}", f"/events?user_id={users.theirs}&since={quoted}"):
        answer = users.client.get(path, headers=own)
        judge.happened(answer.status)
        # A malformed query is refused before the token is judged.
        judge.check(answer.status == 403 or answer.status in (400, 422) and ("%00" in path or "/events?u" in path), f"{path}: {answer}")


def by_socket(ground, users, judge, socket, token, cursor):
    socket.send({"type": "subscribe", "user_id": users.mine, "since": cursor, **token})
    answer = socket.recv_until(lambda frame: frame["type"] in ("subscribe", "error"))
    judge.happened(answer["type"])
    for frame in [socket.recv() for _ in range(answer.get("replayed", 0))]:
        judge.check(frame["task"]["user_id"] == users.mine, f"since {cursor!r}: {frame}")
    judge.check(f"secret of {users.theirs}" not in json.dumps(answer), f"since {cursor!r}: {answer}")
    if ground.chance.random() < 0.9:
        return socket
    socket.send({"type": "subscribe", "user_id": users.theirs, "since": cursor, **token})
    try:
        frame = socket.recv_until(lambda frame: frame["type"] not in ("heartbeat",))
        judge.check(frame["type"] == "error", f"another's feed since {cursor!r}: {frame}")
        while frame["type"] == "error" and frame["code"] == "bad_request":  # no cursor: no feed was asked for
            return socket
        socket.recv()
        judge.find(f"a socket that asked for another's feed stays: {frame}")
    except Closed as closed:
        judge.happened(f"closed {closed.code}")
        judge.check(closed.code == 4403, f"another's feed since {cursor!r}: {closed}")
    socket.close()
    fresh = ground.stack.socket()
    fresh.subscribe(users.mine, **token)
    return fresh
