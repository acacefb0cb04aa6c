# shellcheck shell=bash disable=SC2154 # what is not set here is set by scripts/test-platform
# SPDX-License-Identifier: MIT
# A Debian root in a folder, TREE, and what runs in it. Read by scripts/test-platform alone.

# shellcheck disable=SC1091 # Debian's
release_of() { (. "$1/etc/os-release" && printf '%s' "${VERSION_CODENAME:-}"); }
# shellcheck disable=SC1091
platform_name() { (. "$1/etc/os-release" && printf '%s (%s)' "$PRETTY_NAME" "$(cat "$1/etc/debian_version")"); }

# platform_root RENEW: the root is made where it is not there, or only half.
platform_root() {
    local sources mirror
    [ "$1" = no ] || rm -f "$TREE.made"
    [ ! -e "$TREE.made" ] || return 0
    rm -rf --one-file-system "$TREE"
    sources=$(debian_sources "$release")
    mirror=$(awk -v release="$release" '$3 == release { print $2; exit }' <<<"$sources")
    say "making $TREE with debootstrap from $mirror"
    debootstrap --variant=minbase "$release" "$TREE" "$mirror" >"$LOGS/debootstrap.log" 2>&1 ||
        { tail -n 5 "$LOGS/debootstrap.log" >&2; die "debootstrap failed; all it said is in $LOGS/debootstrap.log"; }
    printf '%s\n' "$sources" >"$TREE/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|ForceIPv|Languages)' >"$TREE/etc/apt/apt.conf.d/90as-on-the-machine" || true
    : >"$TREE.made"
}

# The release's archives, from where this machine has its own.
debian_sources() {
    local here found
    here=$(release_of '')
    # shellcheck disable=SC2016 # apt's own $(NAMES)
    found=$(apt-get indextargets --format 'deb $(SITE) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^\(deb [^ ]* $here\(-[a-z]*\)\? main\) Debian\$/\1/p" | sort -u || true)
    case $found in
        *" $here main"*) printf '%s\n' "${found// $here/ $1}" ;;
        *)
            printf 'deb http://deb.debian.org/debian %s main\n' "$1" "$1-updates"
            printf 'deb http://deb.debian.org/debian-security %s-security main\n' "$1"
            ;;
    esac
}

# What git knows of the tree, as it lies here: what a newcomer has.
platform_copy() {
    rm -rf "${TREE?}${COPY:?}"
    mkdir -p "$TREE$COPY"
    (cd "$ROOT" && git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
        tar --null --no-recursion -T - -c) | tar -C "$TREE$COPY" --no-same-owner -x
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
