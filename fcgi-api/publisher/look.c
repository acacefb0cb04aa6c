/* SPDX-License-Identifier: MIT */
/* For each user one run of numbers is remembered. A user's events come in order, apart from repeats, so the
 * run has all of them. Where one is missing, the run ends before it, and the events after it count as not
 * found.
 *
 * Events that were put back are in the stream twice. What is read can begin between the two, so that the run
 * begins with a late number and the earlier ones come after it, the second time. They are a run of their own,
 * until it reaches the first number of the other. */
#include "fcgi-api/publisher/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/amqp/link.h"
#include "common/clock.h"
#include "fcgi-api/publisher/user_map.h"
#include "fcgi-api/publisher/witness.h"

#define PREFETCH  2000
#define ACK_EVERY 500
#define SLICE     2000 /* messages */
#define WAIT_MS   50
#define SILENT_MS 2000 /* after so long without a message nothing more will come */

#define TIMESTAMP_MS 1000 /* AMQP's timestamps are whole seconds */

struct look {
    struct amqp_link *amqp;
    char until_id[EVENT_ID_SIZE];
    char epoch[CURSOR_EPOCH_MAX + 1];
    const char *account;     /* ours, which the broker checks */
    struct user_map runs;    /* seq: the last number of the run, count: how many */
    struct user_map earlier; /* the same, of numbers before it that came after it */
    struct witness witness;
    uint64_t messages; /* read so far */
    unsigned unacked;
    int64_t began_at, heard_at; /* monotonic ms */
    char why[256];
};

struct look *look_new(const char *until_id, const char *epoch)
{
    struct look *look = calloc(1, sizeof *look);
    if (!look)
        abort();
    snprintf(look->until_id, sizeof look->until_id, "%s", until_id);
    snprintf(look->epoch, sizeof look->epoch, "%s", epoch);
    user_map_init(&look->runs, LOOK_USERS_MAX);
    user_map_init(&look->earlier, LOOK_USERS_MAX);
    look->began_at = look->heard_at = clock_monotonic_ms();
    return look;
}

enum err look_begin(const struct config *config, int64_t since_s, const char *until_id, const char *epoch,
                    struct look **out, char *why, size_t why_size)
{
    struct look *look = look_new(until_id, epoch);
    look->account = config->amqp_user;
    bool opened = amqp_link_open(config, AMQP_READER, "carillon fcgi-api publisher, looking", &look->amqp,
                                 why, why_size) == ERR_OK;
    enum err err = opened ? amqp_link_consume(look->amqp, since_s, -1, PREFETCH) : ERR_AGAIN;
    if (opened && err)
        snprintf(why, why_size, "%s", amqp_link_why(look->amqp));
    if (err)
        look_end(&look);
    *out = look;
    return !err || err == ERR_UNAVAILABLE ? err : ERR_AGAIN;
}

void look_end(struct look **look)
{
    if (!*look)
        return;
    amqp_link_close(&(*look)->amqp);
    user_map_free(&(*look)->runs);
    user_map_free(&(*look)->earlier);
    free(*look);
    *look = NULL;
}

static uint64_t first_of(const struct user_entry *run)
{
    return run->seq + 1 - run->count;
}

static bool goes_on(struct user_entry *run, uint64_t seq)
{
    if ((run->count > 0 && seq != run->seq + 1) || run->count == UINT32_MAX)
        return false;
    run->seq = seq;
    run->count++;
    return true;
}

static void hear_earlier(struct look *look, struct user_entry *run, uint64_t seq)
{
    struct user_entry *earlier = user_map_add(&look->earlier, run->user_id);
    if (!earlier)
        return;
    if (!goes_on(earlier, seq)) {
        if (seq >= first_of(earlier) && seq <= earlier->seq)
            return;
        earlier->count = 0;
        (void)goes_on(earlier, seq);
    }
    if (earlier->seq + 1 == first_of(run) && earlier->count <= UINT32_MAX - run->count) {
        run->count += earlier->count;
        earlier->count = 0;
    }
}

void look_hear(struct look *look, uint32_t user_id, uint64_t seq)
{
    struct user_entry *run = user_map_add(&look->runs, user_id);
    if (run && !goes_on(run, seq) && seq < first_of(run))
        hear_earlier(look, run, seq);
}

bool look_found(const struct look *look, uint32_t user_id, uint64_t first_seq, uint64_t last_seq)
{
    const struct user_entry *run = user_map_find(&look->runs, user_id);
    return run && first_seq >= first_of(run) && last_seq <= run->seq;
}

static enum err failed(struct look *look, const char *why)
{
    snprintf(look->why, sizeof look->why, "%s", why);
    return ERR_UNAVAILABLE;
}

static bool is_signed(const struct look *look, const struct amqp_delivery *delivery)
{
    return strcmp(delivery->account, look->account) == 0;
}

/* A message that readers may attribute to another account does not count. */
static void hear(struct look *look, const struct amqp_delivery *delivery)
{
    if (!delivery->has_meta || strcmp(delivery->meta.epoch, look->epoch) != 0)
        return;
    if (delivery->author == AMQP_BY_API || is_signed(look, delivery))
        look_hear(look, delivery->meta.user_id, delivery->meta.seq);
    if (is_signed(look, delivery))
        witness_note(&look->witness, &delivery->meta, TIMESTAMP_MS);
}

struct witness *look_witness(struct look *look)
{
    return &look->witness;
}

/* ERR_OK: the message was the last one. */
static enum err take(struct look *look, const struct amqp_event *event)
{
    const struct amqp_delivery *delivery = &event->delivery;
    if (event->kind == AMQP_CANCEL)
        return failed(look, "the stream was deleted");
    if (event->kind != AMQP_DELIVERY)
        return ERR_AGAIN;
    look->heard_at = clock_monotonic_ms();
    look->messages++;
    if (delivery->author == AMQP_BY_API && strcmp(delivery->message_id, look->until_id) == 0)
        return ERR_OK;
    hear(look, delivery);
    if (++look->unacked < ACK_EVERY)
        return ERR_AGAIN;
    look->unacked = 0;
    return amqp_link_ack(look->amqp, delivery->tag) == ERR_OK ? ERR_AGAIN
                                                              : failed(look, amqp_link_why(look->amqp));
}

enum err look_step(struct look *look)
{
    struct amqp_event event;
    for (int i = 0; i < SLICE; i++) {
        /* Only for the first: messages that trickle in must not hold up the publisher's own connection. */
        enum err err = amqp_link_poll(look->amqp, i == 0 ? WAIT_MS : 0, &event);
        if (err == ERR_AGAIN)
            break;
        err = err ? failed(look, amqp_link_why(look->amqp)) : take(look, &event);
        if (err != ERR_AGAIN)
            return err;
    }
    if (clock_monotonic_ms() - look->heard_at >= SILENT_MS)
        return failed(look, "nothing more comes, and the end is not reached");
    return ERR_AGAIN;
}

uint64_t look_messages(const struct look *look, int64_t *taken_ms)
{
    *taken_ms = look->heard_at - look->began_at;
    return look->messages;
}

const char *look_why(const struct look *look)
{
    return look->why;
}
