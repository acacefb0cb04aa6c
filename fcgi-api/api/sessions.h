/* SPDX-License-Identifier: MIT */
/* Which users' sessions were ended, as this process knows it: asked for every token. What a worker of the
 * pool ends counts for all of them before it answers; what another node ends, within a second. */
#ifndef CARILLON_API_SESSIONS_H
#define CARILLON_API_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"
#include "fcgi-api/store/store.h"

struct sessions; /* opaque; any thread may ask */

struct sessions *sessions_new(struct store *store, struct metrics *metrics);
void sessions_free(struct sessions **sessions);

/* Whether a token of this user that was issued then (-1: it does not say) is over. ERR_STALE: *over is what
 * was known when the database could last be read, and the pool has ended no session since. Any other error:
 * it is not known, for the database cannot be read. */
MUST_CHECK enum err sessions_judge(void *sessions, uint32_t user_id, int64_t issued_s, bool *over);

#endif
