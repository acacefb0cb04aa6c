/* SPDX-License-Identifier: MIT */
/* What the workers of a pool share so that one of them publishes for all: a lock that the kernel frees when
 * its holder dies, and a named pipe into which every worker writes its hints ("this user has something", and
 * mostly the event itself). Hints in the pipe outlive their reader. Events whose hints a dead holder had read
 * are still in the outbox, and the next holder begins by reading that.
 *
 * Both are files beside API_STATS_FILE; without that setting a worker is a pool of one. */
#ifndef CARILLON_PUBLISHER_POOL_H
#define CARILLON_PUBLISHER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

struct pool; /* opaque */

/* `target` names the database and the broker. The names of the files depend on it and on POOL_VERSION, so two
 * pools with different targets, or two versions of the program, can share a stats file. ERR_SYSTEM: errno has
 * the reason. Opens files: call it before sandbox_enter(). */
MUST_CHECK enum err pool_open(const char *stats_file, const char *target, struct pool **out);
/* Lets the next worker publish. Accepts NULL. */
void pool_close(struct pool **pool);

/* ERR_AGAIN: another worker has the turn. */
MUST_CHECK enum err pool_take_turn(struct pool *pool);

/* When a worker was last seen publishing, in monotonic ms; 0: never. */
enum pool_place {
    POOL_HOLDER,   /* of the turn */
    POOL_STAND_IN, /* for a holder that does not move */
    POOL_PLACES,
};
void pool_show_up(struct pool *pool, enum pool_place place, int64_t now_ms);
int64_t pool_seen(const struct pool *pool, enum pool_place place);

/* The database's server that was compared with the stream last (compare.c), by its name in store_server(); 0:
 * none. */
void pool_note_server(struct pool *pool, uint64_t server);
uint64_t pool_server(const struct pool *pool);

/* All hints have one size, which divides a page of the pipe: a write is atomic, and every reader begins with
 * a whole hint, even after another reader died. For a while a pool's workers may be of two versions: raise
 * POOL_VERSION when anything of this changes. */
#define POOL_VERSION     4
#define POOL_HINT_SIZE   1024
#define POOL_PAYLOAD_MAX (POOL_HINT_SIZE - sizeof(struct event_meta) - 2 * sizeof(int64_t))
struct pool_hint {
    struct event_meta meta; /* user_id 0: only wakes the reader */
    int64_t queued_at_ms;
    uint64_t length; /* of the payload; 0: too long for a hint, see the outbox */
    char payload[POOL_PAYLOAD_MAX];
};

/* Never waits. False: no room. */
bool pool_hint(struct pool *pool, const struct event_meta *meta, int64_t queued_at_ms, const char *payload,
               size_t length);
bool pool_wake(struct pool *pool);

/* For the worker whose turn it is: the valid hints in the pipe, at most `limit`; and a descriptor that is
 * readable when there are some. */
size_t pool_take_hints(struct pool *pool, struct pool_hint *hints, size_t limit);
int pool_fd(const struct pool *pool);

#endif
