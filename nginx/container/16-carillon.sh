#!/bin/sh
# Run by the image's entrypoint before the templates are rendered (20-...): makes the folder they go to, puts the
# frame beside it, and tells nginx which name server knows the other containers: the first this container has.
set -eu
mkdir -p "$NGINX_ENVSUBST_OUTPUT_DIR"
cp /etc/nginx/carillon.conf "${NGINX_ENVSUBST_OUTPUT_DIR%/*}/nginx.conf"
server=$(awk '$1 == "nameserver" { print $2; exit }' /etc/resolv.conf)
case $server in *:*) server="[$server]" ;; esac
printf 'resolver %s valid=2s ipv6=off;\nresolver_timeout 2s;\n' "$server" >"$NGINX_ENVSUBST_OUTPUT_DIR/resolver.conf"
