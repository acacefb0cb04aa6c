# SPDX-License-Identifier: MIT
"""RFC 6455, frame by frame, at the notifier and through nginx: the cases of Autobahn's suite as far as a service that does
not echo can be asked them. What is right is answered; what is wrong is closed with the code that the RFC names."""

import struct
import time

import pytest

from lib.ws import OP_BINARY, OP_CLOSE, OP_CONTINUE, OP_PING, OP_PONG, OP_TEXT, RawWebSocket, close_code

PING = b'{"type":"ping"}'
PONG = b'{"type":"pong"}'
AT_ONCE_S = 8  # a server that waits for the client to end the connection takes 10 s (GOODBYE_MS)


@pytest.fixture(params=["notifier", "nginx"])
def raw(request, stack):
    client = RawWebSocket(stack.ws if request.param == "nginx" else f"ws://127.0.0.1:{stack.port('NOTIFIER_PORT')}/")
    yield client
    client.close()


def frame(opcode, payload=b"", **more):
    return RawWebSocket.frame(opcode, payload, **more)


def hears(client, *expected):
    for wanted in expected:
        assert client.recv_frame() == wanted


def is_answered(client):
    """The connection still works."""
    client.send_frame(OP_TEXT, PING)
    hears(client, (OP_TEXT, PONG))


def is_closed(client, *codes):
    """With one of these codes, and by the server, at once: a client has nothing more to do."""
    code, last, began = None, None, time.monotonic()
    try:
        while True:
            last = client.recv_frame()
            if last[0] == OP_CLOSE:
                code = close_code(last[1])[0]
                client.send_frame(OP_CLOSE, last[1][:2])
    except (EOFError, ConnectionError):
        pass
    assert code in codes, (code, last)
    assert time.monotonic() - began < AT_ONCE_S


def padded(size):
    return PING + b" " * (size - len(PING))


# --- 1: framing


@pytest.mark.parametrize("size", [15, 125, 126, 127, 128, 1000, 8192])
@pytest.mark.parametrize("chop", [None, 1, 997])
def test_text_of_each_length(raw, size, chop):
    data = frame(OP_TEXT, padded(size))
    for at in range(0, len(data), chop or len(data)):
        raw.send_bytes(data[at : at + (chop or len(data))])
    hears(raw, (OP_TEXT, PONG))


@pytest.mark.parametrize("size", [8193, 65535, 65536])
def test_text_that_is_too_long(raw, size):
    raw.send_frame(OP_TEXT, padded(size))
    is_closed(raw, 1009)


@pytest.mark.parametrize("payload", [b"", b"\xfe" * 125, b"\x00" * 126, b"\xff" * 8000])
def test_binary(raw, payload):
    """A binary message is answered with an error; it is not taken for text, which would have to be UTF-8."""
    raw.send_frame(OP_BINARY, payload)
    assert raw.recv_json()["code"] == "bad_request"
    is_answered(raw)


def test_an_empty_text(raw):
    raw.send_frame(OP_TEXT)
    assert raw.recv_json()["code"] == "bad_request"
    is_answered(raw)


@pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY, OP_PING, OP_PONG, OP_CLOSE])
@pytest.mark.parametrize("payload", [b"", b"{}"])
def test_without_a_mask(raw, opcode, payload):
    """5.1: the server MUST close the connection. The library accepted such frames."""
    raw.send_frame(opcode, payload, masked=False)
    is_closed(raw, 1002)


def test_a_mask_of_zeros(raw):
    raw.send_bytes(bytes([0x81, 0x80 | len(PING), 0, 0, 0, 0]) + PING)
    hears(raw, (OP_TEXT, PONG))


def test_a_negative_length(raw):
    raw.send_bytes(b"\x81\xff" + struct.pack("!Q", 1 << 63) + b"mask")
    is_closed(raw, 1002)


# --- 2: pings and pongs


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"\xfe" * 125])
@pytest.mark.parametrize("chop", [None, 1])
def test_ping(raw, payload, chop):
    data = frame(OP_PING, payload)
    for at in range(0, len(data), chop or len(data)):
        raw.send_bytes(data[at : at + (chop or len(data))])
    hears(raw, (OP_PONG, payload))


def test_many_pings_in_one_segment(raw):
    """The newest must be answered; the library answered the oldest."""
    raw.send_bytes(b"".join(frame(OP_PING, f"payload-{number}".encode()) for number in range(10)) + frame(OP_TEXT, PING))
    hears(raw, *[(OP_PONG, f"payload-{number}".encode()) for number in range(10)], (OP_TEXT, PONG))


