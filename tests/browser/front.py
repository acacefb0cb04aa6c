# SPDX-License-Identifier: MIT
"""A second nginx in front of a stack, as companies and hotels have: in three ways it breaks WebSockets."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from lib.http import Http
from lib.ports import Block
from lib.wait import eventually

CONFIGURATION = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        # Knows nothing of upgrades.
        location /plain/ {{ proxy_pass {service}/; }}
        # And lets no stream of events through.
        location /deaf/ {{ proxy_pass {service}/; }}
        location = /deaf/events {{ return 404; }}
        # Lets upgrades through, but not the name by which it was asked.
        location /renamed/ {{
            proxy_pass {service}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $proxy_host;
        }}
        # Gives another name.
        location /foreign/ {{
            proxy_pass {service}/;
            proxy_set_header Host tasks.example;
        }}
    }}
}}
"""


class Front:
    def __init__(self, service):
        self._directory = Path(tempfile.mkdtemp(prefix="carillon-front-"))
        self._block = Block()
        self.http = f"http://localhost:{self._block.first}"
        configuration = self._directory / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(directory=self._directory, port=self._block.first, service=service.replace("localhost", "127.0.0.1"))
        )
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        command = [nginx, "-p", self._directory, "-c", configuration, "-e", self._directory / "error.log"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        eventually(self._answers, 60, "the nginx in front")

    def _answers(self):
        try:
            return Http(f"http://127.0.0.1:{self._block.first}").get("/plain/healthz").status == 200
        except OSError:
            return False

    def stop(self):
        self._process.terminate()
        self._process.wait(60)
        self._block.release()
        shutil.rmtree(self._directory, ignore_errors=True)
