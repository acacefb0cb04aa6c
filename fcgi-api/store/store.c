/* SPDX-License-Identifier: MIT */
/* A unit of work against the database: connect if need be, begin, work, commit; again after a deadlock or
 * a lost connection; all within one deadline. Callers get ERR_UNAVAILABLE; the log has the
 * reason, once when it begins and once when it is over.
 *
 * A lost connection is tried again once (and so is, of several hosts, one that takes no writes), and only as
 * long as no COMMIT has been sent: after that it is not known whether it took effect. That is ERR_UNCERTAIN;
 * the client finds out by its Idempotency-Key. */
#include "fcgi-api/store/group.h"
#include "fcgi-api/store/internal.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/api_metrics.h"

#define CONNECTIONS_MAX    256 /* as DB_CONNECTIONS may have */
#define RETRY_FIRST_MS     2   /* between two attempts after a conflict */
#define RETRY_MOST_MS      10
#define ATTEMPT_LEAST_MS   50
#define RECONNECT_FIRST_MS 50 /* between two attempts to connect */
#define RECONNECT_MOST_MS  2000

struct store *store_new(const struct config *config)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        abort();
    store->config = config;
    store->backoff = BACKOFF_INIT(RECONNECT_FIRST_MS, RECONNECT_MOST_MS);
    return store;
}

void store_use_metrics(struct store *store, struct metrics *metrics)
{
    store->metrics = metrics;
}

static struct store *new_connection_of(struct store *shared)
{
    struct store *store = store_new(shared->config);
    store->metrics = shared->metrics;
    store->shared = shared;
    return store;
}

struct store *store_new_shared(const struct config *config, struct metrics *metrics,
                               store_committed *committed, void *context)
{
    struct store *shared = store_new(config), *connections[CONNECTIONS_MAX];
    size_t count = (size_t)config->db_connections;

    shared->metrics = metrics;
    for (size_t i = 0; i < count; i++)
        connections[i] = new_connection_of(shared);
    shared->pool = store_pool_new(connections, count);
    struct store *leader = new_connection_of(shared);
    leader->leads = true;
    shared->group = commit_group_new(leader, committed, context);
    return shared;
}

void store_free(struct store **store)
{
    if (!*store)
        return;
    store_disconnect(*store);
    store_pool_free(&(*store)->pool);
    commit_group_free(&(*store)->group);
    free(*store);
    *store = NULL;
}

static bool writes(enum store_mode mode)
{
    return mode == STORE_WRITE || mode == STORE_CHANGE;
}

/* ---- a line when something begins or is over ------------------------------------------------------ */

static void note_outcome(struct store *store, enum store_mode mode, enum err err)
{
    struct store *noted = store->shared ? store->shared : store;
    atomic_bool *failing = writes(mode) ? &noted->writes_fail : &noted->reads_fail;
    const char *what = writes(mode) ? "write" : "read";
    bool failed = err == ERR_UNAVAILABLE || err == ERR_UNCERTAIN;

    if (failed && store->failure == FAILURE_CONFLICT)
        return; /* with other changes: the database is well */
    if (failed == atomic_load(failing) || atomic_exchange(failing, failed) == failed)
        return;
    if (failed)
        log_warn("database: cannot %s: %s", what, store->why);
    else
        log_info("database: can %s again", what);
}

/* ---- one attempt --------------------------------------------------------------------------------- */

