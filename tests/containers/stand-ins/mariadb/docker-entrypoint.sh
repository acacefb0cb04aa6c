#!/bin/bash
# SPDX-License-Identifier: MIT
# First start on an empty volume: makes the system tables and root's password, on a server nobody can reach
# over the network. Then, as at every later start, becomes the server.
set -euo pipefail

[[ ${1:-} == -* ]] && set -- mariadbd "$@"
if [[ $1 == mariadbd && ! -d /var/lib/mysql/mysql ]]; then
    : "${MARIADB_ROOT_PASSWORD:?Database is uninitialized and password option is not specified}"
    mariadb-install-db --rpm --auth-root-authentication-method=normal --skip-test-db --datadir=/var/lib/mysql \
        "${@:2}" >/dev/null
    "$@" --skip-networking --socket=/run/mysqld/mysqld.sock &
    server=$!
    until mariadb --socket=/run/mysqld/mysqld.sock -uroot -e 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" || exit 1
        sleep 0.2
    done
    quoted() { printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g"; }
    mariadb --socket=/run/mysqld/mysqld.sock -uroot --binary-mode \
        <<<"SET PASSWORD FOR root@localhost = PASSWORD('$(quoted "$MARIADB_ROOT_PASSWORD")');"
    kill "$server"
    wait "$server"
fi
unset MARIADB_ROOT_PASSWORD
exec "$@"
