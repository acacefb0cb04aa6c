# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Debian packages: what is missing, and its installation without starting a service. The list is
# PACKAGES in scripts/packages, the only script that reads this file.

# Units that come with our packages; only those that were not there before are disabled afterwards.
PACKAGE_UNITS=(rabbitmq-server.service nginx.service epmd.socket epmd.service mariadb.service haproxy.service mosquitto.service
    prometheus.service 'php*-fpm.service')
UNIT_FOLDER=${UNIT_FOLDER:-/lib/systemd/system}
POLICY=/usr/sbin/policy-rc.d

packages_of() {
    local group names
    while read -r group names; do
        case " $* " in *" $group "*) tr -s ' ' '\n' <<<"$names" ;; esac
    done <<<"$PACKAGES"
}

packages_missing() {
    local names installed
    names=$(packages_of "$@")
    [ -n "$names" ] || return 0
    # A name may be provided by another package: nodejs from nodesource.com brings (and excludes) npm.
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' 2>/dev/null |
        sed -n 's/([^)]*)//g; s/^installed //p' | tr -s ', ' '\n' || true)
    comm -23 <(sort -u <<<"$names") <(sort -u <<<"$installed")
}

# The names of libraries' packages differ from one Debian to the next (libjwt0, libjwt2; libfcgi0ldbl, libfcgi0t64).
packages_with_libraries_of() {
    local program library
    for program in "$@"; do
        [ -f "$program" ] || die "there is no program $program"
        for library in $(ldd "$program" | awk -v needed="$(objdump -p "$program" | awk '$1 == "NEEDED" { printf " %s ", $2 }')" \
            'index(needed, " " $1 " ") && $3 ~ /^\// { print $3 }'); do
            package_with "$library"
        done
    done | LC_ALL=C sort -u
}

# dpkg knows a file by the name under which it was installed, and /lib leads to /usr/lib.
package_with() {
    local found
    found=$(dpkg-query --search "$1" "/usr$1" "${1#/usr}" 2>/dev/null || true)
    [ -n "$found" ] || die "no package has $1"
    printf '%s\n' "${found%%:*}"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages_install() {
    local missing
    mapfile -t missing < <(packages_missing "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "missing packages: ${missing[*]}"
    command -v apt-get >/dev/null || die "no apt-get here: install these yourself: ${missing[*]}"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        die "as root, run: apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    packages_install_quietly "${missing[@]}" ||
        die "apt-get failed; try yourself: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
}

packages_install_quietly() {
    local before ours='' status=0
    before=$(units_there)
    if [ ! -e "$POLICY" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
        as_root chmod 755 "$POLICY"
    fi
    # Not in a subshell and without `exit` in between: the policy must be removed again.
    apt_get_install "$@" || status=$?
    [ -z "$ours" ] || as_root rm -f "$POLICY"
    units_disable "$before"
    return "$status"
}

apt_get_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    umask 022 # all users must be able to read what the packages' own scripts make
    as_root "${apt[@]}" update || return 1
    as_root "${apt[@]}" install -y --no-install-recommends "$@"
}

# Sorted. PHP's version is in its unit's name.
units_there() {
    local unit pattern
    for pattern in "${PACKAGE_UNITS[@]}"; do
        for unit in "$UNIT_FOLDER"/$pattern; do [ ! -e "$unit" ] || say "${unit##*/}"; done
    done | LC_ALL=C sort
}

# units_new BEFORE: those that are there now and were not before.
units_new() { LC_ALL=C comm -13 - <(units_there) <<<"$1"; }

units_disable() {
    local unit
    [ -d /run/systemd/system ] || return 0
    for unit in $(units_new "$1"); do as_root systemctl --quiet disable "$unit" || true; done
}
