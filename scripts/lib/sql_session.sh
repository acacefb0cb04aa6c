# shellcheck shell=bash disable=SC2153,SC2154 # what the caller has, and bash (the coprocess)
# SPDX-License-Identifier: MIT
# One connection to the database for all that scripts/migrate does. The client gets whole files: it executes what
# it was given to the end, also when the script is killed, and holds the lock until then. With a pipe, a kill could leave half
# a statement, which the client would run. The caller has a directory `temporary` with the client's address in
# client.cnf, and ignores SIGPIPE.

LOCK_SECONDS=60
session_in='' session_out='' answer=''

# session_open [unlocked]: (anew) and, unless told otherwise, with the lock.
session_open() {
    session_close
    coproc SESSION { (database_client "$temporary/client.cnf" --batch --skip-column-names --unbuffered \
        --abort-source-on-error "$DB_NAME") 2>"$temporary/errors"; }
    # shellcheck disable=SC2153 # of coproc
    session_pid=$SESSION_PID
    exec {session_in}>&"${SESSION[1]}" {session_out}<&"${SESSION[0]}"
    # Rows are locked, not the gaps between them: programs go on beside. What a date may be is defined by the tables.
    session "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';" || {
        session_complain
        die "cannot reach the database $DB_NAME; see DB_SOCKET or DB_HOST, DB_NAME, DB_USER, DB_PASSWORD"
    }
    [ "${1:-}" != unlocked ] || return 0
    ask "SELECT GET_LOCK('carillon_migrate', $LOCK_SECONDS)"
    [ "$answer" = 1 ] || die "another migration has been running for $LOCK_SECONDS s; try again when it has ended"
}

session_close() {
    [ -n "$session_in" ] || return 0
    exec {session_in}>&- {session_out}<&-
    wait "$session_pid" 2>/dev/null || true
}

# session_file FILE: false when one of its statements failed; the client is gone then. Rows are in `answer`.
session_file() {
    local line token="-- end of $RANDOM$RANDOM"
    answer=''
    { printf "source %s\nSELECT '%s';\n" "$1" "$token" >&"$session_in"; } 2>/dev/null || return 1
    while IFS= read -r -u "$session_out" line; do
        if [ "$line" = "$token" ]; then
            answer=${answer%$'\n'}
            return 0
        fi
        answer+=$line$'\n'
    done
    return 1
}

# session SQL: statements with their semicolons.
session() {
    printf '%s\n' "$1" >"$temporary/session.sql"
    session_file "$temporary/session.sql"
}

# ask QUERY: its rows into `answer`.
ask() {
    session "$1;" || {
        session_complain
        die "the database did not answer: ${1:0:60}"
    }
}

# The number of the error that ended the client; empty when it was not the server's.
session_error() { sed -nE 's/^ERROR ([0-9]+) .*/\1/p' "$temporary/errors" | grep -vxE '2[0-9]{3}' | tail -n 1 || true; }
session_complain() { cat "$temporary/errors" >&2; }
