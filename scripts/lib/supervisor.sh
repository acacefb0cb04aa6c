# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# s6 keeps the parts alive: one s6-svscan over SERVICE_DIR, one s6-supervise and one s6-log a part.
# A part's folder is copied from scripts/parts/NAME (start, check, ...) plus parts/common (run,
# finish, log/run) and an environment directory env/.

# Answers whether s6-svscan itself lives; the parts may outlive it when it is killed with -9.
supervisor_runs() { s6-svscanctl -a "$SERVICE_DIR" 2>/dev/null; }

# service_make NAME KIND VARIABLE=VALUE...: the folder of one part.
service_make() {
    local name=$1 kind=$2 folder=$SERVICE_DIR/$1 pair
    shift 2
    (
        umask 077
        mkdir -p "$folder/env" "$folder/log" "$LOG_DIR/$name"
        cp "$ROOT/scripts/parts/$kind/"* "$ROOT/scripts/parts/common/run" "$ROOT/scripts/parts/common/finish" "$ROOT/scripts/parts/common/json-lines" "$folder/"
        # The notifier writes all of its log itself.
        case ${LOG_FORMAT:-text} in json) [[ $name = ws-notifier* ]] || : >"$folder/json" ;; esac
        cp "$ROOT/scripts/parts/common/log-run" "$folder/log/run"
        printf '%s\n' "$LOG_DIR/$name" >"$folder/log/directory"
        : >"$folder/down" # scripts/run says when
        echo 4096 >"$folder/max-death-tally"
        for pair in "$@"; do printf '%s\n' "${pair#*=}" >"$folder/env/${pair%%=*}"; done
    )
}

supervisor_start() {
    local log=$LOG_DIR/supervisor
    mkdir -p "$log"
    # A clean environment: what a part gets to see is in its env/. CARILLON_RUN_DIR marks every
    # process of this stack, so that its leftovers can be told from other processes.
    ulimit -Sn "$(open_files)"
    clean_environment CARILLON_RUN_DIR="$RUN_DIR" setsid s6-svscan -t 0 "$SERVICE_DIR" </dev/null >"$log/current" 2>&1 {LOCK}>&- &
    disown
    wait_until 10000 supervisor_complete || die "the supervisor did not start: $(tail -n 1 "$log/current")"
}

# s6-svscan answers a moment before the s6-supervise of each part does. And s6-svok, which looks at its lock, a moment before it
# listens to s6-svc: by then its state is written, too.
supervisor_complete() {
    local folder
    supervisor_runs || return 1
    for folder in "$SERVICE_DIR"/*/ "$SERVICE_DIR"/*/log/; do s6-svstat "$folder" >/dev/null 2>&1 || return 1; done
}

open_files() { local most; most=$(ulimit -Hn); [ "$most" != unlimited ] && [ "$most" -lt 65536 ] || most=65536; echo "$most"; }

# From now on the part is to be up, also after a death of its s6-supervise.
part_start() { rm -f "$SERVICE_DIR/$1/down" && s6-svc -u "$SERVICE_DIR/$1"; }
# part_stop NAME MILLISECONDS. It is asked whether the part has ended: s6-svc -wD, which listens, can miss the end of one that dies
# by itself in that moment.
part_stop() { s6-svc -d "$SERVICE_DIR/$1" && wait_until "$2" part_ended "$1"; }
# Ended is one whose ./finish has, too ("ready" of one that is down), or that never was started.
part_ended() {
    local state
    state=$(s6-svstat "$SERVICE_DIR/$1" 2>/dev/null) || return 0
    [[ $state == down* && $state != *', want up'* ]] && [[ $state == *', ready '* || $state == *'not started yet'* ]]
}
part_check() { (cd "$SERVICE_DIR/$1" && clean_environment timeout 5 s6-envdir env ./check) >/dev/null 2>&1; }

# part_field NAME up|pid|updownfor
part_field() { s6-svstat -o "$2" "$SERVICE_DIR/$1" 2>/dev/null || printf -- '-1'; }
part_supervised() { s6-svok "$SERVICE_DIR/$1" 2>/dev/null; }
part_restarts() { s6-svdt "$SERVICE_DIR/$1" 2>/dev/null | wc -l; }

# up: it runs and is ready; unready: it runs; down: it does not.
part_state() {
    if [ "$(part_field "$1" up)" != true ]; then echo down
    elif part_check "$1"; then echo up
    else echo unready
    fi
}

# wait_until MILLISECONDS COMMAND...
wait_until() {
    local began now pause=0.05 limit=$1
    began=$(now_ms)
    shift
    until "$@"; do
        now=$(now_ms)
        [ $((now - began)) -lt "$limit" ] || return 1
        # After a second, ask less often.
        [ $((now - began)) -lt 1000 ] || pause=0.3
        sleep "$pause"
    done
}

