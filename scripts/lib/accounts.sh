# shellcheck shell=bash disable=SC2016 # the backquotes are of SQL
# SPDX-License-Identifier: MIT
# The accounts of database and broker, with or without containers: one for each program, and what it may do.
# docs/security.md has the table. The caller has a function `secret NAME` that prints a password.

# secret_in_environment db_api_password: the value of DB_API_PASSWORD; for containers.
secret_in_environment() {
    local name=${1^^}
    printf '%s' "${!name:?is not set}"
}

# database_accounts DATABASE MIGRATE API ADMINER EMIT: SQL for a server's start; each account as 'user'@'host'. The
# rights of the last three are in sql/grants.sql.
database_accounts() {
    printf 'CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\n' "$1"
    database_account "$2" db_migrate_password
    printf 'GRANT ALL PRIVILEGES ON `%s`.* TO %s WITH GRANT OPTION;\n' "${1//_/\\_}" "$2"
    database_account "$3" db_api_password
    database_account "$4" db_adminer_password
    # EVENT only because Adminer shows an error when it may not list a database's events; none ever runs, for
    # the scheduler is off, and only the administrator may turn it on.
    printf 'GRANT SELECT, EVENT ON `%s`.* TO %s;\n' "${1//_/\\_}" "$4"
    database_account "$5" db_emit_password
    database_account_narrow "$3" "$1"
    database_account_narrow "$4" "$1"
    database_account_narrow "$5" "$1"
}

# database_account ACCOUNT SECRET
database_account() {
    local password
    password=$(secret "$2")
    password=${password//\\/\\\\}
    printf "CREATE USER IF NOT EXISTS %s;\nALTER USER %s IDENTIFIED BY '%s';\n" "$1" "$1" "${password//\'/\'\'}"
    # Takes away what an older version granted in all databases.
    printf 'REVOKE ALL PRIVILEGES ON *.* FROM %s;\nREVOKE GRANT OPTION ON *.* FROM %s;\n' "$1" "$1"
}

# database_account_narrow ACCOUNT DATABASE: takes away what an older version granted in the database under another pattern
# than ours. scripts/migrate puts the other rights in order.
database_account_narrow() {
    local right
    [[ $2 = *_* ]] || return 0
    for right in 'ALL PRIVILEGES' 'GRANT OPTION'; do
        printf "SET @sql = (SELECT IF(COUNT(*) > 0, \"REVOKE %s ON \`%s\`.* FROM %s\", 'DO 0') FROM mysql.db WHERE Db = '%s' AND CONCAT(\"'\", User, \"'@'\", Host, \"'\") = \"%s\");\n" \
            "$right" "$2" "$1" "$2" "$1"
        printf 'EXECUTE IMMEDIATE @sql;\n'
    done
}

# broker_accounts VHOST EXCHANGE QUEUE [ADMINISTRATOR]: definitions for RabbitMQ to load at its start. The API makes the
# exchanges and the stream, binds them and publishes; it cannot read the stream. The notifier reads it and writes markers;
# it can make nothing, and publish no event. There is no guest.
broker_accounts() {
    local vhost exchange queue administrator='' everything=''
    vhost=$(json_escaped "$1")
    exchange=$(broker_pattern "$2")
    queue=$(broker_pattern "$3")
    if [ -n "${4:-}" ]; then
        administrator="$(broker_user "$4" amqp_admin_password administrator),"
        everything="{\"user\": \"$4\", \"vhost\": \"$vhost\", \"configure\": \".*\", \"write\": \".*\", \"read\": \".*\"},"
    fi
    cat <<JSON
{
  "users": [
    $administrator
    $(broker_user carillon-api amqp_api_password ""),
    $(broker_user carillon-notifier amqp_notifier_password "")
  ],
  "vhosts": [{"name": "$vhost"}],
  "permissions": [
    $everything
    {"user": "carillon-api", "vhost": "$vhost",
     "configure": "^($exchange|$queue(\\\\.(known|life|markers))?)\$",
     "write": "^($exchange|$queue(\\\\.(known|life))?)\$",
     "read": "^($exchange|$queue(\\\\.(known|life|markers))?)\$"},
    {"user": "carillon-notifier", "vhost": "$vhost",
     "configure": "^\$", "write": "^$queue\\\\.markers\$", "read": "^$queue\$"}
  ]
}
JSON
}

# broker_user NAME SECRET TAGS
broker_user() {
    printf '{"name": "%s", "password_hash": "%s", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "%s", "limits": {}}' \
        "$1" "$(broker_hash "$(secret "$2")")" "$3"
}

# RabbitMQ's form: base64(salt + sha256(salt + password)).
broker_hash() {
    local salt digest
    salt=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
    digest=$({ bytes "$salt"; printf '%s' "$1"; } | sha256sum)
    bytes "$salt${digest%% *}" | base64 -w 0
}

bytes() {
    local hex=$1
    while [ -n "$hex" ]; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\x${hex:0:2}"
        hex=${hex:2}
    done
}

# A name as a pattern that means nothing else, in JSON.
broker_pattern() { json_escaped "$(printf '%s' "$1" | LC_ALL=C sed 's/[^A-Za-z0-9_]/\\&/g')"; }
json_escaped() { printf '%s' "$1" | LC_ALL=C sed 's/[\\"]/\\&/g'; }
