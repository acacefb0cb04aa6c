#!/bin/bash
# SPDX-License-Identifier: MIT
# What a container of this image does, by its command:
#
#   fcgi-api   becomes the pool: API_WORKERS processes, and FCGI_BACKLOG requests that may wait for one of them
#   migrate    waits for the database, brings its tables up to date, and ends. MIGRATE is demo (migrations and demo
#              data), on (migrations only) or off (neither, nor the wait)
#
# Whatever other command is given is run as it is.
set -euo pipefail

MIGRATE=${MIGRATE:-demo}
DB_HOST=${DB_HOST:-127.0.0.1}
DB_PORT=${DB_PORT:-3306}
SHARE=/usr/local/share/carillon

fail() {
    printf 'fcgi-api: %s\n' "$1" >&2
    exit 1
}

number() { # NAME DEFAULT MOST
    local value=${!1:-$2}
    if ! [[ $value =~ ^[1-9][0-9]{0,5}$ ]] || ((value > $3)); then
        fail "$1 must be a whole number from 1 to $3, not '$value'"
    fi
    printf -v "$1" '%s' "$value"
}

# A signal's handler runs between two commands, or at once in a wait.
rest() {
    sleep "$1" &
    wait $!
}

wait_for_database() {
    local seconds=1
    until timeout 3 bash -c "exec 3<>'/dev/tcp/$DB_HOST/$DB_PORT'" 2>/dev/null; do
        printf 'fcgi-api: no database at %s:%s yet, trying again in %s s\n' "$DB_HOST" "$DB_PORT" "$seconds" >&2
        rest "$seconds"
        ((seconds = seconds < 8 ? seconds * 2 : 8))
    done
}

migrate() {
    local options=()
    case $MIGRATE in
        demo) options=(--demo) ;;
        on) ;;
        off) exit ;;
        *) fail "MIGRATE must be one of demo, on, off, not '$MIGRATE'" ;;
    esac
    [[ ! $DB_HOST =~ ,|^[^:]*:[^:]*$|^\[ ]] || fail "DB_HOST must be one host for migrate, with its port in DB_PORT, not '$DB_HOST'"
    # Process 1 gets no signal it has no handler for.
    trap 'exit 143' TERM INT
    wait_for_database
    "$SHARE/scripts/migrate" ${options[@]+"${options[@]}"}
}

pool() {
    number API_WORKERS 1 1000
    number FCGI_BACKLOG 1024 65535
    exec spawn-fcgi -n -a 0.0.0.0 -p 9000 -b "$FCGI_BACKLOG" -- \
        /usr/bin/multiwatch -r 1000000 -t 200 -f "$API_WORKERS" -- /usr/local/bin/fcgi-api
}

case ${1:-} in
    fcgi-api) pool ;;
    migrate) migrate ;;
    *) exec "$@" ;;
esac
