/* SPDX-License-Identifier: MIT */
/* The database, in the API's words: what the HTTP handlers and the publisher may ask of it.
 *
 * A struct store is one connection, used by one thread, unless it comes from store_new_shared(). It connects
 * when first asked, and again after a loss; no function waits longer than about DB_TIMEOUT_MS in all. A
 * write's row, event and outbox row are of one transaction, which it may share with others (group.h).
 * Deadlocks and lock waits (1213, 1205) are retried inside, a lost connection only when no COMMIT had been
 * sent.
 *
 * Every function can return ERR_UNAVAILABLE (database away, read-only, or too many connections: nothing
 * happened; the caller answers 503) and ERR_INTERNAL (a bug, already logged), each that writes also
 * ERR_UNCERTAIN (the connection broke after COMMIT was sent: 504); the others are named at each.
 * Only the files of store/ include mysql.h. */
#ifndef CARILLON_STORE_H
#define CARILLON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/cursor.h"
#include "common/err.h"
#include "common/event.h"
#include "common/grant.h"
#include "common/metrics.h"
#include "fcgi-api/task/task.h"
#include "fcgi-api/user/user.h"

struct store; /* opaque */

struct store *store_new(const struct config *config);
void store_free(struct store **store);

/* ERR_INVALID: DB_HOST is wrong, `why` says how. */
MUST_CHECK enum err store_hosts_check(const struct config *config, char *why, size_t size);

/* Connections made, transactions repeated and events committed are counted there from now on. */
void store_use_metrics(struct store *store, struct metrics *metrics);

/* Does the database answer? For readiness. ERR_STALE: it does, with tables older than this program's.
 * ERR_NOT_FOUND: it knows no node of the name NODE. */
MUST_CHECK enum err store_ping(struct store *store);

/* ---- events ------------------------------------------------------------------------------------- */

struct outbox_event {
    struct event_meta meta;
    int64_t queued_at_ms; /* when it came into the outbox */
    char *payload;
    size_t length;
};

/* Called once for each event, a user's in the order of their numbers, when its commit has returned and before
 * the call that made it does; by any of the threads, so it must be safe from all of them. The event is the
 * caller's. */
typedef void store_committed(void *context, const struct outbox_event *event);

/* A store for all request threads of a process: any of them may call it at any time. Reads share
 * DB_CONNECTIONS connections; writes that wait together share a transaction, on one more. `config` and
 * `metrics` outlive it. */
struct store *store_new_shared(const struct config *config, struct metrics *metrics,
                               store_committed *committed, void *context);

/* ---- tasks ------------------------------------------------------------------------------------- */

/* What travels with a write into its event. */
struct store_origin {
    const char *request_id;                      /* "" when none */
    const char *traceparent;                     /* "" when none */
    const struct grant *grant;                   /* others' tasks are ERR_NOT_FOUND */
    const struct store_idempotency *idempotency; /* NULL: none */
};

#define IDEMPOTENCY_KEY_MAX 255

/* A write that carried an Idempotency-Key. */
struct store_idempotency {
    uint32_t owner_id;
    char key[IDEMPOTENCY_KEY_MAX + 1];
    unsigned char request_hash[32];
};

/* The answer to a write: made now, or remembered from the first time. */
struct store_answer {
    bool repeated;    /* answered from the remembered one: nothing was changed, no event */
    struct task task; /* when repeated only its id and version (as first answered) are set */
    char *body;       /* the answer's JSON text, to free(); NULL after a DELETE, or a failure */
};

/* Each write: ERR_MISMATCH: the key was used for another request. */

/* ERR_NOT_FOUND: no such user. */
MUST_CHECK enum err store_task_insert(struct store *store, const struct task_new *task,
                                      const struct store_origin *origin, struct store_answer *answer);

/* Whether a call may go on, asked about the version of the row (of a change: once it is locked): what
 * If-Match and If-None-Match say. It reads nothing but its context; another thread may ask it while the
 * caller waits. */
struct store_condition {
    bool (*holds)(const void *context, uint32_t version);
    const void *context;
};

/* ERR_NOT_FOUND. ERR_STALE: the condition (NULL: none) does not hold of what was read, also when all that
 * other nodes have committed is here. */
MUST_CHECK enum err store_task_get(struct store *store, uint32_t id, const struct grant *grant,
                                   const struct store_condition *condition, struct task *task);

