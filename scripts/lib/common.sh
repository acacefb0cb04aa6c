# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What every script needs: the checkout's root, a line for people, the end with a reason, --help.
# Depends on nothing but bash and coreutils, so that scripts/migrate also runs in a small container.

# With CDPATH set, `cd scripts` may go elsewhere, and prints the folder where a path is expected.
unset CDPATH

# shellcheck disable=SC2034 # for the scripts
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)

# Servers live in sbin, which is not in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" 2>/dev/null || true; }
warn() { printf '%s\n' "$*" >&2; }

# One line that says what is wrong and what to do about it.
die() {
    warn "${0##*/}: $*"
    exit 1
}

# The comment at the head of the script is its manual.
show_help() { sed -n '2,/^[^#]/{/^# SPDX/d; /^#/s/^# \{0,1\}//p}' "$0"; }

# For arguments that a script does not know.
die_usage() { die "unknown argument '$1'; see $0 --help"; }

# Random and safe in a configuration file, a URL and SQL alike.
random_password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# A line of progress: what is under way (on a terminal), then how long it took.
begin() { if [ -t 1 ]; then printf '%-13s ...\r' "$1"; fi; }
ready() { say "$(printf '%-13s ready  %s' "$1" "$(seconds_since "$2")")"; }

now_ms() { local us=${EPOCHREALTIME/[.,]/}; printf '%s' "${us%???}"; }
seconds_since() { local ms=$(($(now_ms) - $1)); printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100)); }
