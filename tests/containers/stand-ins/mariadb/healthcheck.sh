#!/bin/bash
# SPDX-License-Identifier: MIT
# --connect --innodb_initialized: a server that takes connections of the network (the entrypoint's own does not), and has InnoDB.
# Asked without TLS, by the socket, as an account that may do nothing.
set -euo pipefail
answer=$(mariadb --defaults-extra-file=/var/lib/mysql/.my-healthcheck.cnf --skip-ssl --skip-ssl-verify-server-cert \
    --protocol socket --skip-column-names --batch -e \
    "SELECT @@skip_networking, COUNT(*) FROM information_schema.engines WHERE engine = 'InnoDB' AND support IN ('YES', 'DEFAULT')")
[ "$answer" = $'0\t1' ]
