# shellcheck shell=bash disable=SC2034 # what is set here is read by the scripts
# SPDX-License-Identifier: MIT
# The database that scripts/backup and scripts/restore are about: an address of the caller's, or the stack in RUN_DIR.

temporary=''

# Sets BACKUP_DIR, DB_NAME, the directory `temporary` with the client's address in client.cnf, and RUNS_HERE for a run directory.
backup_database() {
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    DB_NAME=${DB_NAME:-carillon}
    [[ $DB_NAME =~ ^[A-Za-z0-9_-]+$ ]] || die "DB_NAME must have letters, digits, _ and - only, not '$DB_NAME'"
    if [ -n "${DB_SOCKET:-}${DB_HOST:-}${DB_PORT:-}" ] || [ ! -f "$ROOT/scripts/lib/stack.sh" ]; then
        BACKUP_DIR=/var/backups/carillon
        connection_file "$temporary/client.cnf"
        return
    fi
    # shellcheck source=scripts/lib/stack.sh
    . "$ROOT/scripts/lib/stack.sh"
    if ! stack_load || [ ! -S "$DB_SOCKET" ]; then die "no database runs in $RUN_DIR; start it with scripts/run, or set DB_SOCKET or DB_HOST"; fi
    BACKUP_DIR=$RUN_DIR/backups RUNS_HERE=yes DB_NAME=carillon
    (umask 077 && cp "$ETC_DIR/mariadb-admin.cnf" "$temporary/client.cnf")
}

# One moment of all tables, without a lock that a writer would wait for.
backup_dump() {
    (clean_environment mariadb-dump --defaults-file="$temporary/client.cnf" --single-transaction --quick --routines --triggers \
        --hex-blob --skip-lock-tables "$DB_NAME")
}

backup_client() { (database_client "$temporary/client.cnf" --batch "$@" "$DB_NAME"); }
