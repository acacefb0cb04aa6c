# SPDX-License-Identifier: MIT
"""A relay between a program and a server, at an address of the test's choice, that can cut, freeze, or lose bytes."""

import socket
import struct
import threading
from contextlib import suppress


def ignore(data):
    pass


def end(side, how=socket.SHUT_RDWR):
    with suppress(OSError):
        side.shutdown(how)


class Relay:
    """Listens on `host` and passes everything on to 127.0.0.1:`port`. A `deaf` one drops the client's bytes; the
    server's bytes go through `answers`, a function from bytes to bytes. `watch` is called at each connection, and
    of the two functions that it returns one is shown every piece of the client's, one every piece of the server's. While
    it is `shut`, connections end at once."""

    def __init__(self, port, host="127.0.0.1", deaf=False, answers=bytes, watch=None):
        self._target, self.deaf, self._answers, self.shut = port, deaf, answers, False
        self._watch = watch or (lambda: (ignore, ignore))
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()
        self._open = set()
        self._start(self._accept)

    @staticmethod
    def _start(work, *arguments):
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.shut:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except ConnectionRefusedError:
                near.close()
                continue
            ends, under_way = (near, far), [near, far]
            for side in ends:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            self._open.add(ends)
            asked, told = self._watch()
            self._start(self._pass, ends, under_way, asked, lambda data: b"" if self.deaf else data)
            self._start(self._pass, ends[::-1], under_way, told, self._answers)

    def _pass(self, ends, under_way, watch, change):
        """To the end of the source. The target is only told of that: what it has said already arrives then."""
        source, target = ends
        try:
            while data := source.recv(65536):
                watch(data)
                with suppress(OSError):  # it has left, and the source may have more to say first
                    target.sendall(change(data))
        except OSError:
            pass
        end(target, socket.SHUT_WR)
        under_way.pop()
        if not under_way:
            self._open -= {ends, ends[::-1]}
            source.close()
            target.close()

    def away(self):
        """The server is not there, until there()."""
        self.shut = True
        self.cut()

    def there(self):
        self.shut = False

    def cut(self):
        """Ends the connections there are."""
        for near, far in list(self._open):
            end(near)
            end(far)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class Frames:
    """Assembles the bytes of an AMQP connection into whole frames."""

    HEAD, METHOD = struct.Struct("!BHI"), 1

    def __init__(self):
        self._rest = b""

    def feed(self, data):
        """(kind, channel, payload, the frame as it came) of each that is whole now."""
        self._rest += data
        if self._rest.startswith(b"AMQP"):
            self._rest = self._rest[8:]  # what a client says before its first frame
        while len(self._rest) >= self.HEAD.size:
            kind, channel, size = self.HEAD.unpack_from(self._rest)
            whole = self.HEAD.size + size + 1  # and the mark of its end
            if len(self._rest) < whole:
                return
            frame, self._rest = self._rest[:whole], self._rest[whole:]
            yield kind, channel, frame[self.HEAD.size : -1], frame


class Channels:
    """Watches what clients do on their channels. `lives`: one list for each life of a channel, from its opening on, of
    "confirm.select" and of ("publish", exchange)."""

    def __init__(self):
        self.lives = []

    def watch(self):
        frames, open_now = Frames(), {}

        def piece(data):
            for kind, channel, payload, _ in frames.feed(data):
                if kind != Frames.METHOD or channel == 0:
                    continue
                match struct.unpack_from("!HH", payload):
                    case (20, 10):
                        open_now[channel] = []
                        self.lives.append(open_now[channel])
                    case (85, 10):
                        open_now[channel].append("confirm.select")
                    case (60, 40):
                        length = payload[6]  # behind class, method and a reserved number
                        open_now[channel].append(("publish", payload[7 : 7 + length].decode()))

        return piece, ignore


class ConfirmThief:
    """For the answers of one AMQP connection: takes the broker's confirms out while `steals` is set. Those it lets
    through later are for one message each; otherwise they would confirm what was stolen."""

    BASIC_ACK = struct.pack("!HH", 60, 80)
    MULTIPLE = Frames.HEAD.size + len(BASIC_ACK) + 8  # behind the tag

    def __init__(self):
        self.steals, self.stolen = False, 0
        self._frames = Frames()

    def __call__(self, data):
        kept = b""
        for kind, _, payload, frame in self._frames.feed(data):
            if kind == Frames.METHOD and payload.startswith(self.BASIC_ACK):
                if self.steals:
                    self.stolen += 1
                    continue
                if self.stolen:
                    frame = frame[: self.MULTIPLE] + b"\0" + frame[self.MULTIPLE + 1 :]
            kept += frame
        return kept
