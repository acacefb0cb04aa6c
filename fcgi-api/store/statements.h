/* SPDX-License-Identifier: MIT */
/* Every SQL statement of the service, on one page. Those of STORE_STATEMENTS are prepared when first used on
 * a connection and kept there, with the id of this program's node for each :node (node.c); those of a batch
 * are put together for it. */
#ifndef CARILLON_STORE_STATEMENTS_H
#define CARILLON_STORE_STATEMENTS_H

/* How many migrations (sql/NNN_name.sql) these statements need. */
#define STORE_SCHEMA 8

/* In a statement that is prepared: the id of this program's node. */
#define STORE_NODE_MARK ":node"

/* The columns of a task beside its id and its version: X(column, how it is read, how it is written), each of
 * the `struct task *task` in scope. Every SELECT, INSERT and UPDATE takes them from here; the ones of
 * TASK_FIXED never change once they are inserted. */
#define TASK_FIXED(X)                                                                                        \
    X(user_id, to_u32(&task->user_id), of_number(task->user_id))                                             \
    X(created_at, to_time(&task->created_at_ms), of_time(task->created_at_ms))
#define TASK_CHANGING(X)                                                                                     \
    X(status, to_status(&task->status), of_number(task->status))                                             \
    X(content, to_string(task->content, sizeof task->content, &task->content_length),                        \
      of_string(task->content, task->content_length))                                                        \
    X(completed_at, to_time(&task->completed_at_ms), of_time(task->completed_at_ms))

#define TASK_SELECTED(column, ...)    ", t." #column
#define TASK_NAMED(column, ...)       ", " #column
#define TASK_GIVEN(column, ...)       ", ?"
#define TASK_SET(column, ...)         ", " #column " = VALUES(" #column ")"
#define TASK_READ(column, in, out)    , in
#define TASK_WRITTEN(column, in, out) , out

/* In SQL, and the same columns in C: as columns of a row for STORE_OUT(), as values for STORE_IN(). */
#define TASK_COLUMNS  "t.id, t.version" TASK_FIXED(TASK_SELECTED) TASK_CHANGING(TASK_SELECTED)
#define TASK_READINGS to_u32(&task->id), to_u32(&task->version) TASK_FIXED(TASK_READ) TASK_CHANGING(TASK_READ)
#define TASK_INSERTED of_number(task->version) TASK_FIXED(TASK_WRITTEN) TASK_CHANGING(TASK_WRITTEN)
#define TASK_REPLACED of_number(task->id), TASK_INSERTED

/* Statements of as many rows as a batch has (batch.c): how they begin, a row of them, and how they end. Rows
 * that are changed are written whole: they are there and locked, so every one of them is a duplicate. */
#define TASK_ROW          "?" TASK_FIXED(TASK_GIVEN) TASK_CHANGING(TASK_GIVEN) ")"
#define TASK_NAMES        "version" TASK_FIXED(TASK_NAMED) TASK_CHANGING(TASK_NAMED) ") VALUES "
#define TASK_INSERT_HEAD  "INSERT INTO tasks (" TASK_NAMES
#define TASK_INSERT_ROW   "(" TASK_ROW
#define TASK_REPLACE_HEAD "INSERT INTO tasks (id, " TASK_NAMES
#define TASK_REPLACE_ROW  "(?, " TASK_ROW
#define TASK_REPLACE_END  " ON DUPLICATE KEY UPDATE version = VALUES(version)" TASK_CHANGING(TASK_SET)

/* All counters at once. The index is named so that the server can never read the table as a whole: it would
 * lock, and wait for, the rows of others. */
#define COUNTERS_HEAD  "UPDATE users FORCE INDEX (PRIMARY) SET event_seq = CASE id "
#define COUNTERS_CASE  "WHEN ? THEN ?"
#define COUNTERS_WHERE " END WHERE id IN ("

