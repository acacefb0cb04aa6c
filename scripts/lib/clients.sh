# shellcheck shell=bash
# The clients that the scripts call. Each says where it goes, and gets none of the caller's environment and none of the
# caller's files (~/.my.cnf, ~/.curlrc): a MYSQL_HOST meant for another server must not send a password there.

# clean_environment [NAME=VALUE...] COMMAND...: for a subshell: becomes the command. The shell makes what it starts in
# the background deaf to Ctrl-C's signals; that must not go down to the parts.
clean_environment() {
    exec env -i --default-signal PATH="$PATH" LANG=C.UTF-8 HOME="${RUN_DIR:-/nonexistent}" "$@"
}

# database_client FILE ARGUMENT...: for a subshell: becomes mariadb(1) with what database_address wrote into FILE.
database_client() {
    local file=$1
    shift
    # A file that others may write to is ignored, and the client would go where the system's own points.
    case $(stat -c %A -- "$file") in ????????w?) die "$file may be written by everybody, so the client ignores it: chmod 600 $file" ;; esac
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

# web_client ARGUMENT...: curl without ~/.curlrc; false for an answer of 400 and above.
web_client() { (clean_environment curl --disable --silent --fail "$@"); }
