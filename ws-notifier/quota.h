/* SPDX-License-Identifier: MIT */
/* Limits: connections and handshakes of one address, connections and subscriptions of one
 * user, messages and bytes of one connection. Each limit is a setting (WS_MAX_...); 0 is none, and then
 * nothing is kept for it. A user is the one that the token names: where no token is asked for, any client
 * could use up another user's share, so users have no limits.
 *
 * Each function says CLOSE_NOT, or over which limit that would be; nothing has been taken then. Time is that
 * of any clock that does not go back, in ms. */
#ifndef CARILLON_QUOTA_H
#define CARILLON_QUOTA_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "ws-notifier/address.h"
#include "ws-notifier/close.h"
#include "ws-notifier/rate.h"

struct quota; /* opaque */

/* What one connection has taken. Zero-initialized: nothing; quota_leave() before it goes. */
struct quota_guest {
    struct quota_address *address;
    struct quota_user *user;
    uint32_t subscriptions;
    uint32_t silent_since_s; /* the server's: it has none since; 0: it has */
    uint32_t weighed;        /* bytes that it has been charged for, less those heard, modulo 2^32 */
    struct rate messages, bytes;
};

struct quota *quota_new(const struct config *config);
void quota_free(struct quota **quota); /* all guests must have left */

/* Whether quota_enter() needs a client's address. */
bool quota_asks_address(const struct quota *quota);

/* A client has connected (`address` NULL: unknown, or not asked for). */
enum close_code quota_enter(struct quota *quota, struct quota_guest *guest, const struct address *address,
                            int64_t now_ms);
/* The client's user is known; may be called again for the same guest. */
enum close_code quota_introduce(struct quota *quota, struct quota_guest *guest, uint32_t user_id);
/* It has so many subscriptions now. */
enum close_code quota_subscribe(struct quota *quota, struct quota_guest *guest, size_t subscriptions);
/* It has sent so many bytes: a whole message, or a piece of one. */
enum close_code quota_listen(struct quota *quota, struct quota_guest *guest, size_t bytes, bool whole,
                             int64_t now_ms);
/* It has sent so many bytes, whatever they are part of. Charges nothing yet. */
void quota_hear(struct quota_guest *guest, size_t bytes);
/* What was heard since the last time and was in no message is charged, unless that is long ago (`charge`
 * false). `received`: for one of whom quota_hear() is not told, the bytes that the kernel has had from it in
 * all, modulo 2^32; else 0. */
enum close_code quota_weigh(struct quota *quota, struct quota_guest *guest, uint32_t received, bool charge,
                            int64_t now_ms);
void quota_leave(struct quota *quota, struct quota_guest *guest);

/* Forgets addresses without a client. Call it now and then. */
void quota_tick(struct quota *quota, int64_t now_ms);
size_t quota_addresses(const struct quota *quota); /* kept now */

#endif