#define EVENT_INSERT_HEAD                                                                                    \
    "INSERT INTO events (user_id, seq, type, task_id, request_id, traceparent, payload, created_at) VALUES "
#define EVENT_INSERT_ROW "(?, ?, ?, ?, ?, ?, ?, ?)"
/* A row for each node, and a note for each other one, whose publishers get no hint. */
#define OUTBOX_INSERT_HEAD  "INSERT INTO outbox (node, user_id, seq, created_at) VALUES "
#define OUTBOX_INSERT_ROW   "(?, ?, ?, ?)"
#define EMITTED_INSERT_HEAD "INSERT INTO emitted (node, user_id, seq) VALUES "
#define EMITTED_INSERT_ROW  "(?, ?, ?)"
#define KEY_INSERT_HEAD                                                                                      \
    "INSERT INTO idempotency_keys "                                                                          \
    "(owner_id, idem_key, request_hash, status, task_id, etag_version, body, created_at) VALUES "
#define KEY_INSERT_ROW "(?, ?, ?, ?, ?, ?, ?, ?)"

/* What leaves the outbox, the first key and as many others as there are. One statement for each would cost
 * twice as much: the server asks every index each time. As a join it reads those keys and nothing else; by a
 * list of ranges it may choose to read the whole table, and wait for rows that others have not committed yet.
 */
#define OUTBOX_DELETE_HEAD  "DELETE o FROM (SELECT ? AS user_id, ? AS seq"
#define OUTBOX_DELETE_FIRST " UNION ALL VALUES "
#define OUTBOX_DELETE_ROW   "(?, ?)"
#define OUTBOX_DELETE_END                                                                                    \
    ") gone STRAIGHT_JOIN outbox o FORCE INDEX (PRIMARY) "                                                   \
    "ON o.node = ? AND o.user_id = gone.user_id AND o.seq = gone.seq"

/* What the journal says of numbers that were given to published events: the first of them, and as many others
 * as there are. One statement sees one moment. */
#define JOURNAL_AT_HEAD                                                                                      \
    "SELECT p.place, COALESCE(u.event_seq, 0), e.created_at, m.value FROM (SELECT ? AS place, ? AS "         \
    "user_id, "                                                                                              \
    "? AS seq"
#define JOURNAL_AT_FIRST " UNION ALL VALUES "
#define JOURNAL_AT_ROW   "(?, ?, ?)"
#define JOURNAL_AT_END                                                                                       \
    ") p JOIN epoch m ON m.id = 1 LEFT JOIN users u ON u.id = p.user_id "                                    \
    "LEFT JOIN events e ON e.user_id = p.user_id AND e.seq = p.seq"

/* Which node this is, by its name or without one. */
#define SQL_NODE_NAMED "SELECT id FROM nodes WHERE name = ?"
#define SQL_NODE_FIRST "SELECT id FROM nodes WHERE id = 1"

/* What a batch reads and locks; a list of ids follows, and how it is locked. The nodes are read in the
 * transaction that writes a row for each: node_register (sql/routines.sql) waits for those under way. */
#define CURRENT_PLACE "(SELECT CONCAT(value, ' ', nodes) FROM epoch WHERE id = 1)"
#define SQL_TASKS_AND_USERS                                                                                  \
    "SELECT " TASK_COLUMNS ", u.event_seq, " CURRENT_PLACE                                                   \
    " FROM tasks t STRAIGHT_JOIN users u ON u.id = t.user_id WHERE t.id IN "
#define SQL_TASKS_OF_BATCH "SELECT " TASK_COLUMNS " FROM tasks t WHERE t.id IN "
#define SQL_USERS_OF_BATCH "SELECT u.id, u.event_seq, " CURRENT_PLACE " FROM users u WHERE u.id IN "

/* With the user's position in each row: one statement sees one moment. The index is named because it is
 * known: the server would ask three of them how many rows they have. */
