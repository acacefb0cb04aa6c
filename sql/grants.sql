-- SPDX-License-Identifier: MIT
-- What each account may do with the tables; scripts/migrate applies it after the migrations, each time.
-- :api, :adminer and :emit stand for the accounts themselves (API_ACCOUNT, ADMINER_ACCOUNT, EMIT_ACCOUNT). None of them may change a table
-- itself, and each row here is one that fcgi-api/store/statements.h needs: tests/system/test_accounts.py compares.

GRANT SELECT, INSERT (name, external_id, created_at), UPDATE (event_seq, name, external_id) ON users TO :api;
GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO :api;
GRANT SELECT, INSERT, DELETE ON session_ends TO :api;
GRANT SELECT, INSERT ON events TO :api;
GRANT EXECUTE ON PROCEDURE purge_events TO :api;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox TO :api;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO :api;
GRANT SELECT ON epoch TO :api;
GRANT EXECUTE ON PROCEDURE epoch_renew TO :api;
GRANT SELECT, INSERT, DELETE ON confirmed TO :api;
GRANT SELECT, INSERT, UPDATE ON broker TO :api;
GRANT SELECT, INSERT, DELETE ON emitted TO :api;
GRANT SELECT ON nodes TO :api;
GRANT SELECT ON schema_migrations TO :api;
GRANT SELECT, INSERT, UPDATE ON notes TO :api;
GRANT SELECT, INSERT, UPDATE ON settled TO :api;
-- For programs of before sql/002_owners.sql, as long as they run beside newer ones.
GRANT SELECT, INSERT, UPDATE ON meta TO :api;

-- A person's eyes (and hands, for users and tasks): SELECT on everything is the server's configuration to give.
GRANT INSERT, UPDATE, DELETE ON tasks TO :adminer;
GRANT INSERT (name, external_id), UPDATE (name, external_id) ON users TO :adminer;

-- Other programs: an event in a transaction of their own, and nothing else (docs/emit.md).
GRANT EXECUTE ON PROCEDURE carillon_emit TO :emit;
