# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The root of a Debian release as debootstrap makes it, kept for those that begin with one: tests/containers/run and
# scripts/test-platform.

# shellcheck disable=SC1091 # Debian's
debian_release_of() { (. "$1/etc/os-release" && printf '%s' "${VERSION_CODENAME:-}"); }

# debian_base RELEASE: prints the path of a tar archive of it, which is made by the first that asks: minimal, brought up to
# date from where this machine has its own packages, and with its ways to them. Says why on standard error when it cannot.
debian_base() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/carillon/debian
    mkdir -p "$folder"
    (
        flock 9
        [ -e "$folder/$1.tar" ] || debian_base_make "$1" "$folder/$1"
    ) 9>"$folder/$1.lock" || return 1
    printf '%s\n' "$folder/$1.tar"
}

debian_base_make() {
    local release=$1 tree=$2 log=$2.log sources mirror
    sources=$(debian_sources "$release")
    mirror=$(awk -v release="$release" '$3 == release { print $2; exit }' <<<"$sources")
    rm -rf --one-file-system "$tree"
    printf 'making %s.tar with debootstrap from %s\n' "$tree" "$mirror" >&2
    debootstrap --variant=minbase "$release" "$tree" "$mirror" >"$log" 2>&1 ||
        { tail -n 5 "$log" >&2; printf 'debootstrap failed; all it said is in %s\n' "$log" >&2; return 1; }
    printf '%s\n' "$sources" >"$tree/etc/apt/sources.list"
    # apt reaches its sources there as it does on this machine: proxies, checks, retries.
    apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|ForceIPv|Languages)' >"$tree/etc/apt/apt.conf.d/90as-on-the-machine" || true
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
    tar -C "$tree" -cf "$tree.part" . && mv "$tree.part" "$tree.tar" || return 1
    rm -rf --one-file-system "$tree"
}

# The release's archives, from where this machine has its own.
debian_sources() {
    local here found
    here=$(debian_release_of '')
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
