# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A private RabbitMQ in RUN_DIR/rabbitmq with an epmd of its own. Its users come from a definitions
# file that is read at each start (accounts.sh).

rabbitmq_configure() {
    RABBITMQ_OLD=no
    [ ! -d "$RUN_DIR/rabbitmq/carillon@localhost" ] || RABBITMQ_OLD=yes
    mkdir -p "$RUN_DIR/rabbitmq/home" "$ETC_DIR/rabbitmq"
    rm -f "$SECRET_DIR/amqp_password" # of an account that is no more, see rabbitmq_dismiss
    (
        umask 077
        rabbitmq_conf >"$ETC_DIR/rabbitmq/rabbitmq.conf"
        broker_accounts / "${AMQP_EXCHANGE:-tasks}" "${AMQP_QUEUE:-tasks_completed}" admin >"$ETC_DIR/rabbitmq/definitions.json"
        printf 'user = "admin:%s"\n' "$(secret amqp_admin_password)" >"$ETC_DIR/rabbitmq/admin.curl"
    )
    # Erlang's cookie: new at each start, so that an empty file (a power cut) does no harm.
    rm -f "$RUN_DIR/rabbitmq/home/.erlang.cookie"
    (umask 377 && random_password >"$RUN_DIR/rabbitmq/home/.erlang.cookie")
    printf '[rabbitmq_management].\n' >"$ETC_DIR/rabbitmq/enabled_plugins"
    : >"$ETC_DIR/rabbitmq/rabbitmq-env.conf" # keeps the system's from being read
    rabbitmq_plugins
    service_make epmd epmd "ERL_EPMD_PORT=$EPMD_PORT"
    service_make rabbitmq rabbitmq \
        "RUNNING_UNDER_SYSTEMD=true" \
        "HOME=$RUN_DIR/rabbitmq/home" \
        "ERL_EPMD_PORT=$EPMD_PORT" \
        "ERL_EPMD_ADDRESS=127.0.0.1" \
        "RABBITMQ_NODENAME=carillon@localhost" \
        "RABBITMQ_NODE_PORT=$AMQP_PORT" \
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1" \
        "RABBITMQ_DIST_PORT=$DIST_PORT" \
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}" \
        "RABBITMQ_MNESIA_BASE=$RUN_DIR/rabbitmq" \
        "RABBITMQ_LOG_BASE=$LOG_DIR/rabbitmq" \
        "RABBITMQ_CONFIG_FILE=$ETC_DIR/rabbitmq/rabbitmq.conf" \
        "RABBITMQ_CONF_ENV_FILE=$ETC_DIR/rabbitmq/rabbitmq-env.conf" \
        "RABBITMQ_ADVANCED_CONFIG_FILE=$ETC_DIR/rabbitmq/advanced.config" \
        "RABBITMQ_ENABLED_PLUGINS_FILE=$ETC_DIR/rabbitmq/enabled_plugins" \
        "RABBITMQ_PLUGINS_DIR=$ETC_DIR/rabbitmq/plugins" \
        "RABBITMQ_ADMIN_CURL=$ETC_DIR/rabbitmq/admin.curl" \
        "MANAGEMENT_PORT=$MANAGEMENT_PORT" \
        "STREAM=${AMQP_QUEUE:-tasks_completed}"
}

# RabbitMQ reads the settings' schema of every plugin that it finds, enabled or not. Without those that are not used it starts in 6 s
# instead of 8. Whatever has another name is a library.
rabbitmq_plugins() {
    local plugin folder=$ETC_DIR/rabbitmq/plugins
    rm -rf "$folder" && mkdir "$folder"
    for plugin in /usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins/*; do
        case ${plugin##*/} in
            rabbitmq_prelaunch-* | rabbitmq_management-* | rabbitmq_management_agent-* | rabbitmq_web_dispatch-*) ;;
            rabbitmq_*) continue ;;
        esac
        ln -s "$plugin" "$folder/"
    done
}

rabbitmq_conf() {
    cat <<CONFIG
listeners.tcp.1 = 127.0.0.1:$AMQP_PORT
management.tcp.ip = 127.0.0.1
management.tcp.port = $MANAGEMENT_PORT
load_definitions = $ETC_DIR/rabbitmq/definitions.json
log.file = false
log.console = true
log.console.level = info
log.console.use_colors = off
log.connection.level = warning
CONFIG
    [ "$TLS" != 1 ] || cat <<CONFIG
listeners.ssl.1 = 127.0.0.1:$AMQPS_PORT
ssl_options.cacertfile = $TLS_DIR/ca.pem
ssl_options.certfile = $TLS_DIR/server.pem
ssl_options.keyfile = $TLS_DIR/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
CONFIG
}

# Definitions only add: the account that both programs shared in older versions is removed here.
rabbitmq_dismiss() {
    local status
    status=$(clean_environment curl --disable --silent --config "$ETC_DIR/rabbitmq/admin.curl" --request DELETE --output /dev/null \
        --write-out '%{http_code}' "http://127.0.0.1:$MANAGEMENT_PORT/api/users/carillon" || true)
    case $status in 204 | 404) ;; *) die "cannot remove RabbitMQ's old user carillon ($status); see scripts/logs rabbitmq" ;; esac
}

# RabbitMQ's data are a copy of what the database has, so a broker that does not start with them gets new ones.
rabbitmq_part() { (cd "$SERVICE_DIR/rabbitmq" && clean_environment s6-envdir env "$@"); }

# rabbitmq_look yes|no: before its start: renews the data when that was asked for, or when they are known to be damaged.
rabbitmq_look() {
    local damaged
    if [ "$1" = yes ]; then rabbitmq_part ./renew "as asked"
    elif damaged=$(rabbitmq_part ./damaged); then rabbitmq_part ./renew "empty: ${damaged//$'\n'/ }"
    fi
}

rabbitmq_wait() {
    begin rabbitmq
    if ! wait_until 90000 rabbitmq_decided || ! part_check rabbitmq; then
        # Without data of before there is nothing to renew: part_wait shows what it said.
        if [ "$RABBITMQ_OLD" = yes ] && supervisor_runs; then rabbitmq_renew "it did not start with them"; fi
    fi
    part_wait rabbitmq 90 "$1"
}

rabbitmq_decided() { part_check rabbitmq || [ "$(part_restarts rabbitmq)" -ge 1 ] || ! supervisor_runs; }

# A stream can be left in a state from which RabbitMQ 3.10 does not bring it up again (see parts/rabbitmq/start).
rabbitmq_stream_lost() { tail -qn 3 "$LOG_DIR/ws-notifier/current" "$LOG_DIR/fcgi-api/current" | grep -qs "home node .* is down or inaccessible"; }

# rabbitmq_renew WHY
rabbitmq_renew() {
    part_stop rabbitmq 20000 || true
    rabbitmq_part ./renew "$1"
    # Its deaths until now are no reason to give up.
    s6-svdt-clear "$SERVICE_DIR/rabbitmq"
    part_start rabbitmq
}
