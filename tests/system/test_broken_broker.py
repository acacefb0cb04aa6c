# SPDX-License-Identifier: MIT
"""A broker that runs and delivers nothing, or does not start with its data: it recovers without an operator, and no
event is missing. On a file system of its own, so that it can be filled."""

import os
import signal
import subprocess

import pytest

from lib.emit import emit_many
from lib.stack import Stack
from lib.wait import eventually
from test_broker_away import whole_journal_is_in_the_stream
from test_metrics import scrape, total

pytestmark = [pytest.mark.long, pytest.mark.disturbs, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]

# Ends the processes below streams, as a full disk does, and our stream's writer.
END_STREAMS = """[supervisor:terminate_child(ra_systems_sup, Id) || {Id, _, _, _} <- supervisor:which_children(ra_systems_sup)],
    [exit(P, kill) || {_, P, _, [osiris_writer]} <- supervisor:which_children(osiris_server_sup)], ok."""


@pytest.fixture(scope="module")
def stack():
    own = Stack.prepare(API_WORKERS=2, ADMINER_PORT="off", BROKER_STUCK_S=10, DB_TIMEOUT_MS=8000)
    place = own.run_dir.parent
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500m,mode=755", "tmpfs", place], capture_output=True, text=True)
    if done.returncode != 0:
        own.stop()
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        own.run()
        own.ready()
        yield own
        reports = own.sanitizer_reports()
        own.script("stop", check=False)
        assert not reports, reports[:3]
    finally:
        own.script("stop", check=False)
        subprocess.run(["umount", "--lazy", place], check=False)
        own.stop()


def ready_says(http, **members):
    def says():
        answer = http.get("/readyz").json()
        assert {name: answer.get(name) for name in members} == members, answer
        return True

    return says


def all_arrives(stack, http):
    stack.ready(120)
    eventually(ready_says(http, status="ok", broker="up", events="leave"), 30, "events leave")
    stack.outbox_empty(60)
    # Read as notifiers read. A stream whose index is lost may begin anew behind its damaged part, into which a reader
    # from "first" runs.
    whole_journal_is_in_the_stream(stack, "1h")


def test_a_full_disk(stack):
    """Writes are refused, which readiness knows. When there is room again everything goes on, also when the streams
    of RabbitMQ have ended meanwhile, for good, as they see it."""
    http, [user] = stack.client(), stack.new_users(1)
    socket = stack.socket()
    socket.subscribe(user, since=None)
    before = stack.part("rabbitmq").restarts
    full = stack.run_dir.parent / "full"
    subprocess.run(["dd", "if=/dev/zero", f"of={full}", "bs=1M"], capture_output=True)
    try:
        accepted = 0
        answer = http.post("/tasks", {"user_id": user, "content": "x" * 1000})
        while answer.status == 201 and accepted < 5000:
            accepted += 1
            answer = http.post("/tasks", {"user_id": user, "content": "x" * 1000})
        assert answer.status == 503, answer
        eventually(ready_says(http, database="refusing"), 30, "readiness knows")
        assert http.get("/readyz").status == 503
        assert total(scrape(http), "carillon_api_db_write_refused_seconds") > 0
        assert http.get("/tasks?user_id=1").status == 200, "reading goes on"
        stack.rabbitmqctl("eval", END_STREAMS)
    finally:
        full.unlink()
    eventually(lambda: http.post("/tasks", {"user_id": user, "content": "room"}).status == 201, 30, "writes are accepted")
    eventually(lambda: stack.part("rabbitmq").restarts > before, 120, "RabbitMQ is started again", interval=1)
    if "forced connection closure with reason 'shutdown'" not in stack.logs("fcgi-api"):  # RabbitMQ 4 ends with its streams by itself
        eventually(lambda: "RabbitMQ has carried nothing for" in stack.logs("watch"), 10, "the log says so")
    all_arrives(stack, http)
    journal = stack.journal(user)
    assert len(journal) >= accepted + 1
    socket.close()


