# shellcheck shell=bash disable=SC2016,SC2154 # the backquotes are of SQL; what the caller has
# SPDX-License-Identifier: MIT
# The rights of the accounts that use the tables: sql/grants.sql gives them, and what an account has beyond is taken away,
# so that an older, wider grant does not stay. Granting comes first, so that an account never lacks a right that it should have. The
# caller has a session (sql_session.sh).

TABLE_RIGHTS=('SELECT' 'INSERT' 'UPDATE' 'DELETE' 'CREATE' 'DROP' 'REFERENCES' 'INDEX' 'ALTER' 'CREATE VIEW' 'SHOW VIEW'
    'TRIGGER' 'DELETE HISTORY' 'GRANT OPTION')
# What scripts/lib/accounts.sh lets Adminer's account do in the whole database stays.
ADMINER_EVERYWHERE='SELECT EVENT'
DATABASE_RIGHTS=("${TABLE_RIGHTS[@]}" 'CREATE TEMPORARY TABLES' 'LOCK TABLES' 'EXECUTE' 'CREATE ROUTINE'
    'ALTER ROUTINE /*M!110300 , SHOW CREATE ROUTINE*/' 'EVENT') # known from that version on

grants_apply() {
    local sum
    sum=$({ cat "$ROOT/sql/grants.sql"; say "${API_ACCOUNT:-} ${ADMINER_ACCOUNT:-} ${EMIT_ACCOUNT:-}"; } | sha256sum | cut -d ' ' -f 1)
    grants_of api "${API_ACCOUNT:-}" >"$temporary/grants.sql"
    grants_of adminer "${ADMINER_ACCOUNT:-}" >>"$temporary/grants.sql"
    grants_of emit "${EMIT_ACCOUNT:-}" >>"$temporary/grants.sql"
    session_file "$temporary/grants.sql" || { session_complain; return 1; }
    {
        say 'DELIMITER //'
        grants_narrow "$sum"
        say 'DELIMITER ;'
    } >"$temporary/narrow.sql"
    session_file "$temporary/narrow.sql" || { session_complain; return 1; }
    ask "REPLACE INTO schema_migrations (name, checksum) VALUES ('grants.sql', '$sum')"
}

# grants_of KIND ACCOUNT: its lines of sql/grants.sql, if there is such an account.
grants_of() {
    local lines
    [ -n "$2" ] || return 0
    lines=$(grep "^GRANT .* TO :$1;\$" "$ROOT/sql/grants.sql")
    printf '%s\n' "${lines//:$1;/$2;}"
}

grants_narrow() {
    local changed=no table
    ask "SELECT checksum FROM schema_migrations WHERE name = 'grants.sql'"
    [ "$1" = "$answer" ] || changed=yes
    ask "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    for table in $answer; do
        [ -z "${API_ACCOUNT:-}" ] || grants_narrow_table api "$API_ACCOUNT" "$table" "$changed"
        [ -z "${ADMINER_ACCOUNT:-}" ] || grants_narrow_table adminer "$ADMINER_ACCOUNT" "$table" "$changed"
        [ -z "${EMIT_ACCOUNT:-}" ] || grants_narrow_table emit "$EMIT_ACCOUNT" "$table" "$changed"
    done
    [ -z "${API_ACCOUNT:-}" ] || grants_narrow_database "$API_ACCOUNT" ''
    [ -z "${ADMINER_ACCOUNT:-}" ] || grants_narrow_database "$ADMINER_ACCOUNT" "$ADMINER_EVERYWHERE"
    [ -z "${EMIT_ACCOUNT:-}" ] || grants_narrow_database "$EMIT_ACCOUNT" ''
}

# A right to some columns is listed among the rights to the table, where a wider one may hide: it is revoked and granted again,
# but only when sql/grants.sql has changed, because statements are refused in between.
grants_narrow_table() {
    local kind=$1 account=$2 table=$3 changed=$4 line right given excess=()
    line=$(grants_of "$kind" "$account" | grep -F " ON $table TO " || true)
    given=", $(sed -E 's/^GRANT (.*) ON .*/\1/; s/ \([^)]*\)//g' <<<"$line"),"
    for right in "${TABLE_RIGHTS[@]}"; do
        [[ $given = *", $right,"* ]] || excess+=("$right")
    done
    grants_take "$(listed "${excess[@]}")" "\`$table\`" "$account"
    [ "$changed" = yes ] && [[ $line = *\(* ]] || return 0
    for right in $(grep -oE '[A-Z]+ \(' <<<"$line" | tr -d ' ('); do grants_take "$right" "\`$table\`" "$account" "$line"; done
}

# The name is a pattern there. Of what was given by the name as it is, scripts/lib/accounts.sh knows.
grants_narrow_database() {
    local account=$1 right excess=()
    for right in "${DATABASE_RIGHTS[@]}"; do
        [[ " $2 " = *" $right "* ]] || excess+=("$right")
    done
    grants_take "$(listed "${excess[@]}")" "\`${DB_NAME//_/\\_}\`.*" "$account"
}

listed() { local IFS=,; printf '%s' "$*"; }

# grants_take RIGHTS PLACE ACCOUNT [GRANT...;]: revokes, where nothing to revoke (1141, 1147) is no error; then grants.
grants_take() {
    printf 'BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1141, 1147 BEGIN END; REVOKE %s ON %s FROM %s; %s END//\n' "$1" "$2" "$3" "${4:-}"
}
