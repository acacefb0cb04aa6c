/* SPDX-License-Identifier: MIT */
#include "fcgi-api/api/sessions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/session_ends.h"
#include "fcgi-api/api_metrics.h"

#define FRESH_MS 1000
#define WHOLE_MS 60000 /* between two looks at the whole table */

struct sessions {
    struct store *store;
    struct metrics *metrics;
    pthread_rwlock_t lock; /* of the list */
    struct session_ends ends;
    pthread_mutex_t reading; /* of what follows, where it changes */
    uint64_t last_id;
    int64_t whole_at;
    atomic_int_fast64_t counted; /* API_SESSIONS_ENDED when it was read; -1: never */
    atomic_int_fast64_t read_at;
};

struct sessions *sessions_new(struct store *store, struct metrics *metrics)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions == NULL)
        abort();
    sessions->store = store;
    sessions->metrics = metrics;
    pthread_rwlock_init(&sessions->lock, NULL);
    pthread_mutex_init(&sessions->reading, NULL);
    atomic_store(&sessions->counted, -1);
    return sessions;
}

void sessions_free(struct sessions **sessions)
{
    if (*sessions == NULL)
        return;
    session_ends_free(&(*sessions)->ends);
    pthread_rwlock_destroy(&(*sessions)->lock);
    pthread_mutex_destroy(&(*sessions)->reading);
    free(*sessions);
    *sessions = NULL;
}

static void take(void *context, uint32_t user_id, int64_t before_s)
{
    struct sessions *sessions = context;
    pthread_rwlock_wrlock(&sessions->lock);
    (void)session_ends_add(&sessions->ends, user_id, before_s);
    pthread_rwlock_unlock(&sessions->lock);
}

/* The count is taken before the rows: an end that comes meanwhile is read now, or again. All of them now and
 * then: of very many at a time one can be committed long after its successors, and a backup that is put back
 * begins its numbers earlier. */
static enum err read_again(struct sessions *sessions)
{
    int64_t counted = metrics_get(sessions->metrics, API_SESSIONS_ENDED), now = clock_monotonic_ms();
    bool whole = now >= sessions->whole_at;
    if (whole)
        sessions->last_id = 0;
    enum err err = store_session_ends(sessions->store, &sessions->last_id, take, sessions);
    if (err)
        return err;
    if (whole)
        sessions->whole_at = now + WHOLE_MS;
    atomic_store(&sessions->read_at, now);
    atomic_store(&sessions->counted, counted);
    return ERR_OK;
}

static bool is_behind(struct sessions *sessions)
{
    return metrics_get(sessions->metrics, API_SESSIONS_ENDED) != atomic_load(&sessions->counted);
}

/* A worker whose list is behind the pool's reads it before it judges a token. A list that is merely old
 * serves while another thread reads, and while the database is away: nearly every request needs the database,
 * and fails. ERR_STALE lets the others go on. */
static enum err keep_up(struct sessions *sessions)
{
    enum err err = ERR_OK;
    if (is_behind(sessions)) {
        pthread_mutex_lock(&sessions->reading);
        if (is_behind(sessions))
            err = read_again(sessions);
        pthread_mutex_unlock(&sessions->reading);
    } else if (clock_monotonic_ms() - atomic_load(&sessions->read_at) >= FRESH_MS &&
               pthread_mutex_trylock(&sessions->reading) == 0) {
        err = read_again(sessions) == ERR_OK ? ERR_OK : ERR_STALE;
        pthread_mutex_unlock(&sessions->reading);
    }
    return err;
}

enum err sessions_judge(void *context, uint32_t user_id, int64_t issued_s, bool *over)
{
    struct sessions *sessions = context;
    enum err err = keep_up(sessions);
    pthread_rwlock_rdlock(&sessions->lock);
    *over = session_ends_cover(&sessions->ends, user_id, issued_s);
    pthread_rwlock_unlock(&sessions->lock);
    return err;
}
