# SPDX-License-Identifier: MIT
"""DELETE /users/{id}/sessions: tokens from before are refused, and the sockets they opened closed, on every notifier."""

import re
import signal
import time

import pytest

from conftest import PATIENT, finish
from lib import contract
from lib.http import assert_problem
from lib.issuer import Issuer, make_rsa
from lib.power import BrokerData
from lib.stack import Stack
from lib.wait import eventually
from lib.ws import WebSocket


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two workers' processes and two notifiers that want tokens. A notifier's ring is shorter than the pause between two
    lists of what was ended."""
    keys = tmp_path_factory.mktemp("keys")
    make_rsa(keys)
    made = Stack.prepare(AUTH=1, JWT_AUDIENCE="carillon-test", JWT_LEEWAY_S=5, API_WORKERS=2, RING_AGE_S=5, ADMINER_PORT="off", **PATIENT)
    made.run("--notifiers", "2")
    made.ready()
    made.notifiers = [f"ws://127.0.0.1:{port}/ws" for port in (made.port("NOTIFIER_PORT"), made.port("PORT") + 11)]
    made.issuer = Issuer(made.run_dir / "secrets" / "jwt_secret", keys)
    yield made
    finish(made, "sessions")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def now():
    return int(time.time())


def token(stack, user, ago=60, **more):
    return stack.issuer.token(user, iat=now() - ago, **more)


def later():
    """Tokens of the second in which the sessions ended are refused, too."""
    began = now()
    eventually(lambda: now() > began + 1, 30, "another second")


def end(stack, user, **headers):
    client = stack.client(judge=contract.calls().judge)
    return client.delete(f"/users/{user}/sessions", headers={**bearer(stack.issuer.admin()), **headers})


def listens(url, user, text):
    socket = WebSocket(url)
    socket.send({"type": "subscribe", "user_id": user, "since": None, "token": text})
    return socket, socket.recv()


def test_what_was_issued_before_is_over(pair):
    user, other = pair.new_users(2)
    client = pair.client()
    old, unsaid, others = token(pair, user), pair.issuer.token(user), token(pair, other)
    for text, who in ((old, user), (unsaid, user), (others, other)):
        assert client.get(f"/users/{who}", headers=bearer(text)).status == 200
    assert end(pair, user).status == 204
    for _ in range(20):  # each worker, from the answer on
        for text in (old, unsaid):
            problem = assert_problem(client.get("/tasks", headers=bearer(text)), 401, "unauthenticated")
            assert "session that was ended" in problem["detail"]
        assert client.get("/tasks", headers=bearer(others)).status == 200
    assert 'error="invalid_token"' in client.get("/tasks", headers=bearer(old)).header("WWW-Authenticate")
    later()
    fresh = token(pair, user, ago=0)
    assert client.get("/tasks", headers=bearer(fresh)).status == 200
    assert client.get("/tasks", headers=bearer(unsaid)).status == 401, "it does not say when it was issued"


def test_sockets_are_closed_on_every_notifier(pair):
    user, other = pair.new_users(2)
    [team] = pair.new_users(1)
    old = token(pair, user, groups=[team])
    heard = [listens(url, user, old) for url in pair.notifiers for _ in range(5)]
    heard += [listens(url, team, old) for url in pair.notifiers]
    stay = [listens(url, other, token(pair, other)) for url in pair.notifiers]
    assert all(frame["type"] == "subscribe" for _, frame in heard + stay)
    with pair.client().connect() as stream:
        stream.sendall(f"GET /events?user_id={user} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {old}\r\n\r\n".encode())
        assert b" 200 " in stream.recv(4096)
        began = time.monotonic()
        assert end(pair, user).status == 204
        for socket, _ in heard:
            assert socket.wait_closed() == (4401, "token not valid")
        took = time.monotonic() - began
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            piece = stream.recv(65536)
            assert piece, rest
            rest += piece
    assert took < 20, f"{took:.2f} s: a notifier that waits for the next list of all ends takes up to 60"
    for socket, _ in stay:
        assert socket.is_open
        socket.close()
    for url in pair.notifiers:
        socket, frame = listens(url, user, old)
        assert frame["code"] == "unauthenticated" and "session that was ended" in frame["message"]
        assert socket.wait_closed() == (4401, "token not valid")


def test_the_figures_of_each_notifier(pair):
    """By their numbers behind nginx; /notifier/metrics is that of any of them."""
    [user] = pair.new_users(1)
    client, admin = pair.client(judge=contract.calls().judge), bearer(pair.issuer.admin())

    def accepted(number):
        answer = client.get(f"/admin/notifiers/{number}/metrics", headers=admin)
        assert answer.status == 200 and answer.headers.get_all("Cache-Control") == ["no-store"], answer.headers.items()
        return int(re.search(r"^carillon_notifier_connects_total (\d+)$", answer.text, re.M)[1])

    before = [accepted(number) for number in (1, 2)]
    socket, _ = listens(pair.notifiers[1], user, token(pair, user))
    assert [accepted(number) for number in (1, 2)] == [before[0], before[1] + 1]
    socket.close()
    for number in ("3", "0", "01", "x", "1/metrics/1"):
        answer = client.get(f"/admin/notifiers/{number}/metrics", headers=admin)
        assert_problem(answer, 404, "not-found")
        assert answer.headers.get_all("Cache-Control") == ["no-store"]
    for number in ("3", "x"):
        assert_problem(client.get(f"/admin/notifiers/{number}/metrics"), 401, "unauthenticated")


def test_also_after_a_restart(pair):
    [user] = pair.new_users(1)
    old = token(pair, user)
    assert end(pair, user).status == 204
    pair.script("restart")
    pair.ready()
    for _ in range(10):
        assert pair.client().get("/tasks", headers=bearer(old)).status == 401
    for url in pair.notifiers:
        socket, frame = listens(url, user, old)
        assert frame["type"] == "error" and "session that was ended" in frame["message"], frame
        socket.close()
    later()
    for url in pair.notifiers:
        socket, frame = listens(url, user, token(pair, user, ago=0))
        assert frame["type"] == "subscribe" and frame["recovered"] is True, frame
        socket.close()


def test_while_the_broker_is_away(pair, tmp_path):
    """The API refuses at once; notifiers are told when it is back."""
    [user] = pair.new_users(1)
    old = token(pair, user)
    sockets = [listens(url, user, old) for url in pair.notifiers]
    broker = BrokerData(pair, tmp_path)
    broker.stop()
    try:
        assert end(pair, user).status == 204
        assert pair.client().get("/tasks", headers=bearer(old)).status == 401
        assert all(socket.is_open for socket, _ in sockets), "the notifiers have not been told"
    finally:
        broker.start()
    for socket, _ in sockets:
        assert socket.wait_closed(300) == (4401, "token not valid"), "a broker of a busy machine needs a minute to start"
    pair.ready(180)


def test_sent_again_with_its_key(pair):
    """It ends no session that was begun in between."""
    [user] = pair.new_users(1)
    key = {"Idempotency-Key": f"end-{user}"}
    assert end(pair, user, **key).status == 204
    later()
    fresh = token(pair, user, ago=0)
    assert pair.client().get("/tasks", headers=bearer(fresh)).status == 200
    again = end(pair, user, **key)
    assert again.status == 204 and again.header("Idempotency-Replayed") == "true"
    assert pair.client().get("/tasks", headers=bearer(fresh)).status == 200
    later()
    assert end(pair, user).status == 204
    assert pair.client().get("/tasks", headers=bearer(fresh)).status == 401


def test_who_may_and_whom(pair):
    user, other = pair.new_users(2)
    for who in (user, other):
        answer = pair.client().delete(f"/users/{user}/sessions", headers=bearer(token(pair, who, groups=[user])))
        assert_problem(answer, 403, "forbidden")
    for bad in ({}, bearer(pair.issuer.admin(ttl=-60)), bearer(pair.issuer.admin() + "x")):
        assert_problem(pair.client().delete(f"/users/{user}/sessions", headers=bad), 401, "unauthenticated")
    assert_problem(end(pair, 2147483647), 404, "not-found")
    assert_problem(end(pair, "none"), 404, "not-found")
    assert_problem(end(pair, user, **{"If-Match": "*"}), 412, "stale")
    assert pair.client().get("/tasks", headers=bearer(token(pair, user))).status == 200


@pytest.mark.long
def test_an_end_that_was_committed_late(pair):
    """Its id is lower than those that were read long ago."""
    [user] = pair.new_users(1)
    old = token(pair, user)
    sockets = [listens(url, user, old)[0] for url in pair.notifiers]
    newest = pair.sql_number("SELECT COALESCE(MAX(id), 0) FROM session_ends")
    pair.sql(f"INSERT INTO session_ends (id, user_id, before_s) SELECT {newest} + 1 + seq, 1, 1 FROM seq_1_to_1000")
    [other] = pair.new_users(1)
    assert end(pair, other).status == 204
    assert pair.client().get("/tasks", headers=bearer(token(pair, other))).status == 401, "all of these were read"
    pair.sql(f"INSERT INTO session_ends (id, user_id, before_s) VALUES ({newest} + 1, {user}, {now() + 1})")
    for socket in sockets:
        assert socket.wait_closed(180) == (4401, "token not valid")
    eventually(lambda: pair.client().get("/tasks", headers=bearer(old)).status == 401, 180, "the workers have looked at all of them")


def test_while_the_service_is_open(stack, http, sockets):
    """No token is judged, so nothing is closed. The noted end holds once tokens are wanted."""
    [user] = stack.new_users(1)
    socket = sockets()
    socket.subscribe(user)
    assert http.delete(f"/users/{user}/sessions").status == 204
    assert_problem(http.delete("/users/2147483647/sessions"), 404, "not-found")
    assert stack.sql_number(f"SELECT COUNT(*) FROM session_ends WHERE user_id = {user}") == 1
    assert http.get(f"/tasks?user_id={user}").status == 200
    made = http.post("/tasks", {"user_id": user, "content": "Sonner"}).json()
    assert socket.notification()["task"]["id"] == made["id"]


def test_a_token_that_lives_too_long(pair):
    [user] = pair.new_users(1)
    text = pair.issuer.token(user, ttl=40_000_000, iat=now())
    problem = assert_problem(pair.client().get("/tasks", headers=bearer(text)), 401, "unauthenticated")
    assert "JWT_MAX_LIFE_S" in problem["detail"]


@pytest.mark.long
def test_an_administrator_reads_figures_while_the_database_is_away(pair):
    """They are wanted most then. Whose session was ended before is not let in by that."""
    [user] = pair.new_users(1)
    client, admin, ended = pair.client(), bearer(pair.issuer.admin()), bearer(token(pair, user, scope="tasks:admin"))
    assert client.get("/admin/metrics", headers=ended).status == 200
    assert end(pair, user).status == 204
    assert client.get("/admin/metrics", headers=ended).status == 401
    database = pair.database()
    database.kill(signal.SIGSTOP)
    try:
        eventually(lambda: client.get("/readyz").status == 503, 120, "the database is away")
        for path in ("/admin/metrics", "/admin/notifiers/1/metrics"):
            # A worker that has not looked since the end has to look first, and cannot.
            eventually(lambda: client.get(path, headers=admin).status == 200, 120, path)
            eventually(lambda: client.get(path, headers=ended).status == 401, 120, path)
            assert {client.get(path, headers=ended).status for _ in range(5)} <= {401, 503}, path
        assert client.get("/tasks", headers=admin).status == 503
    finally:
        database.kill(signal.SIGCONT)
    pair.ready()
    eventually(lambda: {client.get("/tasks", headers=admin).status for _ in range(20)} == {200}, 120, "each worker reads again")
