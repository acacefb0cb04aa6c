/* A lock file and a named pipe. Every worker holds both ends of the pipe, so it never breaks, and a write of
 * a hint is one piece: readers see whole ones. */
#include "fcgi-api/publisher/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES 1048576 /* as much as anybody may have: 1,024 hints */
#define NAME_SIZE  (PATH_MAX + sizeof ".publisher")

struct pool {
    int lock_fd; /* -1: a pool of one */
    int in_fd, out_fd;
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
        errno = EEXIST; /* something else of that name */
    }
    return -1;
}

static enum err open_shared(struct pool *pool, const char *stats_file)
{
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s.publisher", stats_file);
    pool->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    if (pool->lock_fd < 0)
        return ERR_SYSTEM;
    snprintf(name, sizeof name, "%s.events", stats_file);
    pool->in_fd = pool->out_fd = open_pipe(name);
    return pool->in_fd < 0 ? ERR_SYSTEM : ERR_OK;
}

enum err pool_open(const char *stats_file, struct pool **out)
{
    struct pool *pool = malloc(sizeof *pool);
    if (!pool)
        abort();
    *pool = (struct pool){.lock_fd = -1, .in_fd = -1, .out_fd = -1};
    enum err err = stats_file[0] == '\0' ? open_alone(pool) : open_shared(pool, stats_file);
    if (err) {
        pool_close(&pool);
        return err;
    }
    (void)fcntl(pool->in_fd, F_SETPIPE_SZ, PIPE_BYTES); /* a smaller one serves, too */
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
    /* A file system without locks: then everybody publishes, which costs work and no order. */
    return errno == EWOULDBLOCK || errno == EINTR ? ERR_AGAIN : ERR_OK;
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

size_t pool_take_hints(struct pool *pool, struct pool_hint *hints, size_t limit)
{
    ssize_t bytes = read(pool->out_fd, hints, limit * sizeof *hints);
    return bytes > 0 ? (size_t)bytes / sizeof *hints : 0;
}

int pool_fd(const struct pool *pool)
{
    return pool->out_fd;
}
