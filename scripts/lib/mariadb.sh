# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A private MariaDB in RUN_DIR/mariadb. Its administrator is the operating system's user that runs
# the stack, known to the server by the unix socket. Accounts: `carillon-migrate` makes and changes the tables,
# `carillon-api` may do what the API does with their rows (sql/grants.sql), `carillon-adminer` is a person's,
# and `carillon-emit` is for other programs, which may emit events and nothing else (docs/emit.md).
#
# With GALERA=FILE (scripts/cluster) it is a member of a cluster: FILE has its lines for that. Accounts and tables are the
# cluster's then. They are made once, by the member with GALERA_FIRST=1, which also begins the cluster.

# A joining member may have to copy everything from another one, and its notifier is ready when its broker has what it missed.
MARIADB_READY_S=60 MARIADB_JOINED_S=600

MIGRATE_ACCOUNT="'carillon-migrate'@'localhost'"
API_ACCOUNT="'carillon-api'@'localhost'"
ADMINER_ACCOUNT="'carillon-adminer'@'127.0.0.1'"
EMIT_ACCOUNT="'carillon-emit'@'127.0.0.1'"

mariadb_configure() {
    local user
    user=$(id -un)
    mariadb_accounts
    rm -f "$SECRET_DIR/db_password" # of an account that is no more, see mariadb_init_sql
    mariadb_conf "$user" >"$ETC_DIR/mariadb.cnf"
    (
        umask 077
        database_address "$user" "$DB_SOCKET" >"$ETC_DIR/mariadb-admin.cnf"
        mariadb_init_sql >"$ETC_DIR/mariadb-init.sql"
    )
    mariadb_reads "$ETC_DIR/mariadb.cnf" ||
        die "MariaDB does not read $ETC_DIR/mariadb.cnf ($(stat -c 'mode %a, of %U' "$ETC_DIR/mariadb.cnf")), and would open the system's own data"
    service_make mariadb mariadb "MARIADB_CONFIG=$ETC_DIR/mariadb.cnf" "MARIADB_ADMIN_CONFIG=$ETC_DIR/mariadb-admin.cnf" "GALERA=${GALERA:-}"
    ! mariadb_first || [ -z "${GALERA:-}" ] || : >"$SERVICE_DIR/mariadb/bootstrap"
}

# Whether accounts and tables are this server's to make.
mariadb_first() { [ -z "${GALERA:-}" ] || [ "${GALERA_FIRST:-}" = 1 ]; }

# mariadb_conf USER
mariadb_conf() {
    cat <<CONFIG
[mariadbd]
# As root the server keeps running as root: a development stack, reachable from this machine only.
user = $1
datadir = $RUN_DIR/mariadb
socket = $DB_SOCKET
pid-file = $RUN_DIR/tmp/mariadb.pid
tmpdir = $RUN_DIR/tmp
bind-address = 127.0.0.1
port = $DB_PORT
skip-name-resolve
character-set-server = utf8mb4
collation-server = utf8mb4_unicode_ci
default-time-zone = '+00:00'
innodb_flush_log_at_trx_commit = 1
event_scheduler = OFF
max_connections = 300
CONFIG
    if [ -n "${GALERA:-}" ]; then cat "$GALERA"; else say "init_file = $ETC_DIR/mariadb-init.sql"; fi
    [ "$TLS" != 1 ] || cat <<CONFIG
ssl_ca = $TLS_DIR/ca.pem
ssl_cert = $TLS_DIR/server.pem
ssl_key = $TLS_DIR/server.key
tls_version = TLSv1.2,TLSv1.3
CONFIG
}

# A file that others may write to is ignored, with a line in the log; what it does not say is then the system's.
mariadb_reads() { my_print_defaults --defaults-file="$1" mariadbd 2>/dev/null | grep -q '^--datadir='; }

# Runs at each start of the server, before it takes connections.
mariadb_init_sql() {
    # An older version had one account for all parts.
    say "DROP USER IF EXISTS 'carillon'@'localhost', 'carillon'@'127.0.0.1';"
    if [ "$TLS" = 1 ]; then say "DROP USER IF EXISTS 'carillon-api'@'localhost';"; else say "DROP USER IF EXISTS 'carillon-api'@'127.0.0.1';"; fi
    database_accounts carillon "$MIGRATE_ACCOUNT" "$API_ACCOUNT" "$ADMINER_ACCOUNT" "$EMIT_ACCOUNT"
    # With TLS the API connects over TCP only.
    [ "$TLS" != 1 ] || say "ALTER USER $API_ACCOUNT REQUIRE SSL;"
}

# Created in a second folder and moved in one step, so that an interrupted first start leaves nothing half done. In a TMPDIR of
# its own: a server that starts removes every temporary table it finds there, another server's too.
mariadb_install() {
    local new=$RUN_DIR/mariadb.new log=$LOG_DIR/mariadb/current
    [ ! -d "$RUN_DIR/mariadb/mysql" ] || return 0
    rm -rf "$new"
    # A member that joins gets its data from another one.
    mariadb_first || { (umask 077 && mkdir -p "$RUN_DIR/mariadb"); return 0; }
    mkdir -m 700 "$new"
    (clean_environment TMPDIR="$RUN_DIR/tmp" mariadb-install-db --no-defaults --datadir="$new" --user="$(id -un)" \
        --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" --skip-test-db \
        --skip-name-resolve) >"$log" 2>&1 || {
        grep ERROR "$log" >&2 || tail -n 20 "$log" >&2
        die "MariaDB could not make its data directory; all it said is in $log"
    }
    mv "$new" "$RUN_DIR/mariadb"
}

mariadb_patience() { if [ -n "${GALERA:-}" ]; then say $MARIADB_JOINED_S; else say $MARIADB_READY_S; fi; }

# Accounts (which a server by itself makes at its start) and tables.
mariadb_fill() {
    mariadb_first || return 0
    [ -z "${GALERA:-}" ] || (database_client "$ETC_DIR/mariadb-admin.cnf") <"$ETC_DIR/mariadb-init.sql"
    mariadb_migrate --demo --quiet
}

# Of a cluster's member, before its pool starts: from then on every event waits for this node, too. The first machine was there
# before it had a name.
NODE_TRIES=3

mariadb_register() {
    local try problem=''
    [ -n "${GALERA:-}" ] || return 0
    for ((try = 1; try <= NODE_TRIES; try++)); do
        problem=$( (database_client "$ETC_DIR/mariadb-admin.cnf" --database=carillon \
            --execute="$(! mariadb_first || say "UPDATE nodes SET name = '$NODE' WHERE id = 1 AND name = 'first';") CALL node_register('$NODE')") 2>&1 >/dev/null) && return
    done
    die "the node $NODE could not be registered: $problem; see scripts/logs mariadb"
}

# The host in the API's account depends on how the API connects.
mariadb_accounts() { [ "$TLS" != 1 ] || API_ACCOUNT="'carillon-api'@'127.0.0.1'"; }

# mariadb_migrate ARGUMENT...: scripts/migrate with this stack's database and accounts.
mariadb_migrate() {
    DB_SOCKET=$DB_SOCKET DB_USER=carillon-migrate DB_PASSWORD='' DB_PASSWORD_FILE=$(secret_file db_migrate_password) \
        DB_NAME=carillon API_ACCOUNT=$API_ACCOUNT ADMINER_ACCOUNT=$ADMINER_ACCOUNT EMIT_ACCOUNT=$EMIT_ACCOUNT "$ROOT/scripts/migrate" "$@"
}
