#!/bin/bash
# SPDX-License-Identifier: MIT
# The accounts of the database, made or brought up to date at each start of the official image, and TLS where a certificate
# is mounted (compose.inside-tls.yml). Then that image's own entrypoint goes on.
#
#   DB_NAME                                                         database
#   DB_MIGRATE_PASSWORD DB_API_PASSWORD DB_ADMINER_PASSWORD DB_EMIT_PASSWORD   one for each account
set -euo pipefail

# shellcheck source=scripts/lib/accounts.sh
. /usr/local/share/carillon/accounts.sh

secret() { secret_in_environment "$1"; }

(umask 077 && database_accounts "$DB_NAME" "'carillon-migrate'@'%'" "'carillon-api'@'%'" "'carillon-adminer'@'%'" "'carillon-emit'@'%'" >/tmp/accounts.sql)
unset DB_MIGRATE_PASSWORD DB_API_PASSWORD DB_ADMINER_PASSWORD DB_EMIT_PASSWORD
# A client that comes without TLS still may (Adminer does); the programs do not.
[ ! -e /run/mariadb.pem ] || set -- "$@" --ssl-cert=/run/mariadb.pem --ssl-key=/run/mariadb.key --tls-version=TLSv1.2,TLSv1.3
exec docker-entrypoint.sh "$@" --init-file=/tmp/accounts.sql
