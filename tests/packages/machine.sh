# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Machines to try the packages on: each a Debian that systemd-nspawn boots. What is written lies over the root TREE, in
# WORK/MACHINE. No process outlives the one that reads this, which is in namespaces of its own (machines_alone).
#
# Of each, in WORK/MACHINE: root, console.log, and while it runs nspawn and leader, the process and the machine's process 1.

# machines_alone COMMAND...: with mounts, processes and a network that end with it.
machines_alone() {
    exec env MACHINES_ALONE=yes setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child --mount-proc -- "$@"
}

# machine_make MACHINE: its disk, a new one.
machine_make() {
    local disk=$WORK/$1
    rm -rf --one-file-system "$disk"
    mkdir -p "$disk/root" "$disk/upper" "$disk/work"
    mount -t overlay overlay -o "lowerdir=$TREE,upperdir=$disk/upper,workdir=$disk/work" "$disk/root"
    mkdir -p "$disk/root/packages/test"
    cp -r "$WORK/old" "$WORK/new" "$disk/root/packages/"
    cp "$HERE"/inside "$HERE"/steps.sh "$HERE"/*.py "$disk/root/packages/test/"
    echo "$1" >"$disk/root/etc/hostname"
    printf '%s\n' '127.0.0.1 localhost' '::1 localhost' "127.0.1.1 $1" >"$disk/root/etc/hosts" # RabbitMQ looks it up
}

# machine_boot MACHINE OPTION...: returns when it has booted.
machine_boot() {
    machine_start "$@"
    machine_up "$1"
}

# machine_start MACHINE OPTION...: returns when its process 1 is there.
machine_start() {
    local machine=$1
    shift
    (
        machine_group "$machine"
        # A system of its own kind of control groups, on a machine with the older kind, too.
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet --boot "$@" --register=no --keep-unit --link-journal=no \
            --suppress-sync=yes --machine="$machine" --directory="$WORK/$machine/root" --console=pipe
    ) </dev/null >>"$WORK/$machine/console.log" 2>&1 &
    echo $! >"$WORK/$machine/nspawn"
    for _ in $(seq 300); do
        kill -0 "$(<"$WORK/$machine/nspawn")" 2>/dev/null || machine_cannot "$machine" "it ended at once"
        ! pgrep --exact --parent "$(<"$WORK/$machine/nspawn")" systemd >"$WORK/$machine/leader" || return 0
        sleep 0.1
    done
    machine_cannot "$machine" "no process 1"
}

# Into a control group of the machine's own, an empty one: systems in the same one take each other's services for theirs.
machine_group() {
    local line mount group
    while IFS= read -r line; do
        case $line in
            0::*) mount=$(findmnt --noheadings --raw --first-only --output TARGET --types cgroup2 || true) ;;
            *:name=systemd:*) mount=$(findmnt --noheadings --raw --first-only --output TARGET --types cgroup --options name=systemd || true) ;;
            *) continue ;;
        esac
        [ -n "$mount" ] || continue
        group=$mount${line#*:*:}
        group=${group%/}/carillon-${WORK##*/}-$1
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +
        mkdir -p "$group"
        echo 0 >"$group/cgroup.procs"
    done </proc/self/cgroup
}

# machine_up MACHINE: all that starts at boot has started, or has failed.
machine_up() {
    local state=''
    for _ in $(seq 600); do
        state=$(enter "$1" systemctl is-system-running 2>/dev/null || true)
        case $state in running | degraded) return 0 ;; esac
        sleep 0.2
    done
    machine_cannot "$1" "after two minutes it is '$state'"
}

machine_cannot() {
    tail -n 20 "$WORK/$1/console.log"
    echo "a system does not boot in systemd-nspawn here: $2"
    exit 77
}

# enter MACHINE COMMAND...
enter() {
    local leader
    leader=$(<"$WORK/$1/leader")
    shift
    nsenter --target "$leader" --all -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

# As when its plug is pulled.
machine_kill() {
    kill -KILL "$(<"$WORK/$1/leader")"
    timeout 20 tail --pid="$(<"$WORK/$1/nspawn")" -f /dev/null
}
