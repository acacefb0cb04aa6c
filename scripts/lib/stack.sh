# shellcheck shell=bash disable=SC2034 # what is set here is read by the scripts
# SPDX-License-Identifier: MIT
# One stack is one directory: RUN_DIR. This file knows what lies where in it, and remembers in
# RUN_DIR/ports.env what scripts/run decided, for every other script.
#
#   etc/       rendered configurations      service/   s6's scan directory, one folder a part
#   log/PART/  current and rotated logs     secrets/   passwords, mode 0600
#   sock/      unix sockets                 mariadb/, rabbitmq/   the data
#   tls/       with --tls: the CA and the certificate, keys with mode 0600

# shellcheck source=scripts/lib/secrets.sh
. "$ROOT/scripts/lib/secrets.sh"

STACK_PORTS=(PORT API_PORT CLIENT_PORT WS_PORT ADMINER_PORT MANAGEMENT_PORT
    AMQP_PORT NOTIFIER_PORT DB_PORT EPMD_PORT DIST_PORT)
SOCKET_PATH_MAX=107

# Makes RUN_DIR absolute and derives every path from it.
stack_paths() {
    RUN_DIR=${RUN_DIR:-$ROOT/.run}
    case $RUN_DIR in /*) ;; *) RUN_DIR=$PWD/$RUN_DIR ;; esac
    RUN_DIR=$(realpath -m -- "$RUN_DIR")
    # The parts' configuration files and shell scripts quote in different ways.
    case $RUN_DIR in
        *[!A-Za-z0-9._/@+-]*) die "the path $RUN_DIR has a character some part cannot stand; set RUN_DIR to a plain one" ;;
    esac
    ETC_DIR=$RUN_DIR/etc SERVICE_DIR=$RUN_DIR/service LOG_DIR=$RUN_DIR/log SECRET_DIR=$RUN_DIR/secrets
    SOCK_DIR=$RUN_DIR/sock TLS_DIR=$RUN_DIR/tls
    [ ! -L "$SOCK_DIR" ] || SOCK_DIR=$(readlink -- "$SOCK_DIR")
    DB_SOCKET=$SOCK_DIR/mariadb.sock
    FCGI_SOCKET=$SOCK_DIR/fcgi.sock
    FCGI_HOLDER=$SOCK_DIR/holder.sock
}

# Only its owner may use a stack: another user is told so, and not that nothing runs. Root, too, whom the database would not
# know.
stack_mine() {
    local folder=$RUN_DIR
    until [ -e "$folder" ]; do folder=${folder%/*} folder=${folder:-/}; done
    if [ "$folder" = "$RUN_DIR" ]; then
        [ -O "$RUN_DIR" ] || die "$RUN_DIR belongs to $(stat -c %U "$RUN_DIR"); run this as that user (sudo -u $(stat -c %U "$RUN_DIR") ...), or set RUN_DIR"
    else
        [ -x "$folder" ] || die "$(id -un) may not look into $folder, which belongs to $(stat -c %U "$folder"); run this as that user, or set RUN_DIR"
    fi
}

stack_directories() {
    stack_mine
    (umask 077 && mkdir -p "$RUN_DIR") 2>/dev/null || die "cannot make $RUN_DIR; set RUN_DIR to a directory you may write to"
    (umask 077 && mkdir -p "$ETC_DIR" "$SERVICE_DIR" "$LOG_DIR" "$SECRET_DIR" "$RUN_DIR/tmp")
    stack_socket_directory
}

# A socket's path may have 107 bytes. Under a longer RUN_DIR, sock is a link to a short directory.
stack_socket_directory() {
    local link=$RUN_DIR/sock path=$RUN_DIR/sock/mariadb.sock target
    if [ ${#path} -le $SOCKET_PATH_MAX ]; then
        [ ! -L "$link" ] || rm -f "$link"
        (umask 077 && mkdir -p "$link")
    else
        target=$(readlink -- "$link" || true)
        # After a reboot /tmp is empty, and another user could have taken the name.
        if [ ! -d "$target" ] || [ ! -O "$target" ] || [ -L "$target" ]; then
            rm -rf "$link"
            ln -s "$(mktemp -d /tmp/carillon-XXXXXXXX)" "$link"
        fi
    fi
    stack_paths
}

# After the stop: removes our directory in /tmp. The next start makes another one.
stack_drop_sockets() { case $SOCK_DIR in /tmp/carillon-????????) rm -rf "$SOCK_DIR" ;; esac; }

stack_save() {
    local name
    {
        for name in "${STACK_PORTS[@]}" NOTIFIERS API_WORKERS BUILD_DIR TLS; do printf '%s=%q\n' "$name" "${!name}"; done
        printf 'PARTS=(%s)\n' "${PARTS[*]}"
    } >"$RUN_DIR/ports.env.new"
    mv "$RUN_DIR/ports.env.new" "$RUN_DIR/ports.env"
}

# For the scripts that look at a stack made before.
stack_load() {
    stack_paths
    stack_mine
    [ -f "$RUN_DIR/ports.env" ] || return 1
    # shellcheck disable=SC1091 # made by stack_save
    . "$RUN_DIR/ports.env"
}
