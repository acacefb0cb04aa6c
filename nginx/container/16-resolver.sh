#!/bin/sh
# Tells nginx which name server knows the other containers: the first one this container has. Run by the
# image's entrypoint before nginx.
set -eu
server=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
case $server in *:*) server="[$server]" ;; esac
printf 'resolver %s valid=2s ipv6=off;\nresolver_timeout 2s;\n' "$server" >"$NGINX_ENVSUBST_OUTPUT_DIR/resolver.conf"
