/* SPDX-License-Identifier: MIT */
/* Which of the lately confirmed events the stream still has. Reads the stream itself, on a connection of its
 * own, so that no failure here closes the publisher's connection.
 *
 * Memory is bounded (LOOK_USERS_MAX); an event that does not fit counts as not found, which is always
 * safe. */
#ifndef CARILLON_PUBLISHER_LOOK_H
#define CARILLON_PUBLISHER_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"

#define LOOK_USERS_MAX 65536

struct look; /* opaque */
struct witness;

/* Begins to read what reached the stream within the last `since_s` seconds, up to the message `until_id`,
 * which is in the stream already. Only events of `epoch` that our own account published count. Waits for the
 * broker, AMQP_TIMEOUT_MS at most. `why` gets one line with the reason of an error. ERR_AGAIN: not yet,
 * the broker may have only just started. ERR_UNAVAILABLE: our account may not read the stream. */
MUST_CHECK enum err look_begin(const struct config *config, int64_t since_s, const char *until_id,
                               const char *epoch, struct look **out, char *why, size_t why_size);
/* Ends it; accepts NULL. */
void look_end(struct look **look);

/* Reads on, a bounded piece, and waits a moment at most. ERR_OK: `until_id` was read. ERR_AGAIN: call it
 * again. ERR_UNAVAILABLE: the stream cannot be read to the end; look_why() has the reason. */
MUST_CHECK enum err look_step(struct look *look);
const char *look_why(const struct look *look);

/* How many messages were read, and how long that took. */
uint64_t look_messages(const struct look *look, int64_t *taken_ms);

/* Whether all of these events of the user were read. */
bool look_found(const struct look *look, uint32_t user_id, uint64_t first_seq, uint64_t last_seq);

/* The last events that were read since it was cleared, for compare.c. Only those that our account has signed:
 * another account that may write to the exchange of beacons proves nothing about our database. */
struct witness *look_witness(struct look *look);

/* Notes one event that was read. For look_step(), and for tests. */
void look_hear(struct look *look, uint32_t user_id, uint64_t seq);
/* A look without a connection, for tests. */
struct look *look_new(const char *until_id, const char *epoch);

#endif