/* ERR_NOT_FOUND. ERR_STALE: the condition does not hold. ERR_INVALID: the patch gives a read-only field
 * another value; answer->task is the row as it is. Else answer->task is the new row. */
MUST_CHECK enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                                      const struct store_condition *condition,
                                      const struct store_origin *origin, struct store_answer *answer);

/* ERR_NOT_FOUND, ERR_STALE. answer->task is the row as it was. */
MUST_CHECK enum err store_task_delete(struct store *store, uint32_t id,
                                      const struct store_condition *condition,
                                      const struct store_origin *origin, struct store_answer *answer);

/* An event of another program, and nothing else; answer->body is {"cursor":"..."}. Its type, message and data
 * must be such as it may have (event_input.h). ERR_NOT_FOUND: no such user. */
MUST_CHECK enum err store_event_emit(struct store *store, const struct event_new *event,
                                     const struct store_origin *origin, struct store_answer *answer);

struct store_task_filter {
    uint32_t user_id; /* 0: everyone's */
    int status;       /* -1: both */
    const char
        *text; /* that the content holds, without regard to case and accents; "": any. Needs a user_id */
    bool newest_first;
    uint32_t after; /* rows that follow the one with this id; 0: from the first */
    int limit;
    bool count; /* the page's total is wanted: all rows but for `after` and `limit`; costs reading them */
};

struct store_task_page {
    bool more; /* rows follow the last one */
    uint64_t total;
    struct cursor
        cursor; /* the user's, long form, of the same moment, when the filter names one; else empty */
};

typedef void store_task_visit(void *context, const struct task *task);

/* Rows ordered by id, at most limit. The cursor of an unknown user has seq 0. */
MUST_CHECK enum err store_task_list(struct store *store, const struct store_task_filter *filter,
                                    store_task_visit *visit, void *context, struct store_task_page *page);

/* ---- users ------------------------------------------------------------------------------------- */

typedef void store_user_visit(void *context, const struct user *user);

/* Users ordered by id, ids greater than `after`, of those that the grant covers. */
MUST_CHECK enum err store_user_list(struct store *store, const struct grant *grant, uint32_t after, int limit,
                                    store_user_visit *visit, void *context, bool *more);
/* As store_condition, of a user's JSON text. */
struct store_text_condition {
    bool (*holds)(const void *context, const char *text, size_t length);
    const void *context;
};

/* As store_task_get(). */
MUST_CHECK enum err store_user_get(struct store *store, uint32_t id,
                                   const struct store_text_condition *condition, struct user *user);
/* ERR_NOT_FOUND. */
MUST_CHECK enum err store_user_find(struct store *store, const char *external_id, struct user *user);

/* Both: the answer has the user's id in place of a task's, and its JSON. No event is made of it. ERR_TAKEN:
 * the external_id is another user's. */
MUST_CHECK enum err store_user_insert(struct store *store, const struct user_new *user,
                                      const struct store_origin *origin, struct store_answer *answer);
/* ERR_NOT_FOUND, ERR_STALE. ERR_INVALID: the patch gives a read-only field another value; *user is the row as
 * it is. */
MUST_CHECK enum err store_user_update(struct store *store, uint32_t id, const struct user_patch *patch,
                                      const struct store_text_condition *condition,
                                      const struct store_origin *origin, struct user *user,
                                      struct store_answer *answer);

/* ---- sessions ------------------------------------------------------------------------------------ */

/* Ends the user's sessions: of tokens that were issued before that second. ERR_NOT_FOUND: no such user. */
MUST_CHECK enum err store_sessions_end(struct store *store, uint32_t user_id, int64_t before_s,
                                       const struct store_origin *origin, struct store_answer *answer);

typedef void store_end_visit(void *context, uint32_t user_id, int64_t before_s);

/* What was ended since *last_id (0: all that still matter), which goes on. Commits need not come in the order
 * of their ids, so the last STORE_ENDS_OVERLAP are told again; ask for all now and then. */
#define STORE_ENDS_OVERLAP 256
MUST_CHECK enum err store_session_ends(struct store *store, uint64_t *last_id, store_end_visit *visit,
                                       void *context);

/* ---- journal ----------------------------------------------------------------------------------- */

typedef void store_event_visit(void *context, uint64_t seq, const char *payload, size_t length);

