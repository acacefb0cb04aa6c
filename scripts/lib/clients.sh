# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The clients that the scripts call. Each is told its server, and gets nothing of the caller's environment or of the
# caller's files (~/.my.cnf, ~/.curlrc): a MYSQL_HOST meant for another server must not send a password there.

# clean_environment [NAME=VALUE...] COMMAND...: for a subshell: becomes the command. The shell makes
# background commands ignore Ctrl-C's signals; the parts must not inherit that.
clean_environment() {
    exec env -i --default-signal PATH="$PATH" LANG=C.UTF-8 HOME="${RUN_DIR:-/nonexistent}" "$@"
}

# database_client FILE ARGUMENT...: for a subshell: becomes mariadb(1) with what database_address wrote into FILE.
database_client() {
    local file=$1
    shift
    # A file that others may write to is ignored, and the client would go where the system's own points.
    case $(stat -c %A -- "$file") in ????????w?) die "$file may be written by every user, so the client ignores it: chmod 600 $file" ;; esac
    clean_environment TERM="${TERM:-dumb}" mariadb --defaults-file="$file" --init-command="SET time_zone = '+00:00'" "$@"
}

# database_address USER SOCKET|'' [HOST PORT]: the first lines of such a file. Without a protocol the client would rather
# take a host from the environment than the socket that stands here.
database_address() {
    printf '[client]\ndefault-character-set = utf8mb4\nuser = "%s"\n' "$1"
    if [ -n "$2" ]; then
        printf 'protocol = socket\nhost = localhost\nsocket = "%s"\n' "$2"
    else
        printf 'protocol = tcp\nhost = "%s"\nport = %s\n' "$3" "$4"
    fi
}

# connection_file FILE: the address that the environment names (DB_SOCKET, or DB_HOST and DB_PORT, DB_USER, DB_PASSWORD or DB_PASSWORD_FILE,
# DB_TLS_*), with the password, which as an argument would show in ps.
connection_file() {
    local password=${DB_PASSWORD:-}
    [ -z "${DB_PASSWORD_FILE:-}" ] || password=$(<"$DB_PASSWORD_FILE")
    [[ -n "${DB_SOCKET:-}" || ! "${DB_HOST:-}" =~ ,|^[^:]*:[^:]*$|^\[ ]] || die "DB_HOST must be one host here, with its port in DB_PORT, not '$DB_HOST'"
    (
        umask 077
        {
            database_address "${DB_USER:-root}" "${DB_SOCKET:-}" "${DB_HOST:-127.0.0.1}" "${DB_PORT:-3306}"
            [ -z "$password" ] || say "password = \"${password//[\\\"]/\\&}\""
            [ -n "${DB_SOCKET:-}" ] || tls_lines
        } >"$1"
    )
}

# As the API: with a CA there is TLS, with the host the certificate is for, or no connection.
tls_lines() {
    [ -n "${DB_TLS_CA:-}" ] || return 0
    say "ssl-ca = \"$DB_TLS_CA\""
    say "ssl-verify-server-cert"
    [ -z "${DB_TLS_CERT:-}" ] || printf 'ssl-cert = "%s"\nssl-key = "%s"\n' "$DB_TLS_CERT" "${DB_TLS_KEY:-}"
}

# web_client ARGUMENT...: curl without ~/.curlrc; false for an answer of 400 and above.
web_client() { (clean_environment curl --disable --silent --fail "$@"); }
