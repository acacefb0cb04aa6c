# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What scripts/run checks before it starts anything. Without these checks a start would fail after a minute with an error
# of a part that does not name the reason: docs/trouble.md lists them.

PLAIN_PATH='A-Za-z0-9._/@+~,=:%-'
RUN_DIR_MAX=400       # bytes; MariaDB's paths end at 512
MEMORY_MIB=380        # measured: at rest 219 MiB, at the start up to 257
FIRST_START_MIB=256   # of disk: MariaDB's files, and RabbitMQ takes no message when 50 MB are left
LATER_START_MIB=64
OPEN_FILES=1024
PROCESSES=512         # threads count

# Before any file is written. RUN_DIR's own characters are stack_paths' to judge.
preflight_paths() {
    local name LC_ALL=C
    for name in ROOT BUILD_DIR; do
        case ${!name} in
            *[!$PLAIN_PATH]*) die "the path ${!name} has a character that make or multiwatch cannot take; use a checkout at a path of letters, digits and ._/@+-" ;;
        esac
    done
    [ ${#RUN_DIR} -le $RUN_DIR_MAX ] ||
        die "the path of RUN_DIR has ${#RUN_DIR} bytes, and MariaDB can take $RUN_DIR_MAX; set RUN_DIR to a shorter one"
}

# In RUN_DIR, which is there.
preflight_machine() {
    preflight_programs
    preflight_space
    preflight_memory
    preflight_limits
}

preflight_programs() {
    local probe=$RUN_DIR/tmp/probe
    { printf '#!/bin/sh\n' >"$probe" && chmod 700 "$probe"; } 2>/dev/null ||
        die "cannot write to $RUN_DIR; is its file system full or read-only?"
    "$probe" 2>/dev/null || die "no program can be started in $RUN_DIR (its file system is mounted noexec); set RUN_DIR to a directory on another one"
    chmod 600 "$probe"
    [ "$(stat -c %a "$probe")" = 600 ] ||
        die "the file system of $RUN_DIR keeps no modes, so the passwords there could be read by every user; set RUN_DIR to a directory on another one"
    rm -f "$probe"
}

preflight_space() {
    local free need=$FIRST_START_MIB
    free=$(($(df -k --output=avail -- "$RUN_DIR" | tail -n 1) / 1024))
    [ ! -d "$RUN_DIR/mariadb/mysql" ] || need=$LATER_START_MIB
    [ "$free" -lt "$need" ] || return 0
    # A stack on a full disk must start, too, so that it can be emptied.
    [ "$need" = "$FIRST_START_MIB" ] || { warn "only $free MiB are free in $RUN_DIR: writes will fail soon, and events wait (docs/trouble.md)"; return 0; }
    die "only $free MiB are free in $RUN_DIR, and a first start needs $need; make room, or set RUN_DIR to a directory elsewhere"
}

preflight_memory() {
    local have
    have=$(memory_mib)
    [ "$have" -ge "$MEMORY_MIB" ] ||
        die "there are $have MiB of memory (machine and control group, with swap), and the stack needs 400 MB; give it more"
}

preflight_limits() {
    local most
    most=$(ulimit -Hn)
    [ "$most" = unlimited ] || [ "$most" -ge $OPEN_FILES ] ||
        die "only $most files may be open at a time (ulimit -Hn), and the parts need $OPEN_FILES; raise the limit (limits.conf, LimitNOFILE)"
    most=$(ulimit -Hu)
    [ "$(id -u)" = 0 ] || [ "$most" = unlimited ] || [ "$most" -ge $PROCESSES ] ||
        die "only $most processes may run at a time (ulimit -Hu), and the parts need $PROCESSES with their threads; raise the limit (limits.conf, TasksMax)"
}

# MiB of memory and swap that the machine and every control group above us let us have.
memory_mib() {
    local controllers path least swap
    swap=$(meminfo SwapTotal)
    least=$(($(meminfo MemTotal) + swap))
    while IFS=: read -r _ controllers path; do
        case ,$controllers, in
            ,,) memory_walk /sys/fs/cgroup "$path" memory.max "$swap" ;;
            *,memory,*) memory_walk /sys/fs/cgroup/memory "$path" memory.limit_in_bytes "$swap" ;;
        esac
    done </proc/$$/cgroup
    printf '%s' $((least / 1024))
}

# memory_walk ROOT PATH FILE SWAP: `least` becomes smaller where a group from PATH up to the root has a limit.
memory_walk() {
    local path=$2 limit
    while :; do
        limit=$(cat "$1$path/$3" 2>/dev/null || echo max)
        if [[ $limit =~ ^[0-9]{1,15}$ ]] && [ $((limit / 1024 + $4)) -lt "$least" ]; then least=$((limit / 1024 + $4)); fi
        [ -n "${path%/}" ] || return 0
        path=${path%/*}
    done
}

meminfo() { sed -n "s/^$1: *\([0-9]*\) kB$/\1/p" /proc/meminfo; }