/* The user's events after `since`, oldest first, at most limit; with an empty epoch in it: from the oldest
 * that is still there. *last is the cursor after the last one visited (long form when nothing more is to
 * come). ERR_NOT_FOUND: no such user. ERR_GONE: another epoch, ahead of the journal, or older than it reaches
 * back. */
MUST_CHECK enum err store_event_list(struct store *store, uint32_t user_id, const struct cursor *since,
                                     int limit, store_event_visit *visit, void *context, bool *more,
                                     struct cursor *last);

/* ---- nodes --------------------------------------------------------------------------------------- */

/* How many nodes share the journal (scripts/cluster); one machine alone is one. All that follows is about the
 * node of these programs (setting NODE), its broker and its rows of the outbox. ERR_UNAVAILABLE also when it
 * is none of them. */
MUST_CHECK enum err store_nodes(struct store *store, unsigned *count);

/* ---- outbox: for the publisher ------------------------------------------------------------------ */

struct outbox_batch {
    struct outbox_event *events;
    size_t count;
    bool more; /* perhaps: it ends at one of its limits */
};

void outbox_batch_free(struct outbox_batch *batch);

#define OUTBOX_USERS_MAX 16

struct outbox_range {
    uint32_t user_id;
    uint64_t after, upto; /* after < seq <= upto */
};

/* Some users' unconfirmed events, user by user in the order of their ids and each from the lowest seq up, at
 * most limit in all and a few MB; at most OUTBOX_USERS_MAX ranges, each user once. A plain read: never skips.
 * What it shows may not be durable yet: see store_barrier(). */
MUST_CHECK enum err store_outbox_read(struct store *store, const struct outbox_range *ranges, size_t count,
                                      int limit, struct outbox_batch *batch);

/* Returns once everything that was visible before the call is durable. InnoDB shows a commit to others
 * before its log is on disk; an event published in between and then lost in a crash would leave its number
 * to another event. Needless for events up to one whose own commit has returned. */
MUST_CHECK enum err store_barrier(struct store *store);

struct outbox_key {
    uint64_t user_id;
    uint64_t seq;
};

/* Users with an unconfirmed event older than min_age_ms, or from so far in the future, where a clock was set
 * back; each with the highest such one, at most limit,
 * those waiting longest first. Out of a long backlog only the oldest events are looked at. */
MUST_CHECK enum err store_outbox_users(struct store *store, int64_t min_age_ms, struct outbox_key *users,
                                       size_t limit, size_t *count);

/* All that waits, in the order of users and numbers, at most limit. */
MUST_CHECK enum err store_outbox_keys(struct store *store, struct outbox_key *events, size_t limit,
                                      size_t *count);

/* Events that other programs' transactions and other nodes have committed and no publisher here has been told
 * of, at most limit. Some may be out of the outbox already. */
MUST_CHECK enum err store_emitted_list(struct store *store, struct outbox_key *events, size_t limit,
                                       size_t *count);
/* Takes them off that list, and is a store_barrier() for them. */
MUST_CHECK enum err store_emitted_take(struct store *store, const struct outbox_key *events, size_t count);

/* The number of the broker's present life, counted by the publishers: each that finds the broker in a new one
 * begins the next (`begins`). */
MUST_CHECK enum err store_broker_life(struct store *store, bool begins, uint64_t *life);

/* It was seen alive for `more_ms` more, in that life and since *lived_ms was read or returned. ERR_STALE:
 * another life has begun, or another publisher has counted since: nothing was added. */
MUST_CHECK enum err store_broker_lives_on(struct store *store, uint64_t life, uint64_t *lived_ms,
                                          uint64_t more_ms);

/* Takes events that the broker has confirmed, in that life, out of the outbox, and keeps them where
 * store_outbox_refill() finds them (`keeps`). Sorts them. ERR_STALE: another life has begun since, and
 * a publisher has put back what the broker may have lost, so the confirms say nothing any more
 * (docs/models/outbox.pml, DELETE_HEALED): nothing was taken out. */
MUST_CHECK enum err store_outbox_confirm(struct store *store, uint64_t life, bool keeps,
                                         struct outbox_key *events, size_t count);

/* Puts back into the outbox what was kept, or the whole journal, about `limit` events a call. Begin with the
 * other fields 0, call until `done`. */
