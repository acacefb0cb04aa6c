#!/bin/sh
# SPDX-License-Identifier: MIT
# Run by the image's entrypoint before the templates are rendered (20-...): makes the folder they go to, puts the
# frame beside it, tells nginx which name server knows the other containers (the first this container has), and
# chooses among the templates what they cannot choose themselves.
set -eu
conf=$NGINX_ENVSUBST_OUTPUT_DIR
rm -rf "$conf/mount"
mkdir -p "$conf/tls"
cp /etc/nginx/carillon.conf "${conf%/*}/nginx.conf"
server=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
case $server in *:*) server="[$server]" ;; esac
printf 'resolver %s valid=2s ipv6=off;\nresolver_timeout 2s;\n' "$server" >"$conf/resolver.conf"
case ${BASE_PATH:-} in
    '') ln -s root "$conf/mount" ;;
    *) ln -s path "$conf/mount" ;;
esac
[ -z "${TLS_LISTEN:-}" ] || /etc/nginx/listen-tls "$TLS_LISTEN" >"$conf/tls/listen.inc"
