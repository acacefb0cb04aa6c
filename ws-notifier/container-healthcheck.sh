#!/bin/bash
# SPDX-License-Identifier: MIT
# Healthy: the event loop answers. Whether the broker is there is /readyz's to say.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${WS_PORT:-3081}"
printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[ "$status" = 200 ]
