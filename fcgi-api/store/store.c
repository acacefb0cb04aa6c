/* A unit of work against the database: connect if need be, begin, work, commit; again after a deadlock or
 * a lost connection; all within one deadline. What the outside hears is ERR_UNAVAILABLE; why, is in the
 * log, once when it begins and once when it is over.
 *
 * A lost connection is tried again once, and only as long as no COMMIT has been sent: after that nobody
 * here knows whether it took effect. That is ERR_UNCERTAIN; the client finds out by its Idempotency-Key. */
#include "fcgi-api/store/internal.h"

#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/api_metrics.h"

#define ATTEMPTS_MAX       8
#define RETRY_FIRST_MS     2 /* between two attempts after a conflict */
#define RETRY_MOST_MS      50
#define RECONNECT_FIRST_MS 50 /* between two attempts to connect */
#define RECONNECT_MOST_MS  2000

struct store *store_new(const struct config *config)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        abort();
    store->config = config;
    store->backoff = (struct backoff)BACKOFF_INIT(RECONNECT_FIRST_MS, RECONNECT_MOST_MS);
    return store;
}

void store_use_metrics(struct store *store, struct metrics *metrics)
{
    store->metrics = metrics;
}

void store_free(struct store **store)
{
    if (!*store)
        return;
    store_disconnect(*store);
    free((*store)->last_event.payload);
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
    bool *failing = writes(mode) ? &store->writes_fail : &store->reads_fail;
    const char *what = writes(mode) ? "write" : "read";
    bool failed = err == ERR_UNAVAILABLE || err == ERR_UNCERTAIN;

    if (failed && !*failing)
        log_warn("database: cannot %s: %s", what, store->why);
    if (!failed && *failing)
        log_info("database: can %s again", what);
    *failing = failed;
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

static enum err finish(struct store *store, enum store_mode mode, enum err result)
{
    if (mode == STORE_READ || !store->mysql)
        return result;
    if (writes(mode) && result == ERR_OK) {
        store->commit_sent = true;
        return store_command(store, "COMMIT");
    }
    /* The reason for rolling back is what the caller wants to know, also when that fails. */
    enum store_failure failure = store->failure;
    if (store_command(store, "ROLLBACK") != ERR_OK)
        store_disconnect(store);
    store->failure = failure;
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

static bool sleep_within(struct store *store, int64_t pause_ms)
{
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    if (clock_monotonic_ms() + pause_ms >= store->deadline)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static bool worth_another(struct store *store, struct backoff *pause, int attempts, bool *reconnected)
{
    if (store->late || store->commit_sent || attempts >= ATTEMPTS_MAX)
        return false;
    if (store->failure == FAILURE_LOST && !*reconnected)
        return *reconnected = true;
    if (store->failure != FAILURE_CONFLICT)
        return false;
    if (store->metrics)
        metrics_add(store->metrics, API_DB_RETRIES, 1);
    return sleep_within(store, backoff_next_ms(pause));
}

enum err store_run(struct store *store, enum store_mode mode, store_work *work, void *context)
{
    struct backoff pause = BACKOFF_INIT(RETRY_FIRST_MS, RETRY_MOST_MS);
    bool reconnected = false;
    enum err err;
    int attempts = 0;

    store->deadline = clock_monotonic_ms() + store->config->db_timeout_ms;
    store->late = false;
    store->commit_sent = false;
    do {
        err = attempt(store, mode, work, context);
    } while (err == ERR_UNAVAILABLE && worth_another(store, &pause, ++attempts, &reconnected));

    if (err == ERR_UNAVAILABLE && store->commit_sent && store->failure == FAILURE_LOST)
        err = ERR_UNCERTAIN;
    note_outcome(store, mode, err);
    return err;
}