#define TASKS_OF_USER(index, compare)                                                                        \
    "SELECT " TASK_COLUMNS ", m.value, u.event_seq FROM epoch m STRAIGHT_JOIN users u "                      \
    "STRAIGHT_JOIN tasks t FORCE INDEX (" index ") ON t.user_id = u.id "                                     \
    "WHERE m.id = 1 AND u.id = ? AND t.id " compare " ? "

/* Whether the content is like a pattern; case and accents make no difference. (LOCATE compares pieces of the
 * same number of bytes, so that it never finds an accent without one.) */
#define TASK_HOLDS "AND t.content COLLATE utf8mb4_unicode_ci LIKE ? ESCAPE '|' "

/* NOLINTBEGIN(bugprone-macro-parentheses): pieces of one text */
/* The lists of one order, from the row behind `after`: list.c counts on how they follow each other. */
#define TASK_LISTS(X, suffix, compare, order)                                                                \
    X(SQL_TASKS##suffix, "SELECT " TASK_COLUMNS " FROM tasks t WHERE t.id " compare " ? " order)             \
    X(SQL_TASKS_BY_STATUS##suffix,                                                                           \
      "SELECT " TASK_COLUMNS " FROM tasks t WHERE t.id " compare " ? AND t.status = ? " order)               \
    X(SQL_TASKS_OF_USER##suffix, TASKS_OF_USER("tasks_of_user", compare) order)                              \
    X(SQL_TASKS_OF_USER_BY_STATUS##suffix,                                                                   \
      TASKS_OF_USER("tasks_of_user_by_status", compare) "AND t.status = ? " order)                           \
    X(SQL_TASKS_FOUND##suffix, TASKS_OF_USER("tasks_of_user", compare) TASK_HOLDS order)                     \
    X(SQL_TASKS_FOUND_BY_STATUS##suffix,                                                                     \
      TASKS_OF_USER("tasks_of_user_by_status", compare) "AND t.status = ? " TASK_HOLDS order)
/* NOLINTEND(bugprone-macro-parentheses) */
#define TASK_COUNT "SELECT COUNT(*) FROM tasks t "

#define USER_SELECT "SELECT id, name, external_id, created_at FROM users WHERE "

/* Advisory locks are the server's, not the database's: two stacks on one server must not share them, nor two
 * nodes. (Programs of before there were nodes know the first name.) */
#define LOCK_NAME "CONCAT(LEFT(DATABASE(), 32), '.', ?, IF(:node = 1, '', '.:node'))"

/* clang-format off */
/* As many as OUTBOX_USERS_MAX. */
#define OUTBOX_RANGE  "(o.user_id = ? AND o.seq > ? AND o.seq <= ?)"
#define OUTBOX_RANGE4 OUTBOX_RANGE " OR " OUTBOX_RANGE " OR " OUTBOX_RANGE " OR " OUTBOX_RANGE
#define OUTBOX_RANGES OUTBOX_RANGE4 " OR " OUTBOX_RANGE4 " OR " OUTBOX_RANGE4 " OR " OUTBOX_RANGE4

#define STORE_STATEMENTS(X)                                                                                  \
    /* tasks */                                                                                              \
    X(SQL_TASK_GET,                                                                                          \
      "SELECT " TASK_COLUMNS " FROM tasks t WHERE t.id = ?")                                                     \
    TASK_LISTS(X, _UP, ">", "ORDER BY t.id LIMIT ?")                                                         \
    TASK_LISTS(X, _DOWN, "<", "ORDER BY t.id DESC LIMIT ?")                                                  \
    X(SQL_TASK_COUNT, TASK_COUNT)                                                                            \
    X(SQL_TASK_COUNT_BY_STATUS, TASK_COUNT "WHERE t.status = ?")                                             \
    X(SQL_TASK_COUNT_OF_USER, TASK_COUNT "WHERE t.user_id = ?")                                              \
    X(SQL_TASK_COUNT_OF_USER_BY_STATUS, TASK_COUNT "WHERE t.user_id = ? AND t.status = ?")                   \
    X(SQL_TASK_COUNT_FOUND, TASK_COUNT "WHERE t.user_id = ? " TASK_HOLDS)                                    \
    X(SQL_TASK_COUNT_FOUND_BY_STATUS, TASK_COUNT "WHERE t.user_id = ? AND t.status = ? " TASK_HOLDS)         \
    /* first answers to writes */                                                                           \
    X(SQL_KEY_INSERT,                                                                                        \
      KEY_INSERT_HEAD "(?, ?, ?, 0, 0, 0, '', ?)")                                                                    \
    X(SQL_KEY_GET,                                                                                           \
      "SELECT request_hash, task_id, etag_version, body, created_at "                                        \
      "FROM idempotency_keys WHERE owner_id = ? AND idem_key = ? LOCK IN SHARE MODE")                                \
    X(SQL_KEY_ANSWER,                                                                                        \
      "UPDATE idempotency_keys SET status = ?, task_id = ?, etag_version = ?, body = ? "                   \
      "WHERE owner_id = ? AND idem_key = ?")                                                                 \
    X(SQL_KEY_DELETE,                                                                                        \
      "DELETE FROM idempotency_keys WHERE owner_id = ? AND idem_key = ?")                                    \
    /* users */                                                                                              \
    X(SQL_USER_GET,                                                                                          \
      USER_SELECT "id = ?")                                                                                  \
    X(SQL_USER_FIND,                                                                                         \
      USER_SELECT "external_id = ?")                                                                         \
    X(SQL_USER_HOLD,                                                                                         \
      USER_SELECT "id = ? FOR UPDATE")                                                                       \
    X(SQL_USERS,                                                                                             \
      USER_SELECT "id > ? ORDER BY id LIMIT ?")                                                              \
    X(SQL_USER_INSERT,                                                                                       \
      "INSERT INTO users (name, external_id, created_at) VALUES (?, NULLIF(?, ''), ?)")                      \
    X(SQL_USER_UPDATE,                                                                                       \
      "UPDATE users SET name = ?, external_id = NULLIF(?, '') WHERE id = ?")                                 \
    X(SQL_USER_POSITION,                                                                                     \
      "SELECT m.value, u.id IS NOT NULL, COALESCE(u.event_seq, 0) "                                          \
      "FROM epoch m LEFT JOIN users u ON u.id = ? WHERE m.id = 1")                                           \
    /* sessions */                                                                                           \
    X(SQL_USER_KNOWN,                                                                                        \
      "SELECT id FROM users WHERE id = ?")                                                                   \
    X(SQL_SESSIONS_END,                                                                                      \
      "INSERT INTO session_ends (user_id, before_s) VALUES (?, ?)")                                          \
    X(SQL_SESSION_ENDS,                                                                                      \
      "SELECT id, user_id, before_s FROM session_ends WHERE id > ? ORDER BY id LIMIT ?")                     \
    /* the journal */                                                                                        \
    X(SQL_EPOCH,                                                                                             \
      "SELECT value FROM epoch WHERE id = 1")                                                                \
    X(SQL_EPOCH_RENEW,                                                                                       \
      "CALL epoch_renew(?)")                                                                                 \
    X(SQL_EVENTS_SINCE,                                                                                      \
      "SELECT seq, payload FROM events WHERE user_id = ? AND seq > ? ORDER BY seq LIMIT ?")                  \
    /* the outbox */                                                                                         \
    X(SQL_OUTBOX_READ,                                                                                       \
      "SELECT o.user_id, o.seq, o.created_at, e.type, e.request_id, e.traceparent, e.payload, e.created_at, m.value "   \
      "FROM outbox o FORCE INDEX (PRIMARY) STRAIGHT_JOIN events e ON e.user_id = o.user_id AND e.seq = o.seq "                     \
      "JOIN epoch m ON m.id = 1 "                                                                            \
      "WHERE o.node = :node AND (" OUTBOX_RANGES ") ORDER BY o.user_id, o.seq LIMIT ?")                                           \
    X(SQL_OUTBOX_USERS,                                                                                      \
      "SELECT user_id, MAX(seq) FROM (SELECT user_id, seq, created_at FROM outbox "                          \
      "WHERE node = :node AND (created_at <= ? OR created_at > ?) ORDER BY created_at LIMIT 10000) waiting " \
      "GROUP BY user_id ORDER BY MIN(created_at) LIMIT ?")                                                   \
    X(SQL_OUTBOX_COUNT,                                                                                      \
      "SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE node = :node LIMIT ?) counted")                      \
    X(SQL_OUTBOX_OLDEST,                                                                                     \
      "SELECT user_id, seq, created_at FROM outbox WHERE node = :node ORDER BY created_at LIMIT 1")          \
    X(SQL_OUTBOX_KEYS,                                                                                       \
      "SELECT user_id, seq FROM outbox FORCE INDEX (PRIMARY) WHERE node = :node ORDER BY user_id, seq LIMIT ?") \
    /* Events of other programs and of other nodes, for which no hint comes. */                             \
    X(SQL_EMITTED,                                                                                           \
      "SELECT user_id, seq FROM emitted WHERE node = :node ORDER BY user_id, seq LIMIT ?")                   \
    X(SQL_EMITTED_DELETE,                                                                                    \
      "DELETE FROM emitted WHERE node = :node AND user_id = ? AND seq = ?")                                  \
    /* Back from what the broker has confirmed, and the journal as a whole. */                               \
    X(SQL_KEPT_RUNS,                                                                                         \
      "SELECT id, user_id, first_seq, last_seq FROM confirmed "                                              \
      "WHERE node = :node AND id > ? ORDER BY id LIMIT ?")                                                   \
    X(SQL_KEPT_BACK,                                                                                         \
      "INSERT IGNORE INTO outbox (node, user_id, seq, created_at) "                                          \
      "VALUES (:node, ?, ?, FROM_UNIXTIME(? / 1000))")                                                       \
    X(SQL_KEPT_TAKEN,                                                                                        \
      "DELETE FROM confirmed WHERE node = :node AND id > ? AND id <= ?")                                     \
    X(SQL_JOURNAL_PIECE,                                                                                     \
      "SELECT user_id, seq FROM events FORCE INDEX (PRIMARY) "                                               \
      "WHERE (user_id = ? AND seq > ?) OR user_id > ? ORDER BY user_id, seq LIMIT 1 OFFSET ?")               \
    X(SQL_JOURNAL_BACK,                                                                                      \
      "INSERT IGNORE INTO outbox (node, user_id, seq, created_at) "                                          \
      "SELECT :node, user_id, seq, ? FROM events FORCE INDEX (PRIMARY) "                                     \
      "WHERE ((user_id = ? AND seq > ?) OR user_id > ?) AND (user_id < ? OR (user_id = ? AND seq <= ?))")    \
    /* what the broker has confirmed within the last moments, in which of its lives, and how long it lived */\
    X(SQL_KEEP,                                                                                              \
      "INSERT INTO confirmed (node, user_id, first_seq, last_seq, lived_ms) VALUES (:node, ?, ?, ?, ?)")     \
    X(SQL_KEPT,                                                                                              \
      "SELECT lived_ms, EXISTS(SELECT 1 FROM confirmed WHERE node = :node) FROM broker WHERE id = :node")    \
    X(SQL_KEPT_AGE,                                                                                          \
      "SELECT GREATEST(0, TIMESTAMPDIFF(SECOND, confirmed_at, CURRENT_TIMESTAMP(3))) FROM confirmed "        \
      "WHERE node = :node ORDER BY id LIMIT 1")                                                              \
    X(SQL_KEPT_FORGET,                                                                                       \
      "DELETE FROM confirmed WHERE node = :node AND lived_ms <= ? ORDER BY lived_ms LIMIT ?")                \
    X(SQL_LIFE_GET,                                                                                          \
      "SELECT life FROM broker WHERE id = :node")                                                            \
    X(SQL_LIFE_HOLD,                                                                                         \
      "SELECT life, lived_ms FROM broker WHERE id = :node LOCK IN SHARE MODE")                               \
    X(SQL_LIFE_NEXT,                                                                                         \
      "INSERT INTO broker (id, life) VALUES (:node, 1) ON DUPLICATE KEY UPDATE life = life + 1")             \
    X(SQL_LIFE_GOES_ON,                                                                                      \
      "UPDATE broker SET lived_ms = lived_ms + ? WHERE id = :node AND life = ? AND lived_ms = ?")            \
    /* the nodes: how many, and whether ours is one of them */                                               \
    X(SQL_NODES,                                                                                             \
      "SELECT COUNT(*), COALESCE(SUM(id = :node), 0) FROM nodes")                                            \
    /* Waits until this node has applied what was committed before, at any of them (Galera). */              \
    X(SQL_NODE_CATCH_UP,                                                                                     \
      "SET STATEMENT wsrep_sync_wait = 1 FOR SELECT id FROM epoch WHERE id = 1")                             \
    /* upkeep */                                                                                             \
    X(SQL_SCHEMA,                                                                                            \
      "SELECT COUNT(*) FROM schema_migrations WHERE name REGEXP '^[0-9]{3}_'")                               \
    X(SQL_PURGE_EVENTS,                                                                                      \
      "CALL purge_events(?, ?)")                                                                             \
    X(SQL_NEWEST_EVENT,                                                                                      \
      "SELECT created_at FROM events ORDER BY created_at DESC LIMIT 1")                                      \
    X(SQL_OLD_KEYS_DELETE,                                                                                   \
      "DELETE FROM idempotency_keys WHERE created_at < ? ORDER BY created_at LIMIT ?")                       \
    X(SQL_OLD_ENDS_DELETE,                                                                                   \
      "DELETE FROM session_ends WHERE before_s < ? ORDER BY before_s LIMIT ?")                               \
    /* advisory locks, notes that publishers leave each other, and the barrier */                 \
    X(SQL_LOCK,                                                                                              \
      "SELECT IF(COALESCE(IS_USED_LOCK(" LOCK_NAME "), 0) = CONNECTION_ID(), 1, "                            \
      "COALESCE(GET_LOCK(" LOCK_NAME ", 0), 0))")                                                            \
    X(SQL_UNLOCK,                                                                                            \
      "DO RELEASE_LOCK(" LOCK_NAME ")")                                                                      \
    X(SQL_CLOCK,                                                                                             \
      "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS UNSIGNED)")                                              \
    X(SQL_SERVER,                                                                                            \
      "SELECT CRC32(CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)), "                           \
      "CAST(VARIABLE_VALUE AS UNSIGNED) FROM information_schema.GLOBAL_STATUS "                              \
      "WHERE VARIABLE_NAME = 'UPTIME'")                                                                      \
    X(SQL_NOTE_GET,                                                                                          \
      "SELECT value FROM notes WHERE node = :node AND name = ?")                                             \
    X(SQL_NOTE_SET,                                                                                          \
      "INSERT INTO notes (node, name, value) VALUES (:node, ?, ?) "                                          \
      "ON DUPLICATE KEY UPDATE value = VALUES(value)")                                                       \
    X(SQL_SETTLE,                                                                                            \
      "INSERT INTO settled (node, id, times) VALUES (:node, CONNECTION_ID() MOD 16, 1) "                     \
      "ON DUPLICATE KEY UPDATE times = times + 1")
/* clang-format on */

enum store_statement {
#define X(name, sql) name,
    STORE_STATEMENTS(X)
#undef X
        STORE_STATEMENT_COUNT
};

#endif
