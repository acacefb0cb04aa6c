# SPDX-License-Identifier: MIT
"""A name server that is silent holds up neither requests nor browsers, and connections are made to the last address.

The programs run where a server of the test's is the only one that knows names. Servers of the stack are reached by a relay
at 127.0.0.2, an address that their certificate is not for: it is for localhost and 127.0.0.1."""

from functools import partial

import pytest

from lib.http import Http
from lib.name_server import NameServer, why_not
from lib.relay import ignore
from lib.wait import eventually
from lib.ws import OP_PING, OP_PONG, RawWebSocket, WebSocket

ELSEWHERE = "127.0.0.2"
NEVER = "timeout:30 attempts:2"  # a look-up ends after a minute
pytestmark = pytest.mark.long


@pytest.fixture
def names(tmp_path):
    """Knows localhost, at ELSEWHERE."""
    try:
        server = NameServer()
    except OSError as error:
        pytest.skip(f"port 53 of an address of this machine cannot be had: {error}")
    if why := why_not(server.inside(tmp_path, "")):
        server.close()
        pytest.skip(f"no view of one's own of /etc/resolv.conf: {why}")
    server.hosts["localhost"] = [ELSEWHERE]
    yield server
    server.close()


@pytest.fixture
def start(tls_stack, tmp_path, names, programs):
    """start("fcgi-api", DB_PORT=...) runs until the test ends, with default timeouts. Only the settings name hosts that
    have to be looked up."""

    def begin(name, resolver="", **settings):
        usual = {"AMQP_HOST": "127.0.0.1", "DB_HOST": "127.0.0.1", "DB_TIMEOUT_MS": 1500}
        (view := tmp_path / f"etc-of-{name}").mkdir()
        return programs(tls_stack, name, inside=names.inside(view, resolver), **usual | settings)

    return begin


@pytest.fixture
def relay(tls_stack, relays):
    """relay("DB_PORT") leads from ELSEWHERE to that port of the stack, unless `host` is another place."""
    return partial(relays, tls_stack, host=ELSEWHERE)


def reads(api):
    return api.ask("/tasks/1")[0] == 200


# --- The database


def test_silent_from_the_start(start, names, relay):
    """503 as for a database that is away; healed without a restart."""
    names.silent = True
    api = start("fcgi-api", "timeout:15 attempts:2", DB_HOST="localhost", DB_PORT=relay("DB_PORT").port)
    status, seconds = api.ask("/tasks/1")
    assert status == 503 and seconds < 15, (status, seconds)  # the look-up takes 30
    assert "localhost: the name server does not answer" in api.says("database: cannot read")
    names.silent = False
    eventually(lambda: reads(api), 60, "healed")


def test_silent_after_its_first_answer(start, names, relay):
    wire = relay("DB_PORT")
    api = start("fcgi-api", DB_HOST="localhost", DB_PORT=wire.port)
    eventually(lambda: reads(api), 20, "connected")
    names.silent = True

    def connected_without_an_answer():
        wire.cut()
        return reads(api) and names.ignored

    eventually(connected_without_an_answer, 60, "to the last address")
    api.says("no answer about the host localhost", 60)
    names.silent = False

    def connected_with_an_answer():
        wire.cut()
        return reads(api) and "the host localhost can be looked up again" in api.log()

    eventually(connected_with_an_answer, 60, "the name server is asked again")


def test_a_name_that_moves(start, names, relay):
    api = start("fcgi-api", DB_HOST="localhost", DB_PORT=(old := relay("DB_PORT")).port)
    eventually(lambda: reads(api), 20, "connected")
    names.hosts["localhost"] = ["127.0.0.3"]  # another server than the one that is still at the old address

    def refused():
        old.cut()
        return not reads(api)

    eventually(refused, 20, "nothing listens at the new address")
    names.hosts["localhost"] = [ELSEWHERE]
    eventually(lambda: reads(api), 30, "and back")


def test_no_such_name(start, names, relay):
    del names.hosts["localhost"]
    api = start("fcgi-api", DB_HOST="localhost", DB_PORT=relay("DB_PORT").port)
    assert api.ask("/tasks/1")[0] == 503
    assert "localhost: Name or service not known" in api.says("database: cannot read")
    names.hosts["localhost"] = [ELSEWHERE]
    eventually(lambda: reads(api), 30, "healed")


