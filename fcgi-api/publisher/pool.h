/* SPDX-License-Identifier: MIT */
/* What the workers of a pool share so that one of them publishes for all: a lock that the kernel frees when
 * its holder dies, and a pipe with a name into which every worker puts its hints ("this user has
 * something", and mostly the event itself). What is in the pipe outlives whoever read from it; what a dead
 * holder had taken out is still in the outbox, and the next one begins by reading that.
 *
 * Both are files beside API_STATS_FILE; without that a worker is a pool of one. */
#ifndef CARILLON_PUBLISHER_POOL_H
#define CARILLON_PUBLISHER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

struct pool; /* opaque */

/* `target` names the database and the broker: the names of the files depend on it, so pools of two of them
 * can share a stats file, and on the form of what is in the pipe, so versions of the program can. ERR_SYSTEM:
 * errno tells why. Opens files: call it before sandbox_enter(). */
MUST_CHECK enum err pool_open(const char *stats_file, const char *target, struct pool **out);
/* Lets the next one publish. Accepts NULL. */
void pool_close(struct pool **pool);

/* ERR_AGAIN: somebody else has it. */
MUST_CHECK enum err pool_take_turn(struct pool *pool);

/* When somebody was last seen at work, in monotonic ms; 0: never. */
enum pool_place {
    POOL_HOLDER,   /* of the turn */
    POOL_STAND_IN, /* for a holder that does not move */
    POOL_PLACES,
};
void pool_show_up(struct pool *pool, enum pool_place place, int64_t now_ms);
int64_t pool_seen(const struct pool *pool, enum pool_place place);

/* All of one size, which divides a page of the pipe: a write is one piece, and whoever reads, even after one
 * who died, begins with a whole one. A pool's workers may be of two versions for a while: raise POOL_VERSION
 * when anything of this changes. */
#define POOL_VERSION     3
#define POOL_HINT_SIZE   1024
#define POOL_PAYLOAD_MAX (POOL_HINT_SIZE - sizeof(struct event_meta) - 2 * sizeof(int64_t))
struct pool_hint {
    struct event_meta meta; /* user_id 0: only to wake the reader */
    int64_t queued_at_ms;
    uint64_t length; /* of the payload; 0: too long for here, see the outbox */
    char payload[POOL_PAYLOAD_MAX];
};

/* Never waits. False: no room. */
bool pool_hint(struct pool *pool, const struct event_meta *meta, int64_t queued_at_ms, const char *payload,
               size_t length);
bool pool_wake(struct pool *pool);

/* For the one whose turn it is: what is there and makes sense, at most `limit`; and a descriptor that is
 * readable then. */
size_t pool_take_hints(struct pool *pool, struct pool_hint *hints, size_t limit);
int pool_fd(const struct pool *pool);

#endif
