"""A wire between a program and a server, at an address of one's choice, that can be cut, go dead, or lose something."""

import socket
import struct
import threading


class Relay:
    """Listens on `host` and passes everything on to 127.0.0.1:`port`. A `deaf` one swallows what the client says; what
    the server says goes through `answers`, a function from bytes to bytes."""

    def __init__(self, port, host="127.0.0.1", deaf=False, answers=bytes):
        self._target, self.deaf, self._answers = port, deaf, answers
        self._listener = socket.create_server((host, 0))
        self.host, self.port = self._listener.getsockname()
        self._open = []
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
            far = socket.create_connection(("127.0.0.1", self._target))
            self._open += [near, far]
            self._start(self._pass, near, far, (lambda data: b"") if self.deaf else bytes)
            self._start(self._pass, far, near, self._answers)

    @staticmethod
    def _pass(source, target, change):
        try:
            while data := source.recv(65536):
                target.sendall(change(data))
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Ends the connections there are."""
        for end in self._open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class ConfirmThief:
    """For the answers of one AMQP connection: takes the broker's confirms out while `steals` is set. Those it lets
    through later speak for one message each, or they would make good what was stolen."""

    FRAME, BASIC_ACK = struct.Struct("!BHI"), struct.pack("!HH", 60, 80)
    MULTIPLE = FRAME.size + len(BASIC_ACK) + 8  # behind the tag

    def __init__(self):
        self.steals, self.stolen = False, 0
        self._rest = b""

    def __call__(self, data):
        self._rest += data
        kept = b""
        while len(self._rest) >= self.FRAME.size:
            kind, _, size = self.FRAME.unpack_from(self._rest)
            whole = self.FRAME.size + size + 1  # and the mark of its end
            if len(self._rest) < whole:
                break
            frame, self._rest = self._rest[:whole], self._rest[whole:]
            if kind == 1 and frame[self.FRAME.size :].startswith(self.BASIC_ACK):
                if self.steals:
                    self.stolen += 1
                    continue
                if self.stolen:
                    frame = frame[: self.MULTIPLE] + b"\0" + frame[self.MULTIPLE + 1 :]
            kept += frame
        return kept
