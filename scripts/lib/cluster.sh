# shellcheck shell=bash disable=SC2034 # what is set here is read by scripts/cluster
# SPDX-License-Identifier: MIT
# A cluster on one machine is one directory: CLUSTER_DIR. Each node in it is a stack of scripts/run, in a network namespace.
#
#   cluster.env   what the first start decided: NET, PORT, MEMBERS (a name or - for each address)
#   NODE/         RUN_DIR of a node             front/     HAProxy
#   secrets/      what all nodes have           etc/       HAProxy's and each node's lines for MariaDB

MEMBERS_MOST=9
# Accounts are rows of the replicated database, and every node must accept the same tokens.
SHARED_SECRETS=(db_migrate_password db_api_password db_adminer_password db_emit_password jwt_secret)
NOT_NAMES=' front secrets etc cluster.env lock '

cluster_paths() {
    CLUSTER_DIR=${CLUSTER_DIR:-$ROOT/.cluster}
    case $CLUSTER_DIR in /*) ;; *) CLUSTER_DIR=$PWD/$CLUSTER_DIR ;; esac
    CLUSTER_DIR=$(realpath -m -- "$CLUSTER_DIR")
    case $CLUSTER_DIR in
        *[!A-Za-z0-9._/@+-]*) die "the path $CLUSTER_DIR has a character that some part does not accept; set CLUSTER_DIR to a path of letters, digits and . _ / @ + -" ;;
    esac
    CLUSTER_ETC=$CLUSTER_DIR/etc
}

cluster_load() {
    MEMBERS=()
    [ -f "$CLUSTER_DIR/cluster.env" ] || return 1
    # shellcheck disable=SC1091 # made by cluster_save
    . "$CLUSTER_DIR/cluster.env"
    network_names
}

cluster_save() {
    {
        printf 'NET=%q\nPORT=%q\n' "$NET" "$PORT"
        printf 'MEMBERS=(%s)\n' "${MEMBERS[*]}"
    } >"$CLUSTER_DIR/cluster.env.new"
    mv "$CLUSTER_DIR/cluster.env.new" "$CLUSTER_DIR/cluster.env"
}

# One command that changes the cluster at a time.
cluster_lock() {
    exec {CLUSTER_LOCK}>"$CLUSTER_DIR/lock"
    flock -n "$CLUSTER_LOCK" || die "another scripts/cluster works in $CLUSTER_DIR; try again when it has ended"
}

# ---- nodes ---------------------------------------------------------------------------------------

# Sets NODES: the names without the gaps.
nodes_list() {
    local name
    NODES=()
    for name in "${MEMBERS[@]}"; do [ "$name" = - ] || NODES+=("$name"); done
}

node_known() { case " ${NODES[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }
node_must_be() { node_known "$1" || die "there is no node '$1' in this cluster; it has ${NODES[*]}"; }

node_name_valid() {
    if ! [[ $1 =~ ^[a-z][a-z0-9-]{0,31}$ ]] || [[ $NOT_NAMES = *" $1 "* ]]; then
        die "'$1' cannot be a node's name: use small letters, digits and -, up to 32, beginning with a letter, and none of${NOT_NAMES% }"
    fi
}

# names_valid NAME...
names_valid() {
    local name twin
    for name in "$@"; do node_name_valid "$name"; done
    twin=$(printf '%s\n' "$@" | sort | uniq -d | head -n 1)
    [ -z "$twin" ] || die "two nodes are called '$twin'; give each a name of its own"
    [ $# -le $MEMBERS_MOST ] || die "$# nodes are too many for this script; it can do $MEMBERS_MOST"
}

# The place in MEMBERS, from 1.
node_number() {
    local index
    for index in "${!MEMBERS[@]}"; do [ "${MEMBERS[index]}" != "$1" ] || { printf '%d' $((index + 1)); return; }; done
    return 1
}
node_address() { printf '%s.%d' "$NET" "$(node_number "$1")"; }
node_dir() { printf '%s/%s' "$CLUSTER_DIR" "$1"; }
# This file is there while the node's broker lacks events, because the node was forgotten: its next start empties the broker.
node_stale() { printf '%s/broker-is-stale' "$(node_dir "$1")"; }

# For a subshell: RUN_DIR and what follows from it are the node's.
node_stack() { RUN_DIR=$(node_dir "$1") && stack_paths; }

# node_script NODE SCRIPT ARGUMENT...: a script of this folder, in the node's place and with its settings. What the caller has set
# beside that (LOG_LEVEL, RING_BYTES) reaches the programs.
node_script() {
    local node=$1 script=$2 name unset=()
    shift 2
    for name in PORT "${STACK_PORTS[@]}" TLS_PORT AMQPS_PORT TLS RUN_DIR DB_SOCKET DB_HOST DB_USER DB_PASSWORD DB_PASSWORD_FILE; do unset+=(-u "$name"); done
    (
        [ -z "${CLUSTER_LOCK:-}" ] || exec {CLUSTER_LOCK}>&-
        network_exec "$node" env "${unset[@]}" RUN_DIR="$(node_dir "$node")" BUILD_DIR="$BUILD_DIR" NODE="$node" \
            API_PORT=off CLIENT_PORT=off WS_PORT=off ADMINER_PORT=off \
            GALERA="$CLUSTER_ETC/$node.cnf" GALERA_FIRST="${GALERA_FIRST:-0}" \
            LISTEN_ADDRESS="$(node_address "$node")" PROXY_ADDRESS="$FRONT_ADDRESS" "$ROOT/scripts/$script" "$@"
    )
}

node_runs() { (node_stack "$1" && supervisor_runs); }
# Whether any process of the node runs, also one without a supervisor.
node_lives() { [ -n "$(network_pids "$1")" ]; }

node_secrets() {
    local name target
    (umask 077 && mkdir -p "$CLUSTER_DIR/secrets")
    for name in "${SHARED_SECRETS[@]}"; do
        (SECRET_DIR=$CLUSTER_DIR/secrets && secret_file "$name" >/dev/null)
        target=$(node_dir "$1")/secrets
        (umask 077 && mkdir -p "$target")
        install -m 600 "$CLUSTER_DIR/secrets/$name" "$target/$name"
    done
}

# node_sql NODE QUERY: rows as the administrator, through the node's socket; false when it does not answer, or refuses, with
# its reason on stderr.
node_sql() {
    (node_stack "$1" && [ -S "$DB_SOCKET" ] &&
        database_client "$ETC_DIR/mariadb-admin.cnf" --batch --skip-column-names --connect-timeout=3 --execute="$2")
}
