# shellcheck shell=bash disable=SC2153,SC2154 # what scripts/cluster has
# SPDX-License-Identifier: MIT
# scripts/cluster status: asks every node, all at once.

command_status() {
    if ! cluster_load; then
        [ "$form" = table ] || say '{"nodes":{},"endpoints":{}}'
        warn "no cluster was ever started in $CLUSTER_DIR; start one with scripts/cluster start"
        exit 3
    fi
    network_check
    nodes_list
    local node folder lives=no
    folder=$(mktemp -d)
    # shellcheck disable=SC2064 # as it is now
    trap "rm -rf '$folder'" EXIT
    for node in "${NODES[@]}"; do node_look "$node" >"$folder/$node" & done
    wait
    waiting_look
    "status_$form" "$folder"
    for node in "${NODES[@]}"; do ! node_lives "$node" || lives=yes; done
    [ "$lives" = yes ] || front_runs || { warn "nothing runs in $CLUSTER_DIR; start it with scripts/cluster start"; exit 3; }
}

# Sets WAITING: for each node, also one that is away, how many events of the journal its broker has not confirmed.
waiting_look() {
    local member node count
    declare -gA WAITING=()
    member=$(galera_member) || return 0
    while IFS=$'\t' read -r node count; do WAITING[$node]=$count; done < <(node_sql "$member" \
        "SELECT name, (SELECT COUNT(*) FROM carillon.outbox WHERE node = nodes.id) FROM carillon.nodes" 2>/dev/null || true)
}

# node_look NODE: prints a line each for its state, its cable (cut, deaf or -), the status of its component, its state in that, the
# component's size, its position, and its parts as JSON.
node_look() {
    local state=down parts='{}' link primary='' galera='' size='' position=''
    link=$(network_state "$1")
    if node_lives "$1"; then
        # False when the node's supervisor is gone.
        parts=$(node_script "$1" status --json 2>/dev/null | sed -n 's/^{"parts":\(.*\),"endpoints":.*/\1/p') || true
        case $parts in *'"state":"down"'* | *'"state":"unready"'* | '' | '{}') state=unready ;; *) state=up ;; esac
        IFS=$'\t' read -r primary galera size position < <(node_sql "$1" "SELECT
            MAX(IF(variable_name = 'WSREP_CLUSTER_STATUS', variable_value, '')), MAX(IF(variable_name = 'WSREP_LOCAL_STATE_COMMENT', variable_value, '')),
            MAX(IF(variable_name = 'WSREP_CLUSTER_SIZE', variable_value, '')), MAX(IF(variable_name = 'WSREP_LAST_COMMITTED', variable_value, ''))
            FROM information_schema.global_status WHERE variable_name LIKE 'wsrep%'" 2>/dev/null) || true
    fi
    printf '%s\n' "$state" "${link:--}" "${primary:--}" "${galera:--}" "${size:--}" "${position:--}" "${parts:-{\}}"
}

status_table() {
    local node fields
    printf '%-15s %-13s %-9s %-6s %-24s %10s %8s\n' node address state cable database position waiting
    for node in "${NODES[@]}"; do
        mapfile -t fields <"$1/$node"
        [ "${fields[2]}" = - ] || fields[2]="${fields[2]}, ${fields[3]}, of ${fields[4]}"
        printf '%-15s %-13s %-9s %-6s %-24s %10s %8s\n' "$node" "$(node_address "$node")" "${fields[0]}" "${fields[1]}" "${fields[2]}" "${fields[5]}" "${WAITING[$node]:--}"
    done
    printf '\nhttp        http://127.0.0.1:%s\nws          ws://127.0.0.1:%s/ws\n' "$PORT" "$PORT"
    front_runs || say "HAProxy does not run; scripts/cluster start starts it"
}

status_json() {
    local node fields list=''
    for node in "${NODES[@]}"; do
        mapfile -t fields <"$1/$node"
        list+=",\"$node\":{\"address\":\"$(node_address "$node")\",\"state\":\"${fields[0]}\",\"cable\":$(json_or_null "${fields[1]}"),\"run_dir\":\"$(node_dir "$node")\","
        list+="\"namespace\":\"$(network_of "$node")\",\"galera\":{\"component\":$(json_or_null "${fields[2]}"),\"state\":$(json_or_null "${fields[3]}"),"
        list+="\"size\":${fields[4]/#-/null},\"position\":${fields[5]/#-/null}},\"waiting\":${WAITING[$node]:-null},\"parts\":${fields[6]}}"
    done
    printf '{"nodes":{%s},"front":"%s","endpoints":{"http":"http://127.0.0.1:%s","ws":"ws://127.0.0.1:%s/ws"}}\n' \
        "${list#,}" "$(if front_runs; then printf up; else printf down; fi)" "$PORT" "$PORT"
}

json_or_null() { if [ "$1" = - ]; then printf null; else printf '"%s"' "$1"; fi; }