def test_more_pings_than_are_kept(raw):
    raw.send_bytes(b"".join(frame(OP_PING, b"%3d" % number + b"." * 122) for number in range(24)))
    number = -1
    while number < 23:
        opcode, payload = raw.recv_frame()
        assert opcode == OP_PONG and int(payload[:3]) > number
        number = int(payload[:3])
    is_answered(raw)


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
def test_a_pong_that_nobody_asked_for(raw, payload):
    raw.send_frame(OP_PONG, payload)
    raw.send_frame(OP_PING, b"after")
    hears(raw, (OP_PONG, b"after"))
    is_answered(raw)


@pytest.mark.parametrize("opcode", [OP_PING, OP_PONG])
def test_payloads_of_pings_are_no_text(raw, opcode):
    """Not even after a text, and not within a letter of one: the library read them as a part of it."""
    is_answered(raw)
    raw.send_frame(opcode, b"\xff\xfe")
    text = '{"type":"é"}'.encode()
    raw.send_bytes(frame(OP_TEXT, text[:10], final=False) + frame(opcode, b"x") + frame(OP_CONTINUE, text[10:]))
    if opcode == OP_PING:
        hears(raw, (OP_PONG, b"\xff\xfe"), (OP_PONG, b"x"))
    assert raw.recv_json()["code"] == "bad_request"
    is_answered(raw)


@pytest.mark.parametrize("opcode", [OP_PING, OP_PONG, OP_CLOSE])
@pytest.mark.parametrize("size", [126, 1000])
def test_a_control_frame_that_is_too_long(raw, opcode, size):
    raw.send_frame(opcode, b"\xfe" * size)
    is_closed(raw, 1002)


# --- 3 and 4: reserved bits, reserved opcodes


@pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY, OP_PING, OP_CLOSE])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits(raw, opcode, rsv):
    raw.send_bytes(frame(OP_TEXT, PING) + frame(opcode, b"", rsv=rsv) + frame(OP_PING))
    is_closed(raw, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"reserved"])
def test_reserved_opcodes(raw, opcode, payload):
    raw.send_frame(OP_TEXT, PING)
    raw.send_frame(opcode, payload)
    raw.send_frame(OP_PING)
    is_closed(raw, 1002)


# --- 5: fragments


@pytest.mark.parametrize("opcode", [OP_PING, OP_PONG, OP_CLOSE])
def test_a_control_frame_in_fragments(raw, opcode):
    raw.send_bytes(frame(opcode, b"fragment1", final=False) + frame(OP_CONTINUE, b"fragment2"))
    is_closed(raw, 1002)


@pytest.mark.parametrize("chop", [None, 1])
@pytest.mark.parametrize("pings", [0, 1, 3])
def test_fragments_with_pings_between(raw, chop, pings):
    data, expected = b"", []
    pieces = [PING[:1], b"", PING[1:9], PING[9:]]
    for place, piece in enumerate(pieces):
        data += frame(OP_TEXT if place == 0 else OP_CONTINUE, piece, final=place == len(pieces) - 1)
        for number in range(pings if place < len(pieces) - 1 else 0):
            data += frame(OP_PING, f"{place}.{number}".encode())
            expected.append((OP_PONG, f"{place}.{number}".encode()))
    for at in range(0, len(data), chop or len(data)):
        raw.send_bytes(data[at : at + (chop or len(data))])
    hears(raw, *expected, (OP_TEXT, PONG))


@pytest.mark.parametrize("final", [True, False])
def test_a_continuation_of_nothing(raw, final):
    raw.send_bytes(frame(OP_CONTINUE, b"nothing", final=final) + frame(OP_TEXT, PING))
    is_closed(raw, 1002)


def test_a_continuation_after_the_end(raw):
    raw.send_bytes(frame(OP_TEXT, PING[:5], final=False) + frame(OP_CONTINUE, PING[5:]) + frame(OP_CONTINUE, b"more"))
    is_closed(raw, 1002)


@pytest.mark.parametrize("opcode", [OP_TEXT, OP_BINARY])
def test_a_message_within_a_message(raw, opcode):
    raw.send_bytes(frame(OP_TEXT, b"fragment1", final=False) + frame(opcode, b"fragment2"))
    is_closed(raw, 1002)


# --- 6: UTF-8