static enum err begin(struct store *store, enum store_mode mode)
{
    if (mode == STORE_WRITE)
        return store_command(store, "START TRANSACTION");
    if (mode == STORE_READ || mode == STORE_CHANGE)
        return ERR_OK;
    enum err err = store_command(store, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    return err ? err : store_command(store, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
}

/* The reason for rolling back is what the caller wants to know, also when that fails. A server that takes no
 * writes is left: another one of DB_HOST may. */
static void roll_back(struct store *store)
{
    enum store_failure failure = store->failure;
    if (store->mysql && store_command(store, "ROLLBACK") != ERR_OK)
        store_disconnect(store);
    if (store->mysql && failure == FAILURE_READ_ONLY && store_host_count(store) > 1)
        store_disconnect(store);
    store->failure = failure;
}

/* A deadlock (with a change on another node) and a server that has become read-only say that nothing was
 * committed. After any other error it is not known. */
static enum err commit(struct store *store)
{
    store->commit_sent = true;
    enum err err = store_command(store, "COMMIT");
    if (!err)
        return ERR_OK;
    if (store->failure == FAILURE_CONFLICT || store->failure == FAILURE_READ_ONLY) {
        store->commit_sent = false;
        roll_back(store);
        return err;
    }
    store_disconnect(store);
    return ERR_UNCERTAIN;
}

static enum err finish(struct store *store, enum store_mode mode, enum err result)
{
    if (mode == STORE_READ || !store->mysql)
        return result;
    if (writes(mode) && result == ERR_OK)
        return commit(store);
    roll_back(store);
    return result;
}

static enum err attempt(struct store *store, enum store_mode mode, store_work *work, void *context)
{
    store->failure = FAILURE_NONE;
    enum err err = store_connect(store);
    if (!err)
        err = begin(store, mode);
    if (err)
        return err;
    err = work(store, context);
    enum err end = store_end_result(store); /* the work may have stopped in the middle of it */
    return finish(store, mode, err ? err : end);
}

/* ---- all of them --------------------------------------------------------------------------------- */

/* False: there is no time for another attempt, which could be cut in the middle of its COMMIT. */
static bool sleep_before_another(struct store *store, int64_t pause_ms)
{
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    if (clock_monotonic_ms() + pause_ms + ATTEMPT_LEAST_MS >= store->deadline)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static bool worth_another(struct store *store, struct backoff *pause, int left, bool *reconnected)
{
    if (store->late || store->commit_sent || left <= 0)
        return false;
    bool elsewhere = store->failure == FAILURE_READ_ONLY && store_host_count(store) > 1;
    if ((store->failure == FAILURE_LOST || elsewhere) && !*reconnected)
        return *reconnected = true;
    if (store->failure != FAILURE_CONFLICT)
        return false;
    if (!sleep_before_another(store, backoff_next_ms(pause))) {
        log_warn("database: others were in the way for all of the %d ms: %s",
                 (int)store->config->db_timeout_ms, store->why);
        return false;
    }
    if (store->metrics)
        metrics_add(store->metrics, API_DB_RETRIES, 1);
    return true;
}

static enum err run_until(struct store *store, enum store_mode mode, store_work *work, void *context,
                          int64_t deadline, int attempts, enum store_failure *failure)
{
    struct backoff pause = BACKOFF_INIT(RETRY_FIRST_MS, RETRY_MOST_MS);
    bool reconnected = false;
    enum err err;

    store->deadline = deadline;
    store->late = false;
    store->commit_sent = false;
    do {
        err = attempt(store, mode, work, context);
    } while (err == ERR_UNAVAILABLE && worth_another(store, &pause, --attempts, &reconnected));

    /* A leader's changes are tried one by one then; that tells what is wrong. */
    if (store->failure == FAILURE_DUPLICATE && !store->leads)
        log_error("database: %s", store->why);
    note_outcome(store, mode, err);
    *failure = store->late ? FAILURE_NONE : store->failure;
    return err;
}

/* With one of the connections. When that cannot be made and others are, one of those is waited for: a
 * database that has no room for more is not away. */
static enum err run_shared(struct store *shared, enum store_mode mode, store_work *work, void *context,
                           int64_t deadline, int attempts, enum store_failure *failure)
{
    enum err err = ERR_UNAVAILABLE;
    bool again = true;

    for (bool connected = false; again; connected = true) {
        struct store *store = store_pool_take(shared->pool, deadline, connected);
        if (!store)
            return ERR_UNAVAILABLE; /* all were busy until the deadline */
        err = run_until(store, mode, work, context, deadline, attempts, failure);
        again = !connected && err == ERR_UNAVAILABLE && !store_is_connected(store) && !store->late;
        store_pool_give(shared->pool, store);
        again = again && store_pool_connected(shared->pool);
    }
    return err;
}

enum err store_run_until(struct store *store, enum store_mode mode, store_work *work, void *context,
                         int64_t deadline, int attempts, enum store_failure *failure)
{
    *failure = FAILURE_NONE;
    return store->pool ? run_shared(store, mode, work, context, deadline, attempts, failure)
                       : run_until(store, mode, work, context, deadline, attempts, failure);
}

enum err store_run(struct store *store, enum store_mode mode, store_work *work, void *context)
{
    enum store_failure failure;
    return store_run_until(store, mode, work, context, clock_monotonic_ms() + store->config->db_timeout_ms,
                           STORE_UNTIL_DEADLINE, &failure);
}
