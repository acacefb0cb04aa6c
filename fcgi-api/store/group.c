/* SPDX-License-Identifier: MIT */
/* Leader and followers. */
#include "fcgi-api/store/group.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/store/batch.h"
#include "fcgi-api/store/internal.h"

#define ATTEMPTS 2 /* of a whole group; after that each change is tried by itself */

/* How long those that were left out wait together for their locks, at first and then each time: others'
 * transactions take some ms, and what is held longer is to keep only those waiting that want it. Longer and
 * longer, because one that waits is the next to have the lock, and one that begins again is the last. */
#define FIRST_WAIT_MS 50
#define WAIT_GROWTH   4

struct commit_group {
    pthread_mutex_t mutex;
    bool led;
    struct change *first, *last; /* that wait, in order of arrival */

    /* the leader's */
    struct store *store;
    struct batch batch;
    store_committed *committed;
    void *context;
};

struct commit_group *commit_group_new(struct store *store, store_committed *committed, void *context)
{
    struct commit_group *group = calloc(1, sizeof *group);
    if (!group)
        abort();
    pthread_mutex_init(&group->mutex, NULL);
    group->store = store;
    group->committed = committed;
    group->context = context;
    batch_init(&group->batch, GROUP_MAX);
    return group;
}

void commit_group_free(struct commit_group **group)
{
    if (!*group)
        return;
    batch_free(&(*group)->batch);
    store_free(&(*group)->store);
    pthread_mutex_destroy(&(*group)->mutex);
    free(*group);
    *group = NULL;
}

/* ---- the queue ----------------------------------------------------------------------------------- */

/* True: the caller leads. */
static bool enqueue(struct commit_group *group, struct change *change)
{
    pthread_mutex_lock(&group->mutex);
    if (group->first)
        group->last->next = change;
    else
        group->first = change;
    group->last = change;
    bool leads = !group->led;
    group->led = true;
    pthread_mutex_unlock(&group->mutex);
    return leads;
}

static size_t take_waiting(struct commit_group *group, struct change **taken)
{
    size_t count = 0;
    pthread_mutex_lock(&group->mutex);
    while (group->first && count < GROUP_MAX) {
        taken[count++] = group->first;
        group->first = group->first->next;
    }
    pthread_mutex_unlock(&group->mutex);
    return count;
}

static void wake(struct change *change, int state)
{
    change->state = state;
    sem_post(&change->woken); /* from here on it may be gone */
}

static void hand_over(struct commit_group *group)
{
    pthread_mutex_lock(&group->mutex);
    struct change *next = group->first;
    group->led = next != NULL;
    pthread_mutex_unlock(&group->mutex);
    if (next)
        wake(next, CHANGE_LEADS);
}

/* ---- a group ------------------------------------------------------------------------------------- */

/* Answers the changes whose deadline has passed: nothing was begun. Returns how many are left; they are moved
 * to the front. */
static size_t drop_late(struct change **changes, size_t count)
{
    int64_t now = clock_monotonic_ms();
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        struct change *change = changes[i];
        if (change->deadline > now) {
            changes[i] = changes[left];
            changes[left++] = change;
        } else {
            change->err = ERR_UNAVAILABLE;
        }
    }
    return left;
}

static int64_t earliest_deadline(struct change *const *changes, size_t count)
{
    int64_t earliest = changes[0]->deadline;
    for (size_t i = 1; i < count; i++)
        if (changes[i]->deadline < earliest)
            earliest = changes[i]->deadline;
    return earliest;
}

/* What the end of the transaction means for each. That the database is away is the same for all, and a lock
 * that is held elsewhere is to be tried again; anything else may be the matter of one of them, so each is
 * tried by itself. */
static void judge(const struct batch *batch, enum err err, enum store_failure failure)
{
    bool alone = batch->patient && batch->count == 1;
    bool same_for_all = alone || err == ERR_UNCERTAIN || (err == ERR_UNAVAILABLE && store_is_away(failure));
    if (err == ERR_OK || batch->refused)
        return; /* each has its own already */
    for (size_t i = 0; i < batch->count; i++) {
        batch->changes[i]->err = same_for_all ? err : ERR_AGAIN;
        batch->changes[i]->goes_alone = failure != FAILURE_CONFLICT;
    }
}

static void announce(struct commit_group *group, const struct batch *batch)
{
    struct metrics *metrics = group->store->metrics;
    size_t events = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = batch->changes[i];
        if (change->err != ERR_OK || change->answer->repeated)
            continue;
        group->committed(group->context, &change->event);
        events++;
    }
    if (metrics && events > 0) {
        metrics_add(metrics, API_EVENTS_COMMITTED, (int64_t)events);
        metrics_add(metrics, API_COMMITS, 1);
    }
}

/* A database that answers may take no writes (a full disk, read-only): readiness reports that. One that is
 * away is no such case: readiness asks it, and must believe it as soon as it answers again, because a
 * balancer sends no write here until then. */
