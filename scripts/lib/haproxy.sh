# shellcheck shell=bash disable=SC2034 # what a stack has
# SPDX-License-Identifier: MIT
# HAProxy in front of the nodes: a stack with one part, in CLUSTER_DIR/front. A node gets requests while its /readyz says so, and
# browsers while its /notifier/readyz does.

front_stack() { RUN_DIR=$CLUSTER_DIR/front && stack_paths; }

front_configure() {
    local node ipv6=''
    ! ipv6_loopback || ipv6="bind [::1]:$PORT"
    cat >"$CLUSTER_ETC/haproxy.cfg" <<CONFIG
global
    log stdout format raw local0 info

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option forwardfor
    option redispatch 1
    retries 3
    timeout connect 1s
    timeout check 1s
    timeout http-request 15s
    timeout client 75s
    timeout server 30s
    timeout tunnel 1h
    # A silent node is out after two checks, and its connections are ended: browsers come back elsewhere, with their cursor. A
    # request that waits for it is answered 502, and its client can find out whether it was done (docs/protocol.md).
    default-server check inter 500ms fastinter 250ms downinter 500ms fall 2 rise 2 on-marked-down shutdown-sessions
    # HAProxy's own: the request was sent to no node.
    http-error status 503 content-type application/problem+json string '{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"no node is ready"}' hdr Retry-After 1

frontend door
    bind 127.0.0.1:$PORT
    $ipv6
    monitor-uri /.haproxy
    use_backend notifiers if { path /ws /events } or { path_beg /notifier/ }
    default_backend apis

backend apis
    balance roundrobin
    option prefer-last-server
    option httpchk GET /readyz
$(for node in "${NODES[@]}"; do printf '    server %s %s:80\n' "$node" "$(node_address "$node")"; done)

backend notifiers
    balance leastconn
    timeout server 90s
    option httpchk GET /notifier/readyz
$(for node in "${NODES[@]}"; do printf '    server %s %s:80\n' "$node" "$(node_address "$node")"; done)
CONFIG
}

front_start() {
    local began
    began=$(now_ms)
    front_configure
    (
        front_stack
        stack_directories
        PARTS=(haproxy)
        rm -rf "${SERVICE_DIR:?}" && (umask 077 && mkdir "$SERVICE_DIR")
        service_make haproxy haproxy "HAPROXY_CONFIG=$CLUSTER_ETC/haproxy.cfg" "PORT=$PORT"
        LOCK=$CLUSTER_LOCK supervisor_start
        part_start haproxy
        part_wait haproxy 20 "$began"
    )
}

front_runs() { (front_stack && supervisor_runs); }
# Whether any process of it runs, also one without a supervisor.
front_lives() { (front_stack && ! processes_none); }
front_stop() { (front_stack && supervisor_stop && stack_drop_sockets); }

# With the nodes that there are now; connections stay.
front_reload() {
    front_configure
    ! front_runs || (front_stack && s6-svc -2 "$SERVICE_DIR/haproxy")
}
