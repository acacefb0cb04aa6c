/* SPDX-License-Identifier: MIT */
/* What the files behind store.h share; the only header that includes mysql.h.
 *
 *   store.c       a unit of work: transaction, retries, deadline, what is logged
 *   pool.c        the connections that request threads share
 *   connection.c  a connection: connect, wait with a deadline, what an error means
 *   dial.c        by which address it is made
 *   statement.c   prepared statements: values in, columns out
 *   query.c       statements that are put together: the same with literals
 *   node.c        which of the nodes this is, and what it waits for of the others
 *   group.c       changes that wait together share a transaction
 *   batch.c       that transaction; batch_lock.c: its first part, locking what it needs
 *   tasks.c, list.c, keys.c, users.c, sessions.c, events.c, outbox.c, epoch.c, upkeep.c
 *                 the functions of store.h, each a few statements of statements.h */
#ifndef CARILLON_STORE_INTERNAL_H
#define CARILLON_STORE_INTERNAL_H

#include <limits.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdatomic.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/resolve.h"
#include "common/strbuf.h"
#include "fcgi-api/store/change.h"
#include "fcgi-api/store/pool.h"
#include "fcgi-api/store/statements.h"
#include "fcgi-api/store/store.h"

/* What the last error means for the unit of work it happened in. */
enum store_failure {
    FAILURE_NONE,
    FAILURE_CONFLICT,  /* deadlock or lock wait: the whole transaction may be repeated */
    FAILURE_DUPLICATE, /* the row is already there */
    FAILURE_LOST,      /* the connection is gone */
    FAILURE_AWAY,      /* there is none, and none can be made now */
    FAILURE_READ_ONLY, /* it takes no writes now */
    FAILURE_SCHEMA,    /* a table, column, procedure or right is missing: scripts/migrate brings it */
    FAILURE_REFUSED,   /* it answers, and refuses: too many connections, a full disk... */
    FAILURE_BUG,       /* our SQL or our data */
};

#define STORE_COLUMNS_MAX 24             /* in a row; a list that is too long does not compile: STORE_OUT() */
#define STORE_VALUES_MAX  49             /* OUTBOX_USERS_MAX ranges and a limit */
#define STORE_TEXT_MAX    EVENT_BODY_MAX /* the longest text of a row, in bytes */

/* A column of the row being read: where its value goes. */
struct store_column {
    enum { TO_U32, TO_U64, TO_TEXT, TO_BYTES, TO_TIME, TO_STRBUF } kind;
    void *to;
    size_t size;    /* TO_TEXT, TO_BYTES: bytes at `to` */
    size_t *length; /* TO_TEXT: bytes of the text, NULL when not wanted */
};

/* A value of a statement: what a question mark stands for. */
struct store_value {
    enum { OF_NUMBER, OF_TEXT, OF_BYTES, OF_TIME } kind;
    uint64_t number;
    int64_t time_ms; /* CLOCK_NEVER: NULL */
    const void *bytes;
    size_t length;
};

/* The row that mysql_stmt_fetch() fills. */
struct store_row {
    enum store_statement statement;
    bool open;
    size_t count;
    struct store_column columns[STORE_COLUMNS_MAX];
    MYSQL_TIME times[STORE_COLUMNS_MAX];
    unsigned long lengths[STORE_COLUMNS_MAX];
    my_bool nulls[STORE_COLUMNS_MAX];
    char text[STORE_TEXT_MAX + 1]; /* the one TO_STRBUF column */
};

struct store {
    const struct config *config;
    struct metrics *metrics;         /* may be NULL */
    MYSQL *mysql;                    /* NULL: not connected */
    unsigned host_number;            /* modulo their number, of those in DB_HOST: the one to begin with */
    char host[256];                  /* that one */
    int port;                        /* and its port */
    struct resolve_answer addresses; /* of the host; none: the library is given its name */
    const char *address;             /* among them: the one that was tried last; NULL: none */
    int64_t look_at;                 /* whether it still takes writes, monotonic ms; 0: never */
    unsigned connections;            /* those that were made */
    MYSQL_STMT *statements[STORE_STATEMENT_COUNT];
    uint32_t node;    /* this program's, as this connection knows it; 0: not yet */
    int64_t deadline; /* of the call that is running, monotonic ms */
    bool late;        /* it has passed, and the connection was cut */
    enum store_failure failure;
    char why[512];
    bool commit_sent;
    atomic_bool reads_fail, writes_fail, outdated; /* as logged */
    struct backoff backoff;
    int64_t retry_at;                 /* not before: no connection is tried, monotonic ms */
    enum store_failure not_connected; /* the kind of the last attempt's failure */
    bool short_lived; /* the server ends this connection when it is silent: see store_lock() */
    struct store_row row;

