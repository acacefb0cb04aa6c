# SPDX-License-Identifier: MIT
"""A name server that can fall silent, and a view of the file system in which it is the only one."""

import random
import socket
import struct
import subprocess
import threading

PORT, A, NO_SUCH_NAME = 53, 1, 3


class NameServer:
    """`hosts` has the IPv4 addresses of each name. While `silent` is set, questions are counted in `ignored` and get no
    answer."""

    def __init__(self):
        self.hosts, self.silent, self.ignored = {}, False, 0
        self.address = f"127.53.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, PORT))
        self._socket.settimeout(0.2)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self._closing.is_set():
            try:
                question, client = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            if self.silent:
                self.ignored += 1
            else:
                self._socket.sendto(self._answer(question), client)

    def _answer(self, question):
        """Its only question (RFC 1035, 4.1), the name spelt as it was asked, and an A record for each address."""
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        kind, end = struct.unpack_from("!H", question, at + 1)[0], at + 5
        found = self.hosts.get(".".join(labels).lower())
        records = [struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(address) for address in found or () if kind == A]
        flags = 0x8180 | (0 if found else NO_SUCH_NAME)
        return question[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question[12:end] + b"".join(records)

    def inside(self, directory, options):
        """A command that starts another one, which asks this server for every name."""
        (directory / "resolv.conf").write_text(f"nameserver {self.address}\nsearch .\noptions {options}\n")
        (directory / "nsswitch.conf").write_text("hosts: dns\n")
        mounts = " && ".join(f'mount --bind "$0/{name}" /etc/{name}' for name in ("resolv.conf", "nsswitch.conf"))
        return ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', directory]

    def close(self):
        self._closing.set()
        self._thread.join(10)
        self._socket.close()


def why_not(command):
    """What keeps such a command from being started here; "" when nothing does."""
    done = subprocess.run([*command, "true"], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip() or f"ended with {done.returncode}"