def damage_stream(stack):
    """In its middle."""
    [segment] = (stack.run_dir / "rabbitmq").glob("carillon@localhost/stream/*/*.segment")
    with segment.open("r+b") as file:
        file.seek(segment.stat().st_size // 2)
        file.write(bytes(5000))
    return segment


def fill_stream(stack):
    [user] = stack.new_users(1)
    emit_many(stack, user, 300, "x" * 100)
    stack.outbox_empty()
    return user


def a_browser_is_served(stack, user):
    """One that was away for all of it, by a notifier that starts now."""
    stack.s6("-wR", "-k", "ws-notifier")
    stack.ready(60)
    socket = stack.socket()
    answer = socket.subscribe(user, since=f"{stack.epoch()}:0")
    assert (answer["recovered"], answer["replayed"]) == (True, 300), answer
    assert [socket.notification()["cursor"] for _ in range(300)] == [f"{stack.epoch()}:{seq}" for seq in range(1, 301)]
    socket.close()


def test_a_stream_that_cannot_be_read(stack):
    """The broker confirms what the API publishes, but no notifier can read the stream. A restart does not help."""
    user = fill_stream(stack)
    damage_stream(stack)
    http = stack.client()
    stack.s6("-k", "ws-notifier")
    eventually(lambda: http.get("/notifier/readyz").json().get("broker") == "down", 30, "the notifier cannot read")
    eventually(lambda: "made anew (a restart did not help" in stack.logs("watch"), 120, "its data are made anew", interval=1)
    all_arrives(stack, http)
    a_browser_is_served(stack, user)


def test_a_stream_that_does_not_come_up(stack):
    """As RabbitMQ 3.10 leaves one at times, while it answers everything else; or it begins anew in the old file."""
    user = fill_stream(stack)
    stack.s6("-O", "rabbitmq")
    stack.broker().kill(signal.SIGKILL)
    subprocess.run(["s6-svwait", "-D", "-t", "60000", stack.run_dir / "service" / "rabbitmq"], check=True)
    damage_stream(stack).with_suffix(".index").write_bytes(b"")
    stack.s6("-u", "rabbitmq")
    eventually(lambda: not stack.client().get("/notifier/readyz").json().get("caught_up"), 30, "the notifier knows")
    all_arrives(stack, stack.client())
    a_browser_is_served(stack, user)


def started_with(stack, damage):
    stack.outbox_empty()
    stack.script("stop")
    damage(stack.run_dir / "rabbitmq")
    said = stack.run().stdout
    all_arrives(stack, stack.client())
    return said


def test_data_left_empty(stack):
    """As a power cut leaves files that were just being written."""

    def damage(folder):
        for pattern in ("home/.erlang.cookie", "*/cluster_nodes.config", "*/coordination/*/names.dets", "*-feature_flags"):
            for path in folder.glob(pattern):
                path.chmod(0o600)
                path.write_bytes(b"")

    said = started_with(stack, damage)
    assert "RabbitMQ's data are made anew (empty: " in said and "cluster_nodes.config" in said
    assert len(list((stack.run_dir / "rabbitmq").glob("lost-*"))) == 1


def test_data_whose_queues_do_not_start(stack):
    """The first half minute of a virtual host: its settings were not flushed. The broker would come up and never answer
    for our queue, so that nothing is published."""

    def damage(folder):
        for path in folder.glob("*/msg_stores/vhosts/*/.config"):
            path.write_bytes(b"")

    said = started_with(stack, damage)
    assert "RabbitMQ's data are made anew (empty: " in said and "/.config" in said


def test_data_that_are_damaged(stack):
    """It cannot be detected before the start, which fails; the second start does not."""

    def damage(folder):
        for path in folder.glob("*/schema.DAT"):
            path.write_bytes(os.urandom(path.stat().st_size))

    said = started_with(stack, damage)
    assert "RabbitMQ's data are made anew (it did not start with them)" in said
    assert len(list((stack.run_dir / "rabbitmq").glob("lost-*"))) == 1


def test_data_renewed_when_asked(stack):
    stack.script("stop")
    assert "made anew (as asked)" in stack.run("--renew-broker").stdout
    all_arrives(stack, stack.client())