VALID = ["κόσμε", "\u0000", "\u0080", "\u0800", "\U00010000", "\u007f", "\u07ff", "\uffff", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd"]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xf4\x90\x80\x80", b"\x80", b"\xbf", b"\x80\xbf\x80",
    b"\xc0 ", b"\xe0 ", b"\xf0 ", b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xc3", b"\xe1\x80", b"\xfe", b"\xff",
    b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
]  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 2, 100])
@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_valid_text(raw, text, pieces):
    """It is no message; but it is text."""
    data = f'"{text}"'.encode()
    cut = [data] if pieces == 1 else [data[:2], data[2:]] if pieces == 2 else [data[at : at + 1] for at in range(len(data))]
    for place, piece in enumerate(cut):
        raw.send_frame(OP_TEXT if place == 0 else OP_CONTINUE, piece, final=place == len(cut) - 1)
    assert raw.recv_json()["code"] == "bad_request"
    is_answered(raw)


@pytest.mark.parametrize("pieces", [1, 100])
@pytest.mark.parametrize("data", INVALID, ids=lambda data: data.hex())
def test_invalid_text(raw, data, pieces):
    if pieces == 1:
        raw.send_frame(OP_TEXT, data)
    else:
        try:
            for place in range(len(data)):
                raw.send_frame(OP_TEXT if place == 0 else OP_CONTINUE, data[place : place + 1], final=place == len(data) - 1)
        except OSError:
            pass  # closed as soon as it could be known: that is fine
    is_closed(raw, 1007)


# --- 7: close


def test_close(raw):
    raw.send_bytes(frame(OP_TEXT, PING) + frame(OP_CLOSE, struct.pack("!H", 1000)))
    hears(raw, (OP_TEXT, PONG), (OP_CLOSE, struct.pack("!H", 1000)))
    with pytest.raises(EOFError):
        raw.recv_frame()


@pytest.mark.parametrize(
    "after",
    [frame(OP_CLOSE, struct.pack("!H", 1000)), frame(OP_PING, b"x"), frame(OP_TEXT, PING)],
    ids=["close", "ping", "text"],  # frames are masked at random
)
def test_nothing_after_a_close(raw, after):
    raw.send_bytes(frame(OP_CLOSE, struct.pack("!H", 1000)) + after)
    hears(raw, (OP_CLOSE, struct.pack("!H", 1000)))
    with pytest.raises((EOFError, ConnectionError)):
        raw.recv_frame()


def test_close_within_a_message(raw):
    raw.send_bytes(frame(OP_TEXT, b"fragment", final=False) + frame(OP_CLOSE, struct.pack("!H", 1000)))
    is_closed(raw, 1000)


def test_close_without_a_code(raw):
    raw.send_frame(OP_CLOSE)
    is_closed(raw, 1000, 1005)


def test_close_with_half_a_code(raw):
    """The library answered with the same."""
    raw.send_frame(OP_CLOSE, b"a")
    is_closed(raw, 1002)


@pytest.mark.parametrize("chop", [None, 1])
@pytest.mark.parametrize("reason", ["", "Hello World!", "é" * 61])
def test_close_with_a_reason(raw, reason, chop):
    payload = struct.pack("!H", 1000) + reason.encode()
    data = frame(OP_CLOSE, payload)
    for at in range(0, len(data), chop or len(data)):
        raw.send_bytes(data[at : at + (chop or len(data))])
    opcode, echoed = raw.recv_frame()
    assert opcode == OP_CLOSE and echoed[:2] == payload[:2]


def test_close_with_a_reason_that_is_no_text(raw):
    """The library closed without a close frame."""
    raw.send_frame(OP_CLOSE, struct.pack("!H", 1000) + b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")
    is_closed(raw, 1007)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_close_with_a_code_that_exists(raw, code):
    """The library answered the three that were registered after it with 1002."""
    raw.send_frame(OP_CLOSE, struct.pack("!H", code))
    is_closed(raw, code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_close_with_a_code_that_does_not(raw, code):
    """The library answered 5000 and 65535 with the same."""
    raw.send_frame(OP_CLOSE, struct.pack("!H", code))
    is_closed(raw, 1002)


# --- a client that does not wait for the answer to its handshake


@pytest.mark.parametrize("cut", [3, 7, None])
def test_a_frame_with_the_handshake(stack, cut):
    data = frame(OP_TEXT, PING)
    client = RawWebSocket(f"ws://127.0.0.1:{stack.port('NOTIFIER_PORT')}/", early=data[:cut])
    client.send_bytes(data[len(data[:cut]) :])
    hears(client, (OP_TEXT, PONG))
    client.send_frame(OP_PING, b"x")
    hears(client, (OP_PONG, b"x"))
    client.close()
