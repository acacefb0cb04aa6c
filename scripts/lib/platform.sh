# shellcheck shell=bash disable=SC2154 # what is not set here is set by scripts/test-platform
# SPDX-License-Identifier: MIT
# A Debian root in a folder, TREE, and what runs in it. Read by scripts/test-platform alone.

# shellcheck disable=SC1091 # Debian's
platform_name() { (. "$1/etc/os-release" && printf '%s (%s)' "$PRETTY_NAME" "$(cat "$1/etc/debian_version")"); }

# platform_root RENEW: the root is made where it is not there, or only half.
platform_root() {
    local base
    [ "$1" = no ] || rm -f "$TREE.made"
    [ ! -e "$TREE.made" ] || return 0
    rm -rf --one-file-system "$TREE"
    base=$(debian_base "$release") || exit 1
    mkdir -p "$TREE"
    tar -C "$TREE" -xf "$base"
    : >"$TREE.made"
}

# What git knows of the tree, as it lies here: what a newcomer has.
platform_copy() {
    rm -rf "${TREE?}${COPY:?}"
    mkdir -p "$TREE$COPY"
    (cd "$ROOT" && git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null --no-recursion -T - -c) | tar -C "$TREE$COPY" --no-same-owner -x
}

# platform_program PROGRAM FOLDER: a program of this machine, with those of its libraries that TREE has no longer.
platform_program() {
    local library path
    mkdir -p "$2"
    cp "$1" "$2/"
    while read -r library path; do
        [ -n "$(find "$TREE"/usr/lib -maxdepth 2 -name "$library" -print -quit)" ] || cp -L "$path" "$2/"
    done < <(ldd "$1" | awk '$3 ~ /^\// { print $1, $3 }')
}

# alone COMMAND...: with a network, processes and mounts that end with it, on this machine's own files.
alone() {
    # shellcheck disable=SC2016 # for the inner shell
    setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc -- bash -euc 'ip link set lo up; exec "$@"' alone "$@"
}

# inside [--alone] COMMAND...: in the root; with a network of its own, too.
inside() {
    local network=()
    [ "$1" != --alone ] || { network=(--net); shift; }
    # shellcheck disable=SC2016 # for the inner shell
    setpriv --pdeathsig KILL unshare "${network[@]}" --mount --pid --fork --kill-child -- bash -euc '
        tree=$1 network=$2
        shift 2
        mount -t proc proc "$tree/proc"
        mount --rbind /dev "$tree/dev"
        mount -t tmpfs tmpfs "$tree/run"
        mount -t tmpfs tmpfs "$tree/tmp"
        [ -z "$network" ] || ip link set lo up
        cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
        exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM="${TERM:-dumb}" chroot "$tree" "$@"' \
        inside "$TREE" "${network[*]}" "$@"
}
