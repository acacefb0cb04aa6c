# shellcheck shell=bash disable=SC2153 # the ports come from ports.sh
# SPDX-License-Identifier: MIT
# nginx: renders nginx/templates, for the local stack into etc/nginx with the frame nginx/nginx.conf.template.

# shellcheck disable=SC2016 # names for envsubst
NGINX_VARIABLES='${HTTP_LISTEN} ${API_LISTEN} ${CLIENT_LISTEN} ${WS_LISTEN} ${FCGI_UPSTREAM}
    ${NOTIFIER_SERVERS} ${NOTIFIER_UPSTREAMS} ${NOTIFIER_NUMBERS}
    ${SERVER_NAMES} ${ERROR_LOG} ${ALLOWED_ORIGINS} ${ALLOWED_HEADERS} ${BASE_PATH} ${FRONT} ${TLS_CERTIFICATE} ${TLS_KEY} ${TLS_ADDRESS} ${HSTS_MAX_AGE} ${ACME_ROOT}
    ${ACCESS_LOG} ${LOG_FORMAT} ${CLIENT_ROOT} ${CLIENT_PACKAGE} ${CLIENT_MAX_BODY} ${REQUEST_MAX_AGE_MS} ${RATE_LIMIT} ${RATE_BURST} ${CONNECTION_LIMIT}
    ${CLIENT_HEADER_S} ${CLIENT_BODY_S} ${CLIENT_SEND_S} ${CLIENT_IDLE_S} ${CLIENT_MAX_HEADER}
    ${USER_LINE} ${NGINX_WORKERS} ${NGINX_CONNECTIONS} ${OPEN_FILES} ${RUN_DIR}'

nginx_configure() {
    local target=$ETC_DIR/nginx
    rm -rf "$target"
    mkdir -p "$target"
    (
        nginx_variables
        umask 077
        nginx_render "$ROOT/nginx/nginx.conf.template" "$target/nginx.conf"
        nginx_render_all "$target/conf.d"
        # Limits by address are for the client's, not for the proxy's.
        [ -z "${PROXY_ADDRESS:-}" ] ||
            printf 'set_real_ip_from %s;\nreal_ip_header X-Forwarded-For;\n' "$PROXY_ADDRESS" >"$target/conf.d/proxy.conf"
    )
    service_make nginx nginx "NGINX_CONFIG=$target/nginx.conf" "PORT=$PORT"
}

# Fills the variables into a template; everything else that starts with a dollar is left alone. What is included lies in conf.d
# beside nginx.conf, or in NGINX_FOLDER.
nginx_render() { envsubst "$NGINX_VARIABLES" <"$1" | sed "s|include conf\.d/|include ${NGINX_FOLDER:-conf.d}/|" >"$2"; }

# What lies in the http block, into a folder that is called conf.d.
nginx_render_all() {
    local template name
    mkdir -p "$1/include" "$1/plain" "$1/tls" "$1/mount"
    nginx_render "$ROOT/nginx/upstreams.conf.template" "$1/upstreams.conf"
    for template in "$ROOT"/nginx/templates/*.template "$ROOT"/nginx/templates/*/*.template; do
        name=${template#"$ROOT/nginx/templates/"}
        ! nginx_wanted "$name" || nginx_render "$template" "$1/$(nginx_place "${name%.template}")"
    done
    if [ -z "$BASE_PATH" ]; then rm -f "$1/mount/path.conf"; fi
    [ "$TLS" != 1 ] || "$ROOT/nginx/listen-tls" "$TLS_LISTEN" >"$1/tls/listen.inc"
}

# root/ (no BASE_PATH) and path/ are alternatives: the one that is used is installed as mount/.
nginx_place() {
    case $1 in
        root/* | path/*) printf 'mount/%s' "${1#*/}" ;;
        *) printf '%s' "$1" ;;
    esac
}

# What is the same wherever nginx runs.
nginx_limits() {
    nginx_number RATE_LIMIT 20000 RATE_BURST 20000 CONNECTION_LIMIT 20000
    nginx_number CLIENT_HEADER_S 15 CLIENT_BODY_S 15 CLIENT_SEND_S 60 CLIENT_IDLE_S 65 CLIENT_MAX_HEADER 8192
    export REQUEST_MAX_AGE_MS=${REQUEST_MAX_AGE_MS:-10000} CLIENT_MAX_BODY=$((${MAX_BODY_BYTES:-81920} + 65536))
    export ALLOWED_ORIGINS=${ALLOWED_ORIGINS:-} ALLOWED_HEADERS=${ALLOWED_HEADERS:-} BASE_PATH=${BASE_PATH:-}
    [[ $ALLOWED_ORIGINS =~ ^[]A-Za-z0-9:/.*,[_~\ -]*$ ]] || die "ALLOWED_ORIGINS has a character that is in no origin: '$ALLOWED_ORIGINS'"
    [[ $ALLOWED_HEADERS =~ ^[A-Za-z0-9,_\ -]*$ ]] || die "ALLOWED_HEADERS must be names with commas between them, not '$ALLOWED_HEADERS'"
    ALLOWED_HEADERS=$(printf '%s' "$ALLOWED_HEADERS" | sed 's/[ ,]\+/, /g; s/^, //; s/, $//') # as a header wants it
    [[ $BASE_PATH =~ ^(/[A-Za-z0-9._~-]+)*$ ]] || die "BASE_PATH must be like /carillon, not '$BASE_PATH'"
    export LOG_FORMAT=${LOG_FORMAT:-text}
    case $LOG_FORMAT in text | json) ;; *) die "LOG_FORMAT must be text or json, not '$LOG_FORMAT'" ;; esac
    [[ $HSTS_MAX_AGE =~ ^[0-9]{1,9}$ ]] || die "HSTS_MAX_AGE must be a number of seconds, not '$HSTS_MAX_AGE'"
}

