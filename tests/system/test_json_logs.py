# SPDX-License-Identifier: MIT
"""LOG_FORMAT=json: each line of each part is one object, whichever program wrote it."""

import json
import os
import signal

from lib.wait import eventually


def lines(stack, part):
    """What comes before the part itself (mariadb-install-db says how it went) is not its log."""
    found = stack.logs(part).splitlines()
    first = next((number for number, line in enumerate(found) if line.startswith("{")), 0)
    return found[first:] if part == "mariadb" else found


def test_every_line_is_an_object(tls_stack):
    stack = tls_stack
    http = stack.client()
    http.get('/healthz?a="b\\c')
    worker = stack.workers()[0]
    worker.kill(signal.SIGKILL)  # multiwatch has something to say
    os.kill(stack.part("nginx").pid, signal.SIGHUP)  # and so has nginx
    eventually(lambda: stack.part("fcgi-api").state == "up" and stack.part("nginx").state == "up", 60, "both are well")

    def all_are():
        for part in ("mariadb", "rabbitmq", "fcgi-api", "ws-notifier", "nginx", "epmd", "watch"):
            for line in lines(stack, part):
                try:
                    row = json.loads(line)
                except ValueError:
                    raise AssertionError(f"{part}: {line!r}") from None
                assert isinstance(row, dict), (part, line)
                if part in ("fcgi-api", "ws-notifier", "nginx", "mariadb"):
                    assert {"time", "level", "program", "message"} <= set(row), (part, line)
        assert any("/healthz?a=" in line for line in lines(stack, "nginx"))
        assert lines(stack, "mariadb") and lines(stack, "rabbitmq") and lines(stack, "ws-notifier")
        return True

    eventually(all_are, 60, "all lines are objects")