    bool leads;           /* the commit group's: what goes wrong is looked into change by change */
    bool was_connected;   /* when it was taken from the pool */
    struct store *shared; /* the one that this is a connection of; NULL: none */

    /* of a store that request threads share: it has no connection itself */
    _Atomic int64_t
        writable_at; /* when one of its connections last took writes, of several hosts, monotonic ms */
    struct store_pool *pool;
    struct commit_group *group;
};

static inline bool store_is_connected(const struct store *store)
{
    return store->mysql != NULL;
}

/* Whether that concerns all calls: the database is away, or refuses. */
static inline bool store_is_away(enum store_failure failure)
{
    return failure == FAILURE_LOST || failure == FAILURE_AWAY || failure == FAILURE_READ_ONLY ||
           failure == FAILURE_REFUSED;
}

/* ---- store.c ----------------------------------------------------------------------------------- */

enum store_mode {
    STORE_READ,     /* each statement by itself */
    STORE_SNAPSHOT, /* all statements see the same moment */
    STORE_WRITE,    /* one transaction */
    STORE_CHANGE,   /* the same, and the work's first statement begins it */
};

typedef enum err store_work(struct store *store, void *context);

/* Runs the work within DB_TIMEOUT_MS, perhaps more than once: it must begin from its arguments each
 * time. What it returns ends the transaction: ERR_OK commits, anything else rolls back. */
MUST_CHECK enum err store_run(struct store *store, enum store_mode mode, store_work *work, void *context);
/* The same with a deadline (monotonic ms) and a number of attempts of one's own; `failure` says what kind of
 * failure its result means, FAILURE_NONE also for a deadline that has passed. */
MUST_CHECK enum err store_run_until(struct store *store, enum store_mode mode, store_work *work,
                                    void *context, int64_t deadline, int attempts,
                                    enum store_failure *failure);
#define STORE_UNTIL_DEADLINE INT_MAX /* attempts */

/* ---- connection.c -------------------------------------------------------------------------------- */

MUST_CHECK enum err store_connect(struct store *store);
void store_disconnect(struct store *store);

/* The store that this thread is connecting: the library's hooks are not told. */
extern _Thread_local struct store *store_connecting;

/* Waits for what the library asks for, at most until the deadline; then cuts the connection, so that
 * the library's call comes back with an error. */
int store_wait(struct store *store, int wanted);

/* Notes what went wrong; returns what a store function answers: ERR_UNAVAILABLE, or ERR_INTERNAL (logged, but
 * for a duplicate: see store_was_duplicate()). */
enum err store_fail(struct store *store, unsigned error, const char *text);

/* Whether that result says that a row was there already, as the caller expected: then it is no failure. */
bool store_was_duplicate(struct store *store, enum err err);

/* A statement without values, not prepared: BEGIN, COMMIT... */
MUST_CHECK enum err store_command(struct store *store, const char *sql);

/* ---- dial.c -------------------------------------------------------------------------------------- */

/* Once, when the library has been started: from now on it connects to store->addresses. */
void store_dial_by_address(void);
/* Sets these, within the deadline. ERR_UNAVAILABLE: `why` is set. */
MUST_CHECK enum err store_find_server(struct store *store);

/* How many hosts DB_HOST has. */
unsigned store_host_count(const struct store *store);
/* Sets host and port to those of store->host_number. */
void store_take_host(struct store *store);

/* ---- statement.c --------------------------------------------------------------------------------- */

struct store_outcome {
    uint64_t rows; /* found, also when nothing changed in them */
    uint64_t insert_id;
};

/* A list and its length; one with more than `most` entries is an array of negative size. */
#define STORE_COUNT(type, ...) (sizeof((const type[]){__VA_ARGS__}) / sizeof(type))
#define STORE_LIST(type, most, ...)                                                                          \
    (const type[]){__VA_ARGS__},                                                                             \
        STORE_COUNT(type, __VA_ARGS__) + 0 * sizeof(char[STORE_COUNT(type, __VA_ARGS__) <= (most) ? 1 : -1])
#define STORE_IN(...)  STORE_LIST(struct store_value, STORE_VALUES_MAX, __VA_ARGS__)
#define STORE_OUT(...) STORE_LIST(struct store_column, STORE_COLUMNS_MAX, __VA_ARGS__)

