# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Galera: each member's lines for MariaDB, how far its data go, and which member may begin the cluster.

GALERA_LIBRARY=/usr/lib/galera/libgalera_smm.so

# With Galera's defaults each death of a mariadbd stops all writes for 6 s, and its return for 11 s more (docs/cluster.md).
GALERA_OPTIONS='evs.suspect_timeout=PT1.5S; evs.inactive_timeout=PT3S; evs.install_timeout=PT3S; evs.keepalive_period=PT0.3S; evs.inactive_check_period=PT0.3S; gmcast.peer_timeout=PT2S; gcache.size=256M'

# galera_conf NODE: its lines.
galera_conf() {
    local node peers=''
    for node in "${NODES[@]}"; do peers+=${peers:+,}$(node_address "$node"); done
    cat <<CONFIG
binlog_format = ROW
default_storage_engine = InnoDB
innodb_autoinc_lock_mode = 2
# Without it only the administrator may make triggers and functions: wsrep counts as a binary log there.
log_bin_trust_function_creators = ON
wsrep_on = ON
wsrep_provider = $GALERA_LIBRARY
wsrep_cluster_name = carillon
wsrep_cluster_address = gcomm://$peers
wsrep_node_name = $1
wsrep_node_address = $(node_address "$1")
wsrep_retry_autocommit = 0
wsrep_sst_method = mariabackup
# The administrator is known by the operating system's user, so without a password.
wsrep_sst_auth = $(id -un):
wsrep_provider_options = "$GALERA_OPTIONS; gmcast.listen_addr=tcp://$(node_address "$1"):4567; ist.recv_addr=$(node_address "$1"):4568"
CONFIG
}

galera_configure() {
    local node
    mkdir -p "$CLUSTER_ETC"
    for node in "${NODES[@]}"; do galera_conf "$node" >"$CLUSTER_ETC/$node.cnf"; done
}

# galera_status NODE NAME: a value of wsrep's; nothing, and false, when the database does not answer.
galera_status() { node_sql "$1" "SHOW STATUS LIKE 'wsrep_$2'" 2>/dev/null | cut -f 2; }
galera_primary() { [ "$(galera_status "$1" cluster_status)" = Primary ]; }

# galera_member [EXCEPT]: prints a node whose database is in the primary component; false when there is none.
galera_member() {
    local node
    for node in "${NODES[@]}"; do
        if [ "$node" != "${1:-}" ] && galera_primary "$node"; then printf '%s' "$node"; return; fi
    done
    return 1
}

# galera_position NODE: prints UUID:NUMBER; `new` where there are no data at all, `unknown` where they are not whole.
galera_position() {
    local uuid number data
    data=$(node_dir "$1")/mariadb
    uuid=$(galera_status "$1" local_state_uuid) || true
    number=$(galera_status "$1" last_committed) || true
    if [ -n "$number" ]; then printf '%s:%s' "$uuid" "$number"
    elif [ ! -e "$data/grastate.dat" ] && [ ! -e "$data/ibdata1" ]; then printf new
    else (node_stack "$1" && "$ROOT/scripts/parts/mariadb/position" "$ETC_DIR/mariadb.cnf" 2>/dev/null) || printf unknown
    fi
}

galera_uuid() { sed -n 's/^uuid: *//p' "$(node_dir "$1")/mariadb/grastate.dat" 2>/dev/null || true; }
galera_left_last() { grep -qs '^safe_to_bootstrap: *1' "$(node_dir "$1")/mariadb/grastate.dat"; }

# Sets FIRST to the node that may begin the cluster, while no database runs: the one with the highest position. That is known only
# when all positions are, because a node without a known position may have accepted writes that no other one has.
galera_choose() {
    local node position uuid='' of='' best=-1 unknown=() new=() number
    FIRST=''
    for node in "${NODES[@]}"; do
        position=$(galera_position "$node")
        position=${position%%,*}
        case $position in
            new) new+=("$node"); continue ;;
            unknown) unknown+=("$node"); continue ;;
        esac
        [ -z "$uuid" ] || [ "$uuid" = "${position%:*}" ] ||
            die "the data of $of and of $node are of two clusters ($uuid and ${position%:*}); move away the directory in $CLUSTER_DIR that does not belong here, start the others, and bring the node in with scripts/cluster join"
        uuid=${position%:*} number=${position##*:} of=$node
        say "$(printf '%-13s' "$node") has position $number"
        if [ "$number" -gt "$best" ] || { [ "$number" = "$best" ] && galera_left_last "$node" && ! galera_left_last "$FIRST"; }; then
            best=$number FIRST=$node
        fi
    done
    if [ "${#new[@]}" = "${#NODES[@]}" ]; then
        FIRST=${NODES[0]}
    elif [ -z "$FIRST" ]; then
        die "no node has whole data (${unknown[*]}${new:+ ${new[*]}}); put a backup back (scripts/restore)"
    elif [ ${#unknown[@]} -gt 0 ] || [ ${#new[@]} -gt 0 ]; then
        unknown+=("${new[@]}")
        ! galera_left_last "$FIRST" || return 0
        die "the position of ${unknown[*]} is not known, so $FIRST may lack accepted writes; to go on without them: scripts/cluster start --from $FIRST"
    fi
}