def test_one_of_several_addresses(start, names, relay):
    names.hosts["localhost"] = ["127.0.0.3", ELSEWHERE, "127.0.0.4"]
    api = start("fcgi-api", DB_HOST="localhost", DB_PORT=relay("DB_PORT").port)
    eventually(lambda: reads(api), 20, "connected to the one that listens")
    notifier = start("ws-notifier", AMQP_HOST="localhost", AMQP_PORT=relay("AMQPS_PORT").port)
    eventually(notifier.ready, 30, "connected to the one that listens")


def test_the_certificate_is_for_the_name(start, names, relay):
    """Both programs connect to an address, which the certificate is even for; what counts is the name in the settings."""
    names.hosts["other.test"] = ["127.0.0.1"]
    api = start("fcgi-api", DB_HOST="other.test", DB_PORT=relay("DB_PORT", host="127.0.0.1").port)
    assert api.ask("/tasks/1")[0] == 503
    assert "Validation of SSL server certificate failed" in api.says("database: cannot read")
    notifier = start("ws-notifier", AMQP_HOST="other.test", AMQP_PORT=relay("AMQPS_PORT", host="127.0.0.1").port)
    assert "the broker's certificate: hostname mismatch" in notifier.says("the broker is away").lower()


# --- The broker


def test_the_broker_is_told_the_name(start, names, relay):
    """A machine that answers for several chooses the certificate by the name in the greeting."""
    said = []
    notifier = start("ws-notifier", AMQP_HOST="localhost", AMQP_PORT=relay("AMQPS_PORT", watch=lambda: (said.append, ignore)).port)
    eventually(notifier.ready, 30, "it has read the stream")
    assert b"localhost" in said[0] and ELSEWHERE.encode() not in said[0]


def test_a_worker_stops_while_its_publisher_waits_for_a_name(start, names, relay):
    names.silent = True
    api = start("fcgi-api", NEVER, AMQP_HOST="localhost", AMQP_PORT=relay("AMQPS_PORT").port)
    assert reads(api), "requests have nothing to do with it"
    assert "the name server does not answer" in api.says("broker: cannot connect: localhost:")
    api.end()  # fails when it takes 15 s


def pong(socket):
    socket.send_frame(OP_PING, b"there?")
    while (frame := socket.recv_frame())[0] != OP_PONG:
        pass
    return frame[1] == b"there?"


def test_a_notifier_serves_while_the_name_server_is_silent(start, names, relay):
    names.silent = True
    notifier = start("ws-notifier", "timeout:15 attempts:2", AMQP_HOST="localhost", AMQP_PORT=relay("AMQPS_PORT").port)
    eventually(notifier.alive, 20, "its pages")
    socket = RawWebSocket(f"ws://127.0.0.1:{notifier.ws_port}/ws")
    assert pong(socket)
    assert "the name server does not answer" in notifier.says("the broker is away")
    assert pong(socket) and not notifier.ready()
    names.silent = False
    eventually(notifier.ready, 60, "healed")
    socket.close()


def test_a_notifier_comes_back_by_the_last_address(start, names, relay, tls_stack):
    """Its browsers are served meanwhile, and hear what happens afterwards."""
    wire = relay("AMQPS_PORT")
    notifier = start("ws-notifier", AMQP_HOST="localhost", AMQP_PORT=wire.port)
    eventually(notifier.ready, 30, "it has read the stream")
    raw, listener = (kind(f"ws://127.0.0.1:{notifier.ws_port}/ws") for kind in (RawWebSocket, WebSocket))
    user = tls_stack.new_users(1)[0]
    listener.subscribe(user)
    names.silent = True

    def connected_without_an_answer():
        before = notifier.log().count("connected to the broker")
        wire.cut()
        assert pong(raw)
        eventually(lambda: notifier.log().count("connected to the broker") > before, 20, "to the last address")
        return names.ignored

    eventually(connected_without_an_answer, 60, "the name server was asked in vain")
    assert pong(raw)
    eventually(notifier.ready, 30, "it has read the stream on")
    api = Http(tls_stack.endpoints["https"], trust=tls_stack.endpoints["tls_ca"])
    assert api.post("/tasks", {"user_id": user, "content": "Acheter du pain"}).status == 201
    assert listener.notification(20)["event"] == "task.created"
    raw.close()
    listener.close()