# Waits until a part answers and says so; otherwise shows what it last had to say. A part that the service does not need
# (OPTIONAL_PARTS) is left out then.
OPTIONAL_PARTS=(adminer)

part_wait() {
    local name=$1 limit_s=$2 began=$3 settled=''
    begin "$name"
    if wait_until $((limit_s * 1000)) part_settled "$name" && [ "$settled" = up ]; then
        ready "$name" "$began"
        return
    fi
    warn "$name is not ready after $(seconds_since "$began"); the end of $LOG_DIR/$name/current:"
    tail -n 20 "$LOG_DIR/$name/current" >&2 || true
    part_optional "$name" || die "stopped, because $name did not come up"
    part_leave_out "$name"
    warn "$name is left out: everything else runs without it; scripts/restart $name tries again"
}

part_optional() { case " ${OPTIONAL_PARTS[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }
part_leave_out() { : >"$SERVICE_DIR/$1/down" && s6-svc -d "$SERVICE_DIR/$1"; }
part_left_out() { [ -e "$SERVICE_DIR/$1/down" ]; }

# True when it is ready (settled=up), or when waiting is useless: it dies again and again, or the supervisor is gone. It is asked
# once: a new node's notifier is ready, and then not, from the first beacon until its stream has the journal.
part_settled() {
    if part_check "$1"; then settled=up; else [ "$(part_restarts "$1")" -ge 4 ] || ! supervisor_runs; fi
}

# Stops the parts in the order of the data's flow: first what takes new work, last what keeps it.
STOP_WAVES=('watch' 'nginx ws-notifier* adminer' 'fcgi-api' 'rabbitmq mariadb' 'epmd fcgi-socket')

supervisor_stop() {
    local wave
    [ -d "$SERVICE_DIR" ] || return 0
    broker_settle
    for wave in "${STOP_WAVES[@]}"; do supervisor_stop_wave "$wave"; done
    s6-svscanctl -t "$SERVICE_DIR" 2>/dev/null || supervisor_stop_orphans
    wait_until 20000 supervisor_gone || true
    processes_end_leftovers
}

# RabbitMQ writes down a new queue within 2 s, and it is stopped without a question (parts/rabbitmq/start).
broker_settle() {
    if [ "$(part_field fcgi-api up)" = true ] && [ "$(part_field fcgi-api updownfor)" -lt 4 ]; then sleep 3; fi
}

supervisor_stop_wave() {
    local folder parts=() pattern
    for pattern in $1; do
        for folder in "$SERVICE_DIR"/$pattern; do
            s6-svok "$folder" 2>/dev/null || continue
            parts+=("${folder##*/}") && s6-svc -d "$folder"
        done
    done
    # Each part has its own timeout-kill; this one is the outer deadline.
    wait_until 40000 parts_ended "${parts[@]}" || true
}

parts_ended() {
    local part
    for part in "$@"; do part_ended "$part" || return 1; done
}

# Without s6-svscan each s6-supervise has to be told to leave.
supervisor_stop_orphans() {
    local folder
    for folder in "$SERVICE_DIR"/*/ "$SERVICE_DIR"/*/log/; do
        if s6-svok "$folder" 2>/dev/null; then s6-svc -xd "$folder"; fi
    done
}

supervisor_gone() {
    local folder
    ! supervisor_runs || return 1
    for folder in "$SERVICE_DIR"/*/ "$SERVICE_DIR"/*/log/; do
        ! s6-svok "$folder" 2>/dev/null || return 1
    done
}

# The processes of this stack that no supervisor knows any more, by the mark in their environment.
# nginx writes its title over its environment, so it is known by where it works.
processes_of_stack() {
    local file
    for file in $(grep -lzxF "CARILLON_RUN_DIR=$RUN_DIR" /proc/[0-9]*/environ 2>/dev/null) \
        $(grep -lx nginx /proc/[0-9]*/comm 2>/dev/null); do
        case $file in
            */environ) ;;
            */comm) [[ "$(readlink "${file%/*}/cwd" 2>/dev/null)" == "$SERVICE_DIR/nginx"* ]] || continue ;;
        esac
        say "${file//[!0-9]/}"
    done
}

processes_none() { [ -z "$(processes_of_stack)" ]; }

processes_end_leftovers() {
    local signal pid
    for signal in TERM KILL; do
        for pid in $(processes_of_stack); do kill -s "$signal" "$pid" 2>/dev/null || true; done
        ! wait_until 5000 processes_none || return 0
    done
}
