# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The two programs and Adminer as parts. A setting in the caller's environment (LOG_LEVEL=debug
# scripts/run) reaches the programs that know it: the names are those of common/config.h.

# settings_of TABLE: NAME=value of every setting in CONFIG_TABLE (COMMON, API, NOTIFIER) that is set here.
settings_of() {
    local name
    while read -r name; do
        # The addresses of the other parts are the stack's, not the caller's.
        case $name in *_HOST | *_PORT | *_TLS_* | *_SOCKET | *_USER | *_PASSWORD | AMQP_VHOST | DB_NAME | API_STATS_FILE) continue ;; esac
        [ -n "${!name+set}" ] || continue
        # The parts run in other folders: a relative path must be made absolute.
        case $name:${!name} in *_FILE:[!/]*) say "$name=$(realpath -m -- "${!name}")" ;; *) say "$name=${!name}" ;; esac
    done < <(setting_names "$1")
}

# The key that tokens are verified with: made by scripts/run --auth, or named by the caller. JWT_SECRET itself
# goes with the other settings.
token_settings() {
    local name
    if [ "$AUTH" = 1 ]; then
        # 16 bytes as hexadecimal digits are the 32 that HS256 wants at least.
        say "JWT_SECRET_FILE=$(secret_file jwt_secret)"
    fi
    for name in JWT_SECRET_FILE JWT_SECRET_2_FILE; do
        [ -z "${!name:-}" ] || say "$name=$(realpath -m -- "${!name}")"
    done
}

setting_names() {
    sed -n "/#define CONFIG_$1(/,/[^\\\\]$/p" "$ROOT/common/config.h" |
        grep -oE 'X\([A-Z]+, [a-z_0-9]+, [A-Z_0-9]+' | sed 's/.* //'
    printf '%s\n' ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS
}

# amqp_settings ACCOUNT SECRET
amqp_settings() {
    if [ "$TLS" = 1 ]; then
        say "AMQP_HOST=localhost"
        say "AMQP_PORT=$AMQPS_PORT"
        say "AMQP_TLS_CA=$TLS_DIR/ca.pem"
    else
        say "AMQP_HOST=127.0.0.1"
        say "AMQP_PORT=$AMQP_PORT"
    fi
    say "AMQP_USER=$1"
    say "AMQP_PASSWORD_FILE=$(secret_file "$2")"
}

db_settings() {
    if [ "$TLS" = 1 ]; then
        say "DB_HOST=localhost"
        say "DB_PORT=$DB_PORT"
        say "DB_TLS_CA=$TLS_DIR/ca.pem"
    else
        say "DB_SOCKET=$DB_SOCKET"
    fi
    printf '%s\n' "DB_NAME=carillon" "DB_USER=carillon-api" "DB_PASSWORD_FILE=$(secret_file db_api_password)"
}

api_configure() {
    local settings rules
    rules=$SERVICE_DIR/fcgi-socket/rules/uid/$(id -u)
    service_make fcgi-socket fcgi-socket "FCGI_HOLDER=$FCGI_HOLDER"
    (umask 077 && mkdir -p "$rules/env" && : >"$rules/allow" &&
        for right in STORE RETRIEVE; do say '^pool$' >"$rules/env/S6_FDHOLDER_${right}_REGEX"; done
        say >"$rules/env/S6_FDHOLDER_LIST")
    : >"$RUN_DIR/tmp/api-stats"
    mapfile -t settings < <(settings_of COMMON; settings_of API; amqp_settings carillon-api amqp_api_password; db_settings; token_settings)
    service_make fcgi-api fcgi-api "${settings[@]}" \
        "PROGRAM=$BUILD_DIR/fcgi-api" \
        "FCGI_SOCKET=$FCGI_SOCKET" \
        "FCGI_HOLDER=$FCGI_HOLDER" \
        "FCGI_BACKLOG=$FCGI_BACKLOG" \
        "API_WORKERS=$API_WORKERS" \
        "API_STATS_FILE=$RUN_DIR/tmp/api-stats"
}

# notifier_configure NAME PORT
notifier_configure() {
    local settings
    mapfile -t settings < <(settings_of COMMON; settings_of NOTIFIER; amqp_settings carillon-notifier amqp_notifier_password; token_settings)
    service_make "$1" ws-notifier "${settings[@]}" \
        "PROGRAM=$BUILD_DIR/ws-notifier" "WS_HOST=127.0.0.1" "WS_PORT=$2"
}

watch_configure() {
    local notifiers
    printf -v notifiers 'http://127.0.0.1:%s/readyz ' "${NOTIFIER_PORTS[@]}"
    service_make watch watch "FCGI_SOCKET=$FCGI_SOCKET" "NOTIFIER_URLS=$notifiers" "BROKER_SERVICE=$SERVICE_DIR/rabbitmq" \
        "BROKER_STUCK_S=$BROKER_STUCK_S" "DATABASE_SERVICE=${GALERA:+$SERVICE_DIR/mariadb}"
    ln -s "$SERVICE_DIR/rabbitmq/alarm" "$SERVICE_DIR/watch/alarm"
}

adminer_configure() {
    service_make adminer adminer "ADMINER_PORT=$ADMINER_PORT" "DB_PORT=$DB_PORT"
}