nginx_variables() {
    local files
    files=$(open_files)
    # By default HSTS is off (a browser is told to forget): it would hold for every port of this machine.
    export HSTS_MAX_AGE=${HSTS_MAX_AGE:-0}
    nginx_limits
    export RUN_DIR ACCESS_LOG=/dev/stdout SERVER_NAMES=_ ERROR_LOG="${ERROR_LOG:-stderr warn}"
    export CLIENT_ROOT=$ROOT/nginx/client CLIENT_PACKAGE=$ROOT/client
    export NGINX_WORKERS=${NGINX_WORKERS:-auto} OPEN_FILES=$files NGINX_CONNECTIONS=$files
    export FCGI_UPSTREAM=unix:$FCGI_SOCKET USER_LINE='# run by an ordinary user'
    # Workers of another user could not open RUN_DIR; this is the development stack.
    [ "$(id -u)" != 0 ] || USER_LINE='user root;'
    nginx_notifiers "${NOTIFIER_PORTS[@]/#/127.0.0.1:}"
    export HTTP_LISTEN API_LISTEN CLIENT_LISTEN WS_LISTEN
    HTTP_LISTEN=$(nginx_listen "$PORT")
    [ -z "${LISTEN_ADDRESS:-}" ] || HTTP_LISTEN+="; listen $LISTEN_ADDRESS:$PORT backlog=4096"
    API_LISTEN=$(nginx_listen "$API_PORT")
    CLIENT_LISTEN=$(nginx_listen "$CLIENT_PORT")
    WS_LISTEN=$(nginx_listen "$WS_PORT")
    export FRONT=plain
    [ "$TLS" = 1 ] || return 0
    FRONT=tls
    export TLS_LISTEN TLS_ADDRESS=:$TLS_PORT TLS_CERTIFICATE=$TLS_DIR/server.pem TLS_KEY=$TLS_DIR/server.key
    export ACME_ROOT=$TLS_DIR/acme
    TLS_ADDRESS=${TLS_ADDRESS%:443}
    TLS_LISTEN=$(nginx_listen "$TLS_PORT" 'ssl ')
}

# nginx_notifiers ADDRESS...: all of them for browsers, and each by its number.
nginx_notifiers() {
    local address number=0
    export NOTIFIER_SERVERS='' NOTIFIER_UPSTREAMS='' NOTIFIER_NUMBERS=''
    for address in "$@"; do
        number=$((number + 1))
        NOTIFIER_SERVERS+="server $address max_fails=0; "
        NOTIFIER_UPSTREAMS+="upstream ws_notifier_$number { server $address max_fails=0; } "
        NOTIFIER_NUMBERS+="/admin/notifiers/$number/metrics ws_notifier_$number; "
    done
}

# nginx_number NAME DEFAULT...: sets and exports each; what nginx would not understand is named here.
nginx_number() {
    while [ $# -gt 0 ]; do
        [ -n "${!1:-}" ] || printf -v "$1" '%s' "$2"
        [[ ${!1} =~ ^[1-9][0-9]{0,8}$ ]] || die "$1 must be a whole number from 1 to 999999999, not '${!1}'"
        export "${1?}"
        shift 2
    done
}

# Open to this machine only, by both of its names.
nginx_listen() {
    printf '127.0.0.1:%s %sbacklog=4096' "$1" "${2:-}"
    ! ipv6_loopback || printf '; listen [::1]:%s %sbacklog=4096' "$1" "${2:-}"
}

nginx_wanted() {
    case $1 in
        tls/*) [ "$TLS" = 1 ] ;;
        root/*) [ -z "$BASE_PATH" ] ;;
        path/*) [ -n "$BASE_PATH" ] ;;
        api-port.*) [ "$API_PORT" != off ] ;;
        client-port.*) [ "$CLIENT_PORT" != off ] ;;
        ws-port.*) [ "$WS_PORT" != off ] ;;
    esac
}
