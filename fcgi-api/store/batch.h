/* SPDX-License-Identifier: MIT */
/* Some changes in one transaction: their rows are locked and read, the changes are made in memory in the
 * order in which they came, and what came of them is written together. */
#ifndef CARILLON_STORE_BATCH_H
#define CARILLON_STORE_BATCH_H

#include "fcgi-api/store/change.h"

struct batch_row {
    struct task task;
    enum { ROW_AS_READ, ROW_CHANGED, ROW_DELETED } state;
};

struct batch_user {
    uint32_t id;
    uint64_t seq; /* the last number given */
    bool changed;
};

#define BATCH_NODES_MAX 15 /* as node_register (sql/routines.sql) lets in */

struct batch {
    /* A patient batch waits for what others have locked: for `wait_ms`, or a second when it is of one change.
     * Any other leaves out what it cannot have at once: that change gets ERR_AGAIN, and is to be tried again.
     */
    bool patient;
    int wait_ms;
    size_t count;
    struct change **changes;

    /* within the transaction */
    char epoch[CURSOR_EPOCH_MAX + 1];
    uint32_t own_node; /* by the table `nodes`, and all that are in it */
    uint32_t nodes[BATCH_NODES_MAX];
    size_t node_count;
    size_t row_count, user_count;
    struct batch_row *rows;   /* as many as `capacity` */
    struct batch_user *users; /* the same */
    size_t created;           /* where the next id goes that an insert has given */
    bool refused;             /* every change was, each for its own reason */
    struct strbuf sql;
    /* a row as it is being read */
    struct task task;
    struct batch_user user;
    char place[CURSOR_EPOCH_MAX + 1 + BATCH_NODES_MAX * sizeof "255,"]; /* "epoch 1,2,3" */
    uint32_t owner_id;
    char key[IDEMPOTENCY_KEY_MAX + 1];
};

/* Room for that many changes. */
void batch_init(struct batch *batch, size_t capacity);
void batch_free(struct batch *batch);

/* The work of store_run(), with the batch: with STORE_CHANGE, when patient with STORE_WRITE. ERR_OK: to be
 * committed; each change's `err` says what came of it, and those with ERR_OK have an event (or a repeated
 * answer). Any other result: nothing is to be committed; when no change could be made that is the first one's
 * `err`. */
enum err batch_work(struct store *store, void *context);

/* ---- batch_lock.c: for batch.c alone -------------------------------------------------------------- */

/* Locks the rows and counters that the changes need, and reads them into `rows`, `users`, `epoch` and
 * `nodes`; the keys that have been used make their changes ERR_AGAIN. */
MUST_CHECK enum err batch_lock(struct store *store, struct batch *batch);

/* NULL: it is not there, or its lock could not be had. */
struct batch_user *batch_find_user(struct batch *batch, uint32_t id);
struct batch_row *batch_find_row(struct batch *batch, uint32_t task_id);

#endif
