/* What the workers of a pool share so that one of them publishes for all: a lock that the kernel frees when
 * its holder dies, and a pipe with a name into which every worker puts its hints ("this user has
 * something"). What is in the pipe outlives whoever read from it; what a dead holder had taken out is still
 * in the outbox, and the next one begins by reading that.
 *
 * Both are files beside API_STATS_FILE; without that a worker is a pool of one. */
#ifndef CARILLON_POOL_H
#define CARILLON_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct pool; /* opaque */

/* ERR_SYSTEM: errno tells why. Opens files: call it before sandbox_enter(). */
MUST_CHECK enum err pool_open(const char *stats_file, struct pool **out);
/* Lets the next one publish. Accepts NULL. */
void pool_close(struct pool **pool);

/* ERR_AGAIN: somebody else has it. */
MUST_CHECK enum err pool_take_turn(struct pool *pool);

struct pool_hint {
    uint32_t user_id; /* 0: only to wake the reader */
    uint32_t unused;
    uint64_t seq;
};

/* Never waits. False: no room. */
bool pool_hint(struct pool *pool, uint32_t user_id, uint64_t seq);

/* For the one whose turn it is: what is there, at most `limit`; and a descriptor that is readable then. */
size_t pool_take_hints(struct pool *pool, struct pool_hint *hints, size_t limit);
int pool_fd(const struct pool *pool);

#endif
