#!/bin/sh
# SPDX-License-Identifier: MIT
# What the official image's entrypoint does before it becomes nginx: runs what was put into
# /docker-entrypoint.d, in order, and renders every template with the environment.
set -eu

for script in /docker-entrypoint.d/*.sh; do
    if [ -x "$script" ]; then "$script"; fi
done

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
