/* SPDX-License-Identifier: MIT */
/* Two maps: addresses and users that have something now. An address stays a little longer than its last
 * connection, until its handshakes are forgiven; otherwise a client that reconnects all the time would never
 * be limited. */
#include "ws-notifier/quota.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#define US_PER_MS 1000

struct quota_address {
    struct quota_address *prev, *next; /* while it has no client: the one that had none first comes first */
    struct address address;
    int64_t clients;
    struct rate handshakes;
    UT_hash_handle hh;
};

struct quota_user {
    uint32_t user_id;
    int64_t clients, subscriptions;
    UT_hash_handle hh;
};

struct quota {
    const struct config *config;
    struct quota_address *addresses, *resting;
    struct quota_user *users;
    struct rate handshakes;
};

struct quota *quota_new(const struct config *config)
{
    struct quota *quota = calloc(1, sizeof *quota);
    if (!quota)
        abort();
    quota->config = config;
    return quota;
}

/* ---- the maps ------------------------------------------------------------------------------------ */

/* NOLINTBEGIN(readability-function-size): uthash's macros */
static struct quota_address *need_address(struct quota *quota, const struct address *address)
{
    struct quota_address *found;
    HASH_FIND(hh, quota->addresses, address, sizeof *address, found);
    if (found)
        return found;
    found = calloc(1, sizeof *found);
    if (!found)
        abort();
    found->address = *address;
    DL_APPEND(quota->resting, found);
    HASH_ADD(hh, quota->addresses, address, sizeof found->address, found);
    return found;
}

static struct quota_user *need_user(struct quota *quota, uint32_t user_id)
{
    struct quota_user *found;
    HASH_FIND(hh, quota->users, &user_id, sizeof user_id, found);
    if (found)
        return found;
    found = calloc(1, sizeof *found);
    if (!found)
        abort();
    found->user_id = user_id;
    HASH_ADD(hh, quota->users, user_id, sizeof found->user_id, found);
    return found;
}
/* NOLINTEND(readability-function-size) */

static void drop_address(struct quota *quota, struct quota_address *address)
{
    /* The analyzer thinks that the one before it, which is freed, could still point here. */
    HASH_DEL(quota->addresses, address); /* NOLINT(clang-analyzer-unix.Malloc,clang-analyzer-core.*) */
    free(address);
}

/* Forgets addresses without a client whose handshakes are forgiven; one that is not yet delays those behind
 * it, for ten seconds at most. */
static void drop_addresses(struct quota *quota, int64_t now_us)
{
    while (quota->resting && rate_rested(&quota->resting->handshakes, now_us)) {
        struct quota_address *address = quota->resting;
        DL_DELETE(quota->resting, address);
        drop_address(quota, address);
    }
}

void quota_free(struct quota **quota)
{
    if (!*quota)
        return;
    drop_addresses(*quota, INT64_MAX);
    assert(!(*quota)->users && !(*quota)->addresses);
    free(*quota);
    *quota = NULL;
}

void quota_tick(struct quota *quota, int64_t now_ms)
{
    drop_addresses(quota, now_ms * US_PER_MS);
}

size_t quota_addresses(const struct quota *quota)
{
    return HASH_COUNT(quota->addresses);
}

/* ---- coming, and going --------------------------------------------------------------------------- */

bool quota_asks_address(const struct quota *quota)
{
    return quota->config->ws_max_address_clients > 0 || quota->config->ws_max_address_handshakes_s > 0;
}

/* Its own limits before the limit of all: an address that is over its own must use up nothing of the others'.
 */
enum close_code quota_enter(struct quota *quota, struct quota_guest *guest, const struct address *address,
                            int64_t now_ms)
{
    const struct config *config = quota->config;
    struct quota_address *from = NULL;
    int64_t now_us = now_ms * US_PER_MS;

    assert(!guest->address);
    if (address && quota_asks_address(quota)) {
        from = need_address(quota, address);
        if (config->ws_max_address_clients > 0 && from->clients >= config->ws_max_address_clients)
            return CLOSE_ADDRESS_CLIENTS;
        if (!rate_allows(&from->handshakes, config->ws_max_address_handshakes_s, 1, now_us))
            return CLOSE_ADDRESS_HANDSHAKES;
    }
    if (!rate_take(&quota->handshakes, config->ws_max_handshakes_s, 1, now_us))
        return CLOSE_HANDSHAKES;
    if (from) {
        (void)rate_take(&from->handshakes, config->ws_max_address_handshakes_s, 1, now_us);
        if (from->clients++ == 0)
            DL_DELETE(quota->resting, from);
    }
    guest->address = from;
    return CLOSE_NOT;
}

enum close_code quota_introduce(struct quota *quota, struct quota_guest *guest, uint32_t user_id)
{
    int64_t limit = quota->config->ws_max_user_clients;
    if (guest->user)
        return CLOSE_NOT; /* a socket has one identity */
    struct quota_user *user = need_user(quota, user_id);
    if (limit > 0 && user->clients >= limit)
        return CLOSE_USER_CLIENTS;
    user->clients++;
    guest->user = user;
    return CLOSE_NOT;
}

void quota_leave(struct quota *quota, struct quota_guest *guest)
{
    struct quota_user *user = guest->user;
    if (guest->address && --guest->address->clients == 0)
        DL_APPEND(quota->resting, guest->address);
    if (user) {
        user->subscriptions -= (int64_t)guest->subscriptions;
        if (--user->clients == 0) {
            HASH_DEL(quota->users, user);
            free(user);
        }
    }
    *guest = (struct quota_guest){0};
}

/* ---- being here ---------------------------------------------------------------------------------- */

enum close_code quota_subscribe(struct quota *quota, struct quota_guest *guest, size_t subscriptions)
{
    int64_t limit = quota->config->ws_max_user_subscriptions;
    if (!guest->user)
        return CLOSE_NOT;
    int64_t more = (int64_t)subscriptions - (int64_t)guest->subscriptions;
    if (limit > 0 && more > 0 && guest->user->subscriptions + more > limit)
        return CLOSE_USER_SUBSCRIPTIONS;
    guest->user->subscriptions += more;
    guest->subscriptions = (uint32_t)subscriptions;
    return CLOSE_NOT;
}

enum close_code quota_listen(struct quota *quota, struct quota_guest *guest, size_t bytes, bool whole,
                             int64_t now_ms)
{
    int64_t now_us = now_ms * US_PER_MS;
    guest->weighed += (uint32_t)bytes;
    if (!rate_take(&guest->bytes, quota->config->ws_max_bytes_s, (int64_t)bytes, now_us))
        return CLOSE_BYTES;
    if (whole && !rate_take(&guest->messages, quota->config->ws_max_messages_s, 1, now_us))
        return CLOSE_MESSAGES;
    return CLOSE_NOT;
}

void quota_hear(struct quota_guest *guest, size_t bytes)
{
    guest->weighed -= (uint32_t)bytes;
}

enum close_code quota_weigh(struct quota *quota, struct quota_guest *guest, uint32_t received, bool charge,
                            int64_t now_ms)
{
    int32_t more = (int32_t)(received - guest->weighed);
    guest->weighed = received;
    if (more <= 0 || !charge)
        return CLOSE_NOT;
    return rate_take(&guest->bytes, quota->config->ws_max_bytes_s, more, now_ms * US_PER_MS) ? CLOSE_NOT
                                                                                             : CLOSE_BYTES;
}