/* For statements without rows; ends a result that is still open. `outcome` may be NULL. */
MUST_CHECK enum err store_execute(struct store *store, enum store_statement statement,
                                  const struct store_value *values, size_t count,
                                  struct store_outcome *outcome);

/* The same statement for many rows in one packet: `rows` times `count` whole numbers. */
MUST_CHECK enum err store_execute_many(struct store *store, enum store_statement statement,
                                       const uint64_t *numbers, size_t rows, size_t count);

/* For statements with rows: store_select(), then store_fetch() until ERR_NOT_FOUND. One at a time. */
MUST_CHECK enum err store_select(struct store *store, enum store_statement statement,
                                 const struct store_value *values, size_t value_count,
                                 const struct store_column *columns, size_t column_count);
MUST_CHECK enum err store_fetch(struct store *store);

/* Ends a result that has not been read to its end; what a statement of several says after it is read, too. */
MUST_CHECK enum err store_end_result(struct store *store);

/* One row, or ERR_NOT_FOUND. */
MUST_CHECK enum err store_select_one(struct store *store, enum store_statement statement,
                                     const struct store_value *values, size_t value_count,
                                     const struct store_column *columns, size_t column_count);

void store_forget_statements(struct store *store); /* the connection is gone */

/* A DATETIME(3) in the library's form, and back. */
MYSQL_TIME store_time_of(int64_t wall_ms);
int64_t store_wall_ms_of(const MYSQL_TIME *time);

static inline struct store_value of_number(uint64_t number)
{
    return (struct store_value){.kind = OF_NUMBER, .number = number};
}
static inline struct store_value of_bytes(const void *bytes, size_t length)
{
    return (struct store_value){.kind = OF_BYTES, .bytes = bytes, .length = length};
}
static inline struct store_value of_string(const char *text, size_t length)
{
    return (struct store_value){.kind = OF_TEXT, .bytes = text, .length = length};
}
static inline struct store_value of_text(const char *text)
{
    return of_string(text, strlen(text));
}
static inline struct store_value of_time(int64_t wall_ms)
{
    return (struct store_value){.kind = OF_TIME, .time_ms = wall_ms};
}

static inline struct store_column to_u32(uint32_t *number)
{
    return (struct store_column){.kind = TO_U32, .to = number};
}
static inline struct store_column to_status(enum task_status *status)
{
    _Static_assert(sizeof *status == sizeof(uint32_t), "an enum without negative values is an unsigned int");
    return to_u32((uint32_t *)status);
}
static inline struct store_column to_u64(uint64_t *number)
{
    return (struct store_column){.kind = TO_U64, .to = number};
}
/* NUL-terminated; a value that does not fit is a bug of ours. */
static inline struct store_column to_text(char *text, size_t size)
{
    return (struct store_column){.kind = TO_TEXT, .to = text, .size = size};
}
/* The same with its length, for a column that may hold a NUL. */
static inline struct store_column to_string(char *text, size_t size, size_t *length)
{
    return (struct store_column){.kind = TO_TEXT, .to = text, .size = size, .length = length};
}
static inline struct store_column to_bytes(void *bytes, size_t size)
{
    return (struct store_column){.kind = TO_BYTES, .to = bytes, .size = size};
}
/* CLOCK_NEVER for NULL. */
static inline struct store_column to_time(int64_t *wall_ms)
{
    return (struct store_column){.kind = TO_TIME, .to = wall_ms};
}
/* A text of any length; at most one such column in a row. */
static inline struct store_column to_strbuf(struct strbuf *text)
{
    return (struct store_column){.kind = TO_STRBUF, .to = text};
}

/* ---- query.c ------------------------------------------------------------------------------------- */

/* Adds a text to a statement, with each question mark replaced by the next value as a literal. The store is
 * connected. */
void store_sql_add(struct store *store, struct strbuf *sql, const char *text,
                   const struct store_value *values, size_t count);

/* One result of a statement: its columns, and what is called after each row has been read into them. */
struct store_result {
    const struct store_column *columns;
    size_t count;
    void (*row)(void *context);
};
#define STORE_RESULT(list, visit)                                                                            \
    ((struct store_result){.columns = (list), .count = sizeof(list) / sizeof *(list), .row = (visit)})

/* Runs a statement that is not prepared and reads all its results, which are as many as `count`. */
MUST_CHECK enum err store_query(struct store *store, const struct strbuf *sql,
                                const struct store_result *results, size_t count, void *context);

