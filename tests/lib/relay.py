"""A wire between a program and a server, at an address of one's choice, that can be cut or go dead."""

import socket
import threading


class Relay:
    """Listens on `host` and passes everything on to 127.0.0.1:`port`. A `deaf` one swallows what the client says."""

    def __init__(self, port, host="127.0.0.1", deaf=False):
        self._target, self.deaf = port, deaf
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
            self._start(self._pass, near, far, self.deaf)
            self._start(self._pass, far, near, False)

    @staticmethod
    def _pass(source, target, swallow):
        try:
            while data := source.recv(65536):
                if not swallow:
                    target.sendall(data)
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
