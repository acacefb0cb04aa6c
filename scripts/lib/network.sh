# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The network of a cluster on one machine: a namespace for each node, with a cable (veth) to one bridge. The machine itself has
# the address .254, from which HAProxy connects. Names are made of NET, so that several clusters can stand side by side.

network_names() {
    local tag=${NET#10.}
    tag=${tag//./-}
    BRIDGE=carb$tag FRONT_ADDRESS=$NET.254 CABLE=carv$tag NAMESPACE=carillon-$tag
}

network_valid() {
    if ! [[ $NET =~ ^10\.([0-9]{1,3})\.([0-9]{1,3})$ ]] || [ "${BASH_REMATCH[1]}" -gt 255 ] || [ "${BASH_REMATCH[2]}" -gt 255 ]; then
        die "--net must be the first three numbers of addresses that begin with 10, as 10.77.0, not '$NET'"
    fi
}

network_of() { printf '%s-%s' "$NAMESPACE" "$(node_number "$1")"; }
network_cable() { printf '%s-%s' "$CABLE" "$(node_number "$1")"; }
network_exec() { local node=$1; shift; ip netns exec "$(network_of "$node")" "$@"; }
network_there() { [ -e "/run/netns/$(network_of "$1")" ]; }
network_pids() { ! network_there "$1" || ip netns pids "$(network_of "$1")" 2>/dev/null; }

network_there_is() { ip link show "$BRIDGE" >/dev/null 2>&1; }

# Ends with the reason where the net is another cluster's. That one has the same names, and this one must not start, stop or kill
# its nodes.
network_check() {
    local owner
    network_there_is || return 0
    owner=$(cat "/sys/class/net/$BRIDGE/ifalias")
    [ "$owner" = "$CLUSTER_DIR" ] ||
        die "the net $NET is that of the cluster in $owner, and nothing of the one in $CLUSTER_DIR runs; stop that one first, or begin another with --net 10.78.0"
}

network_up() {
    local taken node
    if ! network_there_is; then
        taken=$(ip -o -4 addr | awk -v net="$NET." 'index($4, net) == 1 { taken = $2 } END { print taken }')
        [ -z "$taken" ] || die "$taken has an address in $NET.0/24 already; choose another net with --net 10.78.0"
        ip link add "$BRIDGE" type bridge || die "the kernel of this machine makes no bridge, so no cluster can run here"
        ip link set "$BRIDGE" alias "$CLUSTER_DIR"
        ip addr add "$FRONT_ADDRESS/24" dev "$BRIDGE"
        ip link set "$BRIDGE" up
    fi
    for node in "$@"; do network_there "$node" || network_node "$node"; done
}

# network_node NODE: makes its namespace and cable, or neither.
network_node() {
    local namespace cable
    namespace=$(network_of "$1") cable=$(network_cable "$1")
    ip netns add "$namespace" || die "this machine makes no network namespaces, so no cluster can run here"
    ip link del "$cable" 2>/dev/null || true
    if ! { ip link add "$cable" type veth peer name eth0 netns "$namespace" &&
        ip link set "$cable" master "$BRIDGE" up &&
        ip -n "$namespace" addr add "$(node_address "$1")/24" dev eth0 &&
        ip -n "$namespace" link set eth0 up &&
        ip -n "$namespace" link set lo up &&
        ip -n "$namespace" route add default via "$FRONT_ADDRESS"; }; then
        network_drop "$1"
        die "the network of $1 could not be made; see the line before this one"
    fi
}

# network_drop NODE: removes both, once nothing runs there.
network_drop() {
    ip netns del "$(network_of "$1")" 2>/dev/null || true
    ip link del "$(network_cable "$1")" 2>/dev/null || true
}
network_down() { ip link del "$BRIDGE" 2>/dev/null || true; }

# network_state NODE: prints `cut` (nothing passes, and no side is told), `deaf` (what it sends arrives, and what is sent to it does
# not), `deaf to OTHER` (only what that node sends to it does not), or nothing.
network_state() {
    local other
    network_there "$1" || return 0
    if ! ip -o link show "$(network_cable "$1")" 2>/dev/null | grep -q ',UP'; then printf cut; return; fi
    if network_deaf_rule "$1" '' -C 2>/dev/null; then printf deaf; return; fi
    for other in "${NODES[@]}"; do
        if network_deaf_rule "$1" "$other" -C 2>/dev/null; then printf 'deaf to %s' "$other"; return; fi
    done
}

# network_deaf_rule NODE OTHER|'' ACTION
network_deaf_rule() {
    local from=()
    [ -z "$2" ] || from=(-s "$(node_address "$2")")
    network_exec "$1" iptables -w "$3" INPUT -i eth0 "${from[@]}" -j DROP
}
network_cut() { ip link set "$(network_cable "$1")" down; }
network_deafen() { network_deaf_rule "$1" "$2" -I; }
network_heal() {
    local other
    ip link set "$(network_cable "$1")" up
    for other in '' "${NODES[@]}"; do
        while network_deaf_rule "$1" "$other" -D 2>/dev/null; do :; done
    done
}