/* ---- node.c -------------------------------------------------------------------------------------- */

/* This program's node. ERR_UNAVAILABLE also when it is not in the table: `why` says so. */
MUST_CHECK enum err store_own_node(struct store *store, uint32_t *node);
/* The same asked anew. ERR_NOT_FOUND: it is not in the table. */
MUST_CHECK enum err store_find_node(struct store *store, uint32_t *node);
/* It was in the table and is not any more: gives the connection up, as one that is lost. */
enum err store_node_has_gone(struct store *store);
/* A refusal may be for want of what another node has committed. In a cluster, waits until all of that is
 * here: ERR_AGAIN, the call is to be repeated, once, within the same deadline (monotonic ms). Else what it
 * was given, or what kept it from finding out. */
MUST_CHECK enum err store_catch_up(struct store *store, enum err refusal, int64_t deadline);
/* store_run(), and that. */
MUST_CHECK enum err store_run_caught_up(struct store *store, enum store_mode mode, store_work *work,
                                        void *context);
/* Adds a statement's text with the node's id in place of each STORE_NODE_MARK. */
MUST_CHECK enum err store_for_node(struct store *store, const char *text, struct strbuf *sql);

/* ---- shared by the files of functions ------------------------------------------------------------ */

/* The user's counter and the epoch, as the current snapshot has them. */
MUST_CHECK enum err store_user_position(struct store *store, uint32_t user_id, bool *known,
                                        struct cursor *cursor);

/* Claims the change's key, in its transaction and as the first of it; without one there is nothing to do.
 * When it has been used for the same request, answer->repeated is true and its answer is there: the change is
 * done. ERR_MISMATCH: it was used for another request. */
MUST_CHECK enum err store_claim_key(struct store *store, struct change *change);
/* The last of that transaction. */
MUST_CHECK enum err store_remember_answer(struct store *store, const struct change *change);

#define STORE_KEY_VALUES(idempotency)                                                                        \
    of_number((idempotency)->owner_id), of_text((idempotency)->key),                                         \
        of_bytes((idempotency)->request_hash, sizeof(idempotency)->request_hash)
/* The answer as it is remembered: status, task, version, body. */
#define STORE_ANSWER_VALUES(change)                                                                          \
    of_number(store_status_of((change)->kind)), of_number((change)->answer->task.id),                        \
        of_number((change)->answer->task.version),                                                           \
        of_string((change)->body.length > 0 ? (change)->body.text : "", (change)->body.length)
static inline uint64_t store_status_of(enum change_kind kind)
{
    return kind == CHANGE_CREATE || kind == CHANGE_EMIT ? 201 : kind == CHANGE_UPDATE ? 200 : 204;
}

/* What a write, in its transaction, says of its event. */
struct store_new_event {
    enum event_type type;
    const struct task *task;
    const char *task_json;
    const struct event_new *emitted; /* instead of those three; NULL: it is of a task */
    const struct cursor *at;         /* epoch and number */
    int64_t now_ms;
    const struct store_origin *origin;
};

/* Makes the event, its text included, in place of the one that was there. */
void store_make_event(struct outbox_event *made, const struct store_new_event *event);

/* The values of its journal row and of its outbox row, in the statements' order. */
#define STORE_EVENT_VALUES(made, task_id)                                                                    \
    of_number((made)->meta.user_id), of_number((made)->meta.seq), of_text((made)->meta.type),                \
        of_number(task_id), of_text((made)->meta.request_id), of_text((made)->meta.traceparent),             \
        of_string((made)->payload, (made)->length), of_time((made)->meta.created_at_ms)
#define STORE_OUTBOX_VALUES(node, made)                                                                      \
    of_number(node), of_number((made)->meta.user_id), of_number((made)->meta.seq),                           \
        of_time((made)->queued_at_ms)

MUST_CHECK enum err store_read_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1]);

/* Without an epoch, or with one that no cursor can carry, the schema is as bad as without the table. */
static inline enum err store_check_epoch(struct store *store, const char *epoch)
{
    if (cursor_epoch_valid(epoch))
        return ERR_OK;
    return store_fail(store, ER_NO_SUCH_TABLE, "table epoch holds none of 1 to 16 letters and digits");
}

/* Makes all that this connection has seen so far durable: InnoDB shows a commit to others before its log
 * is on disk, and only a later commit that has returned proves that the earlier one will survive. */
MUST_CHECK enum err store_settle(struct store *store);

#endif
