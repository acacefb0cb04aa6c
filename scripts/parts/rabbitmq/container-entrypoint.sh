#!/bin/bash
# SPDX-License-Identifier: MIT
# The accounts of the broker, made or brought up to date at each start of the official image (container.conf names
# the file). Then that image's own entrypoint goes on.
#
#   AMQP_VHOST AMQP_EXCHANGE AMQP_QUEUE                                     names that the accounts are limited to
#   AMQP_ADMIN_PASSWORD AMQP_API_PASSWORD AMQP_NOTIFIER_PASSWORD            one for each account
set -euo pipefail

# shellcheck source=scripts/lib/accounts.sh
. /usr/local/share/carillon/accounts.sh

secret() { secret_in_environment "$1"; }

(umask 077 && broker_accounts "$AMQP_VHOST" "$AMQP_EXCHANGE" "$AMQP_QUEUE" admin >/tmp/definitions.json)
unset AMQP_ADMIN_PASSWORD AMQP_API_PASSWORD AMQP_NOTIFIER_PASSWORD
exec docker-entrypoint.sh "$@"
