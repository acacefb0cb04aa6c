# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The parts' logs on one screen: a prefix a line, in colour on a terminal.

FOLLOW_COLOURS=(36 35 32 33 34 31 96 95)
FOLLOW_PIDS=()

# Asked once, because inside $( ) there is no terminal.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then FOLLOW_COLOUR=yes; else FOLLOW_COLOUR=no; fi

# follow_prefix NAME INDEX
follow_prefix() {
    if [ "$FOLLOW_COLOUR" = yes ]; then
        printf '\033[%sm%-13s\033[0m ' "${FOLLOW_COLOURS[$2 % ${#FOLLOW_COLOURS[@]}]}" "$1"
    else
        printf '%-13s ' "$1"
    fi
}

# follow LINES PART...: starts one follower a part in the background.
follow() {
    local lines=$1 index=0 part
    shift
    for part in "$@"; do
        tail -n "$lines" -F "$LOG_DIR/$part/current" 2>/dev/null > >(exec sed -u "s/^/$(follow_prefix "$part" "$index")/") &
        FOLLOW_PIDS+=($!)
        index=$((index + 1))
    done
}

follow_stop() {
    [ ${#FOLLOW_PIDS[@]} = 0 ] || kill "${FOLLOW_PIDS[@]}" 2>/dev/null || true
    FOLLOW_PIDS=()
}

# follow_print PART...: all that is there, rotated files first.
follow_print() {
    local index=0 part prefix
    for part in "$@"; do
        prefix=''
        [ $# = 1 ] || prefix=$(follow_prefix "$part" "$index")
        find "$LOG_DIR/$part" -name '@*' -print0 | sort -z | xargs -0r cat | sed "s/^/$prefix/"
        [ ! -f "$LOG_DIR/$part/current" ] || sed "s/^/$prefix/" "$LOG_DIR/$part/current"
        index=$((index + 1))
    done
}
