#!/bin/bash
# SPDX-License-Identifier: MIT
# --connect --innodb_initialized: a server that listens on its port says who it is before it asks who we are.
set -euo pipefail
exec 3<>/dev/tcp/127.0.0.1/3306
head -c 5 <&3 >/dev/null
