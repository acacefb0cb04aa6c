# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Secrets are files in SECRET_DIR that only their owner reads, one each.

# The path of a secret's file, made at first use.
secret_file() {
    local file=$SECRET_DIR/$1
    [ -s "$file" ] || (umask 077 && random_password >"$file.new" && mv "$file.new" "$file")
    printf '%s' "$file"
}

secret() { cat "$(secret_file "$1")"; }