struct outbox_refill {
    bool whole_journal;
    /* Asked of each run of what was kept, when set: true leaves it where it is. */
    bool (*stays)(const void *context, uint32_t user_id, uint64_t first_seq, uint64_t last_seq);
    const void *context;
    uint64_t added; /* events so far */
    bool done;
    uint64_t after_id;   /* kept ones up to here are done */
    uint32_t after_user; /* events of the journal up to here are */
    uint64_t after_seq;
};
MUST_CHECK enum err store_outbox_refill(struct store *store, struct outbox_refill *refill, int limit);

/* Whether anything is kept, and for how long publishers have seen the broker live, in all: what is kept
 * carries what that was then. */
MUST_CHECK enum err store_kept(struct store *store, bool *any, uint64_t *lived_ms);
/* How long ago the oldest of it was kept, by the database's clock. */
MUST_CHECK enum err store_kept_age(struct store *store, bool *any, uint64_t *age_s);
/* Forgets what was kept when it was not more than `lived_ms`, at most `limit` rows a call. */
MUST_CHECK enum err store_kept_forget(struct store *store, uint64_t lived_ms, int limit, uint64_t *deleted);

/* How many there are (counted up to 100,000), and the oldest of them, by the clock it was made with. */
struct outbox_depth {
    uint64_t rows;
    struct outbox_key oldest; /* when there are any */
    int64_t oldest_at_ms;
};
MUST_CHECK enum err store_outbox_depth(struct store *store, struct outbox_depth *depth);

/* ---- the epoch ----------------------------------------------------------------------------------- */

MUST_CHECK enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1]);

/* Counts the connections that were made: the database behind another one may be another, or an older one. */
unsigned store_connections(const struct store *store);

/* An event that was published. */
struct published_event {
    uint32_t user_id;
    uint64_t seq;
    int64_t created_at_ms;
    int64_t unit_ms; /* 1; or 1000, where that time is known in whole seconds only */
};

/* What the journal says of its number. */
struct journal_entry {
    uint64_t last_seq;     /* the last one given to an event of this user; 0: none, or no such user */
    int64_t created_at_ms; /* of the event with this number; CLOCK_NEVER: the journal has none */
};

/* At one moment, and the epoch of that moment. Begins with a barrier, which a server that takes no writes
 * refuses, and which in Galera comes after all that any node had committed before; then reads where writes
 * go, on the same connection. ERR_UNAVAILABLE also when that was lost in between. At least one event. */
MUST_CHECK enum err store_journal_at(struct store *store, const struct published_event *events, size_t count,
                                     struct journal_entry *entries, char epoch[CURSOR_EPOCH_MAX + 1]);

/* Gives the data a new epoch if they still have the epoch `of`; `epoch` is the one they have then. *made: by
 * this call. */
MUST_CHECK enum err store_epoch_renew(struct store *store, const char *of, char epoch[CURSOR_EPOCH_MAX + 1],
                                      bool *made);

/* ---- what publishers leave each other ------------------------------------------------------------ */

/* An advisory lock of this connection (GET_LOCK), without a wait: taken, or held already; *held false:
 * another has it. Lost with the connection, so ask again before relying on it. */
MUST_CHECK enum err store_lock(struct store *store, const char *name, bool *held);
MUST_CHECK enum err store_unlock(struct store *store, const char *name);

/* The database's server. */
struct store_server {
    uint64_t name; /* of its machine, port and directory: another server hardly has the same number */
    uint64_t up_s; /* for how many seconds it has run */
};
MUST_CHECK enum err store_server(struct store *store, struct store_server *server);
/* Its clock, and moments of it that publishers leave each other under a name; -1: none yet. */
MUST_CHECK enum err store_clock(struct store *store, int64_t *wall_ms);
MUST_CHECK enum err store_moment(struct store *store, const char *name, int64_t *wall_ms);
MUST_CHECK enum err store_set_moment(struct store *store, const char *name, int64_t wall_ms);

/* ---- upkeep ------------------------------------------------------------------------------------- */

/* When the journal's newest row was made; -1: it has none. */
MUST_CHECK enum err store_newest_event(struct store *store, int64_t *wall_ms);

/* Deletes at most `limit` journal rows from before events_ms that are no longer in the outbox, and as many
 * idempotency keys from before keys_ms and ends of sessions from before ends_ms; *deleted: rows in all. Call
 * again while it deletes. */
MUST_CHECK enum err store_purge(struct store *store, int64_t events_ms, int64_t keys_ms, int64_t ends_ms,
                                int limit, uint64_t *deleted);

#endif
