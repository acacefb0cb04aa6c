#!/bin/bash
# SPDX-License-Identifier: MIT
# The accounts of the broker, made or brought up to date at each start of the official image (container.conf names
# the file), and TLS where a certificate is mounted. Then container-start goes on with that image's own entrypoint.
#
#   AMQP_VHOST AMQP_EXCHANGE AMQP_QUEUE                                     names that the accounts are limited to
#   AMQP_ADMIN_PASSWORD AMQP_API_PASSWORD AMQP_NOTIFIER_PASSWORD            one for each account
set -euo pipefail

# shellcheck source=scripts/lib/accounts.sh
. /usr/local/share/carillon/accounts.sh

secret() { secret_in_environment "$1"; }

(umask 077 && broker_accounts "$AMQP_VHOST" "$AMQP_EXCHANGE" "$AMQP_QUEUE" admin >/tmp/definitions.json)
unset AMQP_ADMIN_PASSWORD AMQP_API_PASSWORD AMQP_NOTIFIER_PASSWORD
if [ -e /run/rabbitmq.pem ]; then cat /usr/local/share/carillon/container-tls.conf; fi >/tmp/tls.conf
exec /usr/local/share/carillon/container-start "$@"