static void note_refusal(struct metrics *metrics, enum err err, enum store_failure failure)
{
    bool refused = err == ERR_UNAVAILABLE && (failure == FAILURE_REFUSED || failure == FAILURE_READ_ONLY);
    if (refused)
        metrics_set(metrics, API_DB_REFUSED_MS, clock_monotonic_ms());
    else if (err == ERR_OK && metrics_get(metrics, API_DB_REFUSED_MS) != 0)
        metrics_set(metrics, API_DB_REFUSED_MS, 0);
}

static void commit(struct commit_group *group, struct store *store, struct batch *batch, int attempts)
{
    enum store_mode mode = batch->patient ? STORE_WRITE : STORE_CHANGE;
    enum store_failure failure = FAILURE_NONE;
    batch->refused = false;
    if (batch->count > 1)
        log_set_request_id(NULL); /* a line about several requests carries no request id */
    enum err err = store_run_until(store, mode, batch_work, batch,
                                   earliest_deadline(batch->changes, batch->count), attempts, &failure);
    if (group->store->metrics)
        note_refusal(group->store->metrics, err, failure);
    judge(batch, err, failure);
    announce(group, batch);
}

/* On a connection of the pool. Those whose time is over are answered. */
static void commit_beside(struct commit_group *group, struct store *shared, struct change **changes,
                          size_t count, int wait_ms)
{
    struct batch batch;
    count = drop_late(changes, count);
    if (count == 0)
        return;
    batch_init(&batch, count);
    batch.patient = wait_ms > 0;
    batch.wait_ms = wait_ms;
    batch.changes = changes;
    batch.count = count;
    commit(group, shared, &batch, count == 1 ? STORE_UNTIL_DEADLINE : 1);
    batch_free(&batch);
}

/* ---- waking followers ---------------------------------------------------------------------------- */

static void finish(struct change *change, enum change_state state, const struct change *own)
{
    if (change == own)
        change->state = state;
    else
        wake(change, state);
}

/* Those that were left out because of others' locks wait for these together: the first of them leads. */
static void hand_out(struct change **changes, size_t count, struct change *own)
{
    struct change *left_out = NULL, **end = &left_out;
    for (size_t i = 0; i < count; i++) {
        struct change *change = changes[i];
        if (change->err != ERR_AGAIN)
            finish(change, CHANGE_DONE, own);
        else if (change->goes_alone || change->origin->idempotency)
            finish(change, CHANGE_GOES_ALONE, own);
        else {
            *end = change;
            end = &change->next;
        }
    }
    *end = NULL;
    if (left_out)
        finish(left_out, CHANGE_LEADS_THESE, own);
}

/* The caller's own change is among the first that wait. */
static void lead(struct commit_group *group, struct change *own)
{
    struct change *taken[GROUP_MAX], *going[GROUP_MAX];
    size_t count = take_waiting(group, taken);

    for (size_t i = 0; i < count; i++)
        going[i] = taken[i];
    group->batch.changes = going;
    group->batch.count = drop_late(going, count);
    if (group->batch.count > 0)
        commit(group, group->store, &group->batch, ATTEMPTS);
    hand_over(group);
    hand_out(taken, count, own);
}

/* Those that are still to be tried together, in front; returns how many. */
static size_t keep_left_out(struct change **changes, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (changes[i]->err == ERR_AGAIN && !changes[i]->goes_alone)
            changes[left++] = changes[i];
    return left;
}

/* Waits a while for all their locks; when that was not long enough, takes what is free and waits for the
 * rest. The last one waits by itself. */
static void lead_these(struct commit_group *group, struct store *shared, struct change *own)
{
    struct change *taken[GROUP_MAX], *going[GROUP_MAX];
    size_t count = 0;

    for (struct change *change = own; change; change = change->next)
        taken[count++] = change;
    for (size_t i = 0; i < count; i++)
        going[i] = taken[i];
    size_t left = count;
    for (int wait_ms = FIRST_WAIT_MS; left > 1; wait_ms *= WAIT_GROWTH) {
        commit_beside(group, shared, going, left, wait_ms);
        left = keep_left_out(going, left);
        if (left > 1) {
            commit_beside(group, shared, going, left, 0);
            left = keep_left_out(going, left);
        }
    }
    if (left == 1)
        going[0]->goes_alone = true;
    hand_out(taken, count, own);
}

enum err commit_group_run(struct commit_group *group, struct store *shared, struct change *change)
{
    change->state = CHANGE_WAITS;
    change->next = NULL;
    change->goes_alone = false;
    sem_init(&change->woken, 0, 0);
    if (enqueue(group, change))
        change->state = CHANGE_LEADS;
    else
        while (sem_wait(&change->woken) != 0 && errno == EINTR)
            ;
    if (change->state == CHANGE_LEADS)
        lead(group, change);
    if (change->state == CHANGE_LEADS_THESE)
        lead_these(group, shared, change);
    sem_destroy(&change->woken);
    log_set_request_id(change->origin->request_id);
    if (change->state == CHANGE_GOES_ALONE)
        commit_beside(group, shared, (struct change *[]){change}, 1, FIRST_WAIT_MS);
    return change->err;
}
