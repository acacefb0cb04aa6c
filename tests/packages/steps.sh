# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The steps of a test and what they ask. HERE is this folder, SCRATCH one for files, LOG what a step says. python3 is Debian's.

# run_steps STEP...: a line for each; ends at the first that fails.
run_steps() {
    local step begun status
    for step in "$@"; do
        begun=$SECONDS
        set +e # a condition would switch it off in the step, too
        (set -e && "$step") >"$LOG" 2>&1
        status=$?
        set -e
        if [ "$status" = 0 ]; then
            printf 'passed  %-20s %3d s  %s\n' "$step" "$((SECONDS - begun))" "$(sed -n 's/^figures: //p' "$LOG" | paste -s -d ' ')"
        else
            printf 'FAILED  %-20s %3d s\n' "$step" "$((SECONDS - begun))"
            tail -n 60 "$LOG"
            exit 1
        fi
    done
}

nothing() {
    local text
    text=$(cat)
    [ -z "$text" ] || fail "nothing is left: $text"
}
fail() { echo "not so: $*"; return 1; }
curl() { command curl --disable --silent --show-error --fail --max-time 20 "$@"; }
# A condition, for so many seconds.
within() {
    local left=$1
    shift
    until "$@"; do
        [ "$left" -gt 0 ] || fail "within its time: $*"
        left=$((left - 1))
        sleep 1
    done
}
state() { systemctl show --property ActiveState --value "$1"; }

# hears SOCKET USER TASK [TOKEN]: the user hears that the task is done.
hears() {
    : >"$SCRATCH/heard"
    (timeout 30 /usr/bin/python3 "$HERE/hear.py" "$1" "$2" task.completed ${4:+"$4"}) >"$SCRATCH/heard" &
    local listener=$!
    within 20 grep -q subscribed "$SCRATCH/heard"
    curl ${4:+--header "Authorization: Bearer $4"} --request PATCH --url "$3" --data '{"status":1}'
    wait "$listener"
    grep '"task.completed"' "$SCRATCH/heard"
}

# answers URL [TOKEN]: the status.
answers() { command curl --disable --silent --max-time 20 --output /dev/null --write-out '%{http_code}' ${2:+--header "Authorization: Bearer $2"} "$1"; }

make_key() {
    local key
    mkdir -p "$SCRATCH/keys"
    for key in private other; do openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$SCRATCH/keys/$key.pem"; done
    openssl pkey -in "$SCRATCH/keys/private.pem" -pubout -out "$SCRATCH/keys/tokens.pem"
}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# token USER [KEY]: signed with private.pem, or another key.
token() {
    local text
    text=$(printf '{"alg":"RS256","kid":"one","typ":"JWT"}' | base64url).$(printf '{"sub":"%s","aud":"carillon","exp":%s}' "$1" "$(($(date +%s) + 600))" | base64url)
    printf '%s.%s' "$text" "$(printf '%s' "$text" | openssl dgst -sha256 -sign "$SCRATCH/keys/${2:-private}.pem" | base64url)"
}
