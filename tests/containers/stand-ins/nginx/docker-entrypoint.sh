#!/bin/sh
# Renders every template with the environment, as the official image's entrypoint does, then becomes nginx.
set -eu

if [ -n "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ]; then
    NGINX_LOCAL_RESOLVERS=$(awk 'BEGIN{ORS=" "} $1=="nameserver" {if ($2 ~ ":") {print "["$2"]"} else {print $2}}' /etc/resolv.conf)
    export NGINX_LOCAL_RESOLVERS="${NGINX_LOCAL_RESOLVERS% }"
fi

from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
into=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
if [ -d "$from" ] && [ -w "$into" ]; then
    # Only variables that exist and pass the filter: nginx's own $variables stay.
    names=$(awk -v filter="${NGINX_ENVSUBST_FILTER:-}" \
        'BEGIN { for (name in ENVIRON) if (name ~ filter) printf "${%s} ", name }')
    find "$from" -follow -type f -name "*$suffix" | while read -r template; do
        target=$into/${template#"$from/"}
        mkdir -p "$(dirname "$target")"
        envsubst "$names" <"$template" >"${target%"$suffix"}"
    done
fi
exec "$@"
