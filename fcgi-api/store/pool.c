/* SPDX-License-Identifier: MIT */
/* A stack of free connections. */
#include "fcgi-api/store/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fcgi-api/store/internal.h"

struct store_pool {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    size_t count, free_count;
    size_t connected; /* of those that are taken, as they were when taken */
    struct store **free;
    struct store *all[];
};

struct store_pool *store_pool_new(struct store *const *stores, size_t count)
{
    const size_t bytes = count * sizeof(void *);
    struct store_pool *pool = calloc(1, sizeof *pool + bytes);
    pthread_condattr_t attributes;
    if (!pool || !(pool->free = calloc(1, bytes)))
        abort();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->freed, &attributes);
    pthread_condattr_destroy(&attributes);
    pool->count = pool->free_count = count;
    for (size_t i = 0; i < count; i++)
        pool->all[i] = pool->free[i] = stores[i];
    return pool;
}

void store_pool_free(struct store_pool **pool)
{
    struct store_pool *self = *pool;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        store_free(&self->all[i]);
    pthread_cond_destroy(&self->freed);
    pthread_mutex_destroy(&self->mutex);
    free(self->free);
    free(self);
    *pool = NULL;
}

/* The last one that is connected; if there is none and it may be another, the last of all. -1: none. */
static ptrdiff_t choose(const struct store_pool *pool, bool connected)
{
    for (ptrdiff_t i = (ptrdiff_t)pool->free_count - 1; i >= 0; i--)
        if (store_is_connected(pool->free[i]))
            return i;
    return connected ? -1 : (ptrdiff_t)pool->free_count - 1;
}

struct store *store_pool_take(struct store_pool *pool, int64_t deadline, bool connected)
{
    const struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    struct store *taken = NULL;
    ptrdiff_t at;
    int waited = 0;

    pthread_mutex_lock(&pool->mutex);
    while ((at = choose(pool, connected)) < 0 && waited == 0)
        waited = pthread_cond_timedwait(&pool->freed, &pool->mutex, &until);
    if (at >= 0) {
        taken = pool->free[at];
        pool->free[at] = pool->free[--pool->free_count];
        pool->connected += store_is_connected(taken);
        taken->was_connected = store_is_connected(taken);
    }
    pthread_mutex_unlock(&pool->mutex);
    return taken;
}

void store_pool_give(struct store_pool *pool, struct store *store)
{
    pthread_mutex_lock(&pool->mutex);
    pool->connected -= store->was_connected;
    pool->free[pool->free_count++] = store;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->mutex);
}

bool store_pool_connected(struct store_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    bool any = pool->connected > 0 || choose(pool, true) >= 0;
    pthread_mutex_unlock(&pool->mutex);
    return any;
}
