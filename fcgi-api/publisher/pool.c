/* SPDX-License-Identifier: MIT */
/* A lock file and a named pipe. Every worker holds both ends of the pipe, so it never breaks. A hint is
 * written atomically, so readers see whole hints. */
#include "fcgi-api/publisher/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES 1048576 /* the most that an unprivileged process may have: 1,024 hints */
#define NAME_SIZE  (PATH_MAX + sizeof ".publisher-0123456789abcdef")

struct page {
    _Atomic int64_t seen[POOL_PLACES];
    _Atomic uint64_t server;
};

struct pool {
    int lock_fd; /* -1: a pool of one */
    int in_fd, out_fd;
    struct page *page; /* of the lock's file */
    struct page own;   /* a pool of one has no file */
};

static enum err open_alone(struct pool *pool)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return ERR_SYSTEM;
    pool->out_fd = ends[0];
    pool->in_fd = ends[1];
    return ERR_OK;
}

static int open_pipe(const char *name)
{
    struct stat info;
    if (mkfifo(name, 0660) != 0 && errno != EEXIST)
        return -1;
    int fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode))
        return fd;
    if (fd >= 0) {
        close(fd);
        errno = EEXIST; /* there is another kind of file with that name */
    }
    return -1;
}

/* FNV-1a. */
static uint64_t hash_of(const char *target)
{
    uint64_t hash = (14695981039346656037u ^ POOL_VERSION) * 1099511628211u;
    hash = (hash ^ sizeof(struct pool_hint)) * 1099511628211u;
    hash = (hash ^ offsetof(struct pool_hint, payload)) * 1099511628211u;
    for (const char *c = target; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    return hash;
}

static enum err map_page(struct pool *pool)
{
    if (ftruncate(pool->lock_fd, sizeof *pool->page) != 0) /* the same size in every worker */
        return ERR_SYSTEM;
    void *page = mmap(NULL, sizeof *pool->page, PROT_READ | PROT_WRITE, MAP_SHARED, pool->lock_fd, 0);
    if (page == MAP_FAILED)
        return ERR_SYSTEM;
    pool->page = page;
    return ERR_OK;
}

static enum err open_shared(struct pool *pool, const char *stats_file, const char *target)
{
    char name[NAME_SIZE];
    uint64_t hash = hash_of(target);
    snprintf(name, sizeof name, "%s.publisher-%016" PRIx64, stats_file, hash);
    pool->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    if (pool->lock_fd < 0 || map_page(pool) != ERR_OK)
        return ERR_SYSTEM;
    snprintf(name, sizeof name, "%s.events-%016" PRIx64, stats_file, hash);
    pool->in_fd = pool->out_fd = open_pipe(name);
    return pool->in_fd < 0 ? ERR_SYSTEM : ERR_OK;
}

enum err pool_open(const char *stats_file, const char *target, struct pool **out)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        abort();
    pool->lock_fd = pool->in_fd = pool->out_fd = -1;
    pool->page = &pool->own;
    enum err err = stats_file[0] == '\0' ? open_alone(pool) : open_shared(pool, stats_file, target);
    if (err) {
        pool_close(&pool);
        return err;
    }
    (void)fcntl(pool->in_fd, F_SETPIPE_SZ, PIPE_BYTES); /* a smaller pipe is enough, too */
    *out = pool;
    return ERR_OK;
}

void pool_close(struct pool **pool)
{
    struct pool *self = *pool;
    int saved = errno;
    if (!self)
        return;
    if (self->out_fd >= 0 && self->out_fd != self->in_fd)
        close(self->out_fd);
    if (self->in_fd >= 0)
        close(self->in_fd);
    /* The mapping would keep the open file, and so its lock, alive. */
    if (self->page != &self->own)
        munmap(self->page, sizeof *self->page);
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    free(self);
    *pool = NULL;
    errno = saved;
}

enum err pool_take_turn(struct pool *pool)
{
    if (pool->lock_fd < 0 || flock(pool->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_OK;
    /* A file system without locks: then every worker publishes, which costs work, not order. */
    return errno == EWOULDBLOCK || errno == EINTR ? ERR_AGAIN : ERR_OK;
}

void pool_show_up(struct pool *pool, enum pool_place place, int64_t now_ms)
{
    atomic_store_explicit(&pool->page->seen[place], now_ms, memory_order_relaxed);
}

int64_t pool_seen(const struct pool *pool, enum pool_place place)
{
    return atomic_load_explicit(&pool->page->seen[place], memory_order_relaxed);
}

void pool_note_server(struct pool *pool, uint64_t server)
{
    atomic_store_explicit(&pool->page->server, server, memory_order_relaxed);
}

uint64_t pool_server(const struct pool *pool)
{
    return atomic_load_explicit(&pool->page->server, memory_order_relaxed);
}

static bool put(struct pool *pool, const struct pool_hint *hint)
{
    _Static_assert(sizeof *hint == POOL_HINT_SIZE && PIPE_BUF % POOL_HINT_SIZE == 0, "one piece");
    return write(pool->in_fd, hint, sizeof *hint) == (ssize_t)sizeof *hint;
}

bool pool_hint(struct pool *pool, const struct event_meta *meta, int64_t queued_at_ms, const char *payload,
               size_t length)
{
    struct pool_hint hint = {.meta = *meta, .queued_at_ms = queued_at_ms};
    if (length <= sizeof hint.payload) {
        hint.length = length;
        memcpy(hint.payload, payload, length);
    }
    return put(pool, &hint);
}

bool pool_wake(struct pool *pool)
{
    return put(pool, &(struct pool_hint){0});
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

/* Other processes of this account may write to the pipe, so what is read is checked for its bounds. */
static bool makes_sense(const struct pool_hint *hint)
{
    const struct event_meta *meta = &hint->meta;
    return hint->length <= sizeof hint->payload && ends(meta->epoch, sizeof meta->epoch) &&
           ends(meta->type, sizeof meta->type) && ends(meta->request_id, sizeof meta->request_id) &&
           ends(meta->traceparent, sizeof meta->traceparent);
}

size_t pool_take_hints(struct pool *pool, struct pool_hint *hints, size_t limit)
{
    ssize_t bytes = read(pool->out_fd, hints, limit * sizeof *hints);
    size_t count = bytes > 0 ? (size_t)bytes / sizeof *hints : 0;
    for (size_t i = 0; i < count; i++)
        if (!makes_sense(&hints[i]))
            hints[i] = (struct pool_hint){0}; /* only wakes the reader; the sweeper finds the event */
    return count;
}

int pool_fd(const struct pool *pool)
{
    return pool->out_fd;
}
