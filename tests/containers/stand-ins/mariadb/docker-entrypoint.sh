#!/bin/bash
# SPDX-License-Identifier: MIT
# First start on an empty volume: makes the system tables, root's password and the account of healthcheck.sh. Start on data
# of an older version: mariadb-upgrade, where MARIADB_AUTO_UPGRADE asks for it. Then, as at every other start, becomes the
# server.
set -euo pipefail

DATA=/var/lib/mysql

main() {
    [[ ${1:-} == -* ]] && set -- mariadbd "$@"
    if [[ $1 == mariadbd ]]; then
        if [[ ! -d $DATA/mysql ]]; then new_data "$@"
        elif [[ ${MARIADB_AUTO_UPGRADE:-0} != 0 ]] && is_older; then upgrade "$@"
        fi
    fi
    unset MARIADB_ROOT_PASSWORD
    exec "$@"
}

new_data() {
    : "${MARIADB_ROOT_PASSWORD:?Database is uninitialized and password option is not specified}"
    mariadb-install-db --rpm --auth-root-authentication-method=normal --skip-test-db --datadir=$DATA "${@:2}" >/dev/null
    begin "$@"
    client --binary-mode <<<"SET PASSWORD FOR root@localhost = PASSWORD('$(quoted "$MARIADB_ROOT_PASSWORD")'); $(healthcheck_user)"
    end
}

is_older() {
    local was now
    was=$(grep -oE '^[0-9]+\.[0-9]+' $DATA/mariadb_upgrade_info) || return 0
    now=$(mariadbd --version | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
    [[ $was != "$now" && $(printf '%s\n' "$was" "$now" | sort -V | head -n 1) == "$was" ]]
}

upgrade() {
    begin "$@" --skip-grant-tables
    mariadb-upgrade --upgrade-system-tables >/dev/null
    [[ -e $DATA/.my-healthcheck.cnf ]] || client --binary-mode <<<"FLUSH PRIVILEGES; $(healthcheck_user)"
    end
}

# begin SERVER: one that cannot be reached over the network and, as the official image's, speaks no TLS: of a server with
# a certificate the client wants an authority that it knows or an account with a password, and root has none yet.
begin() {
    "$@" --skip-networking --socket=/run/mysqld/mysqld.sock --skip-ssl --ssl-cert='' --ssl-key='' --ssl-ca='' &
    server=$!
    until client -e 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" || exit 1
        sleep 0.2
    done
}

end() {
    kill "$server"
    wait "$server"
}

client() { mariadb --no-defaults --skip-ssl --skip-ssl-verify-server-cert --socket=/run/mysqld/mysqld.sock -uroot "$@"; }

quoted() { printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g"; }

# Prints the SQL that makes it, and leaves its password to healthcheck.sh.
healthcheck_user() {
    local password
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf '[mariadb-client]\nuser=healthcheck\npassword=%s\n' "$password" >$DATA/.my-healthcheck.cnf)
    printf "CREATE OR REPLACE USER healthcheck@localhost IDENTIFIED BY '%s';" "$password"
}

main "$@"
