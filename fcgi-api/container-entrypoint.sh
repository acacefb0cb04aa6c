#!/bin/bash
# What the container of the pool does: waits for the database, brings its tables up to date, then
# becomes the pool. Whatever command is given other than fcgi-api is run as it is.
#
#   MIGRATE       demo: migrations and demo data; on: migrations only; off: neither, nor the wait
#   API_WORKERS   processes in the pool
#   FCGI_BACKLOG  requests that may wait for one of them
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

if [ "${1:-}" != fcgi-api ]; then
    exec "$@"
fi
number API_WORKERS 8 1000
number FCGI_BACKLOG 1024 65535
# Process 1 gets no signal it has no handler for.
trap 'exit 143' TERM INT
case $MIGRATE in
    demo) wait_for_database && "$SHARE/scripts/migrate" --demo ;;
    on) wait_for_database && "$SHARE/scripts/migrate" ;;
    off) ;;
    *) fail "MIGRATE must be one of demo, on, off, not '$MIGRATE'" ;;
esac
trap - TERM INT
exec spawn-fcgi -n -a 0.0.0.0 -p 9000 -b "$FCGI_BACKLOG" -- \
    /usr/bin/multiwatch -r 1000000 -t 200 -f "$API_WORKERS" -- /usr/local/bin/fcgi-api
