# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Which port is whose. Without PORT it is the classic set; with PORT=N every
# other follows N. Each can be set beside it, and the four optional public ones can be `off`.

PORTS_OPTIONAL=(API_PORT CLIENT_PORT WS_PORT ADMINER_PORT)
PORTS_CLASSIC='PORT=80 API_PORT=3333 CLIENT_PORT=8181 WS_PORT=3080 ADMINER_PORT=8080 MANAGEMENT_PORT=15673
    AMQP_PORT=5673 NOTIFIER_PORT=3081 DB_PORT=3307 EPMD_PORT=4370 DIST_PORT=25673'

# With --tls, past the notifiers' ports: N+18 and N+19.
PORTS_TLS='TLS_PORT=443 AMQPS_PORT=5674'

# Prints free, busy or forbidden for a port of this machine, by either of its names.
ports_probe() {
    # shellcheck disable=SC2016 # of perl
    (clean_environment perl -MSocket=:all -MErrno=EACCES -e '
        sub probe {
            my ($family, $address) = @_;
            socket(my $s, $family, SOCK_STREAM, 0) or return 1;
            setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
            bind($s, $address) && listen($s, 1) and return 1;
            print $! == EACCES ? "forbidden" : "busy", "\n";
            exit;
        }
        probe(PF_INET, pack_sockaddr_in($ARGV[0], INADDR_LOOPBACK));
        probe(PF_INET6, pack_sockaddr_in6($ARGV[0], IN6ADDR_LOOPBACK)) if $ARGV[1];
        print "free\n";' "$1" "$(! ipv6_loopback || echo 6)")
}

ipv6_loopback() { grep -qs '^00000000000000000000000000000001 ' /proc/net/if_inet6; }

# Sets every port; PORTS_ASKED has those that the caller named.
ports_choose() {
    local name pair index=0
    PORTS_ASKED=' '
    [ -z "$TLS" ] || STACK_PORTS+=(TLS_PORT AMQPS_PORT)
    [ "$TLS" = 1 ] || [ -z "${TLS_PORT:-}" ] || die "TLS_PORT is set, but not --tls"
    for name in "${STACK_PORTS[@]}"; do
        [ -z "${!name:-}" ] || PORTS_ASKED+="$name "
    done
    for pair in $PORTS_CLASSIC; do
        name=${pair%%=*}
        if [ -n "${!name:-}" ]; then :
        elif ports_asked PORT; then printf -v "$name" '%s' $((PORT + index))
        else printf -v "$name" '%s' "${pair#*=}"
        fi
        # A loop over the same order as the table keeps the offsets N+1 .. N+10.
        [ "$index" != 0 ] || ports_check_value "$name"
        index=$((index + 1))
    done
    [ -z "$TLS" ] || ports_choose_tls
    for name in "${STACK_PORTS[@]}"; do ports_check_value "$name"; done
}

# With TLS in front, the ports in the clear are opened only where they are asked for.
ports_choose_tls() {
    local name pair index=18
    for name in API_PORT CLIENT_PORT WS_PORT; do ports_asked "$name" || printf -v "$name" off; done
    for pair in $PORTS_TLS; do
        name=${pair%%=*}
        if [ -n "${!name:-}" ]; then :
        elif ports_asked PORT; then printf -v "$name" '%s' $((PORT + index))
        else printf -v "$name" '%s' "${pair#*=}"
        fi
        index=$((index + 1))
    done
}

ports_asked() { case $PORTS_ASKED in *" $1 "*) ;; *) return 1 ;; esac; }
ports_optional() { case " ${PORTS_OPTIONAL[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }

ports_check_value() {
    local value=${!1}
    if [ "$value" = off ]; then
        ports_optional "$1" || die "$1 cannot be off"
    elif ! [[ $value =~ ^[1-9][0-9]{0,4}$ ]] || [ "$value" -gt 65535 ]; then
        die "$1 must be a port number$(ports_optional "$1" && printf ' or off'), not '$value'"
    fi
}

# Checks that they are free. A port that was not asked for by name is replaced; a busy one that was is an error.
ports_claim() {
    local name state
    local -A states=()
    for name in "${STACK_PORTS[@]}"; do
        [ "${!name}" = off ] || states[$name]=$(ports_probe "${!name}")
    done
    for name in "${STACK_PORTS[@]}"; do
        state=${states[$name]:-free}
        [ "$state" = free ] || ports_give_way "$name" "$state"
    done
    ports_check_twins
}

ports_give_way() {
    local name=$1 state=$2 port=${!1}
    if ports_asked "$name" || ports_asked PORT; then
        die "port $port ($name) is $state; choose another with $([ "$name" = PORT ] && printf -- '--port N' || printf '%s=N' "$name")"
    fi
    case $name in
        PORT)
            PORT=8080
            # shellcheck disable=SC2034 # read by name
            ports_asked ADMINER_PORT || ADMINER_PORT=8081
            say "port 80 is $state: using $PORT"
            [ "$(ports_probe $PORT)" = free ] || die "port $PORT is busy as well; choose one with --port N"
            ;;
        TLS_PORT)
            TLS_PORT=8443
            say "port 443 is $state: using $TLS_PORT"
            [ "$(ports_probe $TLS_PORT)" = free ] || die "port $TLS_PORT is busy as well; choose one with TLS_PORT=N"
            ;;
        API_PORT | CLIENT_PORT | WS_PORT | ADMINER_PORT)
            # ADMINER_PORT may have moved since it was probed.
            [ "$(ports_probe "${!name}")" != free ] || return 0
            say "port ${!name} ($name) is $state: left out"
            printf -v "$name" off
            ;;
        *) die "port $port ($name) is $state; start with --port N to use another set of ports" ;;
    esac
}

ports_check_twins() {
    local name twin
    twin=$(for name in "${STACK_PORTS[@]}"; do [ "${!name}" = off ] || say "${!name}"; done | sort | uniq -d | head -n 1)
    [ -z "$twin" ] || die "port $twin is used twice; look at PORT and the *_PORT variables"
}

# The notifiers' ports: NOTIFIER_PORT, then N+11 and so on (3082 and so on in the classic set).
ports_notifiers() {
    local index port
    NOTIFIER_PORTS=("$NOTIFIER_PORT")
    for ((index = 2; index <= NOTIFIERS; index++)); do
        if ports_asked PORT; then port=$((PORT + 9 + index)); else port=$((NOTIFIER_PORT + index - 1)); fi
        [ "$(ports_probe "$port")" = free ] || die "port $port, for notifier $index, is busy; choose another set with --port N"
        NOTIFIER_PORTS+=("$port")
    done
}
