/* SPDX-License-Identifier: MIT */
/* Answering browsers.
 *
 * A subscription with `since` is a promise (nothing missed, nothing twice), so its answer waits until the
 * feed can judge cursors. One without is only "from now on": it is answered at once, whatever the broker's
 * state, and hears nothing that was created before. */
#include "ws-notifier/reception.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/session_ends.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/protocol.h"

struct reception {
    struct feed *feed;
    struct hub *hub;
    struct metrics *metrics;
    const struct token_keys *keys; /* NULL: open */
    struct quota *quota;           /* NULL: none */
    struct session_ends ends;
    bool ends_begun, ends_known;          /* a whole list of them is being heard, and was */
    char ends_list[SESSION_LIST_MAX + 1]; /* the name of the one that began last */
    void (*ended)(void *context);
    void *ended_context;
    struct strbuf text; /* what is being said, used again and again */
};

struct reception *reception_new(struct feed *feed, struct hub *hub, struct metrics *metrics)
{
    struct reception *reception = calloc(1, sizeof *reception);
    if (!reception)
        abort();
    reception->feed = feed;
    reception->hub = hub;
    reception->metrics = metrics;
    return reception;
}

void reception_free(struct reception **reception)
{
    if (!*reception)
        return;
    strbuf_free(&(*reception)->text);
    session_ends_free(&(*reception)->ends);
    free(*reception);
    *reception = NULL;
}

static void send_text(struct client *client, const char *text, size_t length)
{
    struct frame *frame = frame_new(text, length);
    client_send(client, frame);
    frame_unref(&frame);
}

static void refuse(struct reception *reception, struct client *client, const char *code, const char *why)
{
    metrics_add(reception->metrics, NOTIFIER_REFUSED, 1);
    strbuf_clear(&reception->text);
    protocol_error(&reception->text, code, why);
    send_text(client, reception->text.text, reception->text.length);
}

void reception_refuse(struct reception *reception, struct client *client, const char *why)
{
    refuse(reception, client, "bad_request", why);
}

/* ---- who may come in ----------------------------------------------------------------------------- */

void reception_use_keys(struct reception *reception, const struct token_keys *keys)
{
    reception->keys = keys;
}

void reception_use_quota(struct reception *reception, struct quota *quota)
{
    reception->quota = quota;
}

bool reception_is_open(const struct reception *reception)
{
    return reception->keys == NULL;
}

void reception_on_end(struct reception *reception, void (*ended)(void *context), void *context)
{
    reception->ended = ended;
    reception->ended_context = context;
}

void reception_take_word(struct reception *reception, const char *body, size_t length)
{
    struct session_ends_message message;
    bool changed;

    if (session_ends_read(body, length, &reception->ends, &message, &changed) != ERR_OK) {
        log_warn("skipped a beacon's word: it is none about ended sessions");
        return;
    }
    if (message.first) {
        reception->ends_begun = true;
        memcpy(reception->ends_list, message.list, sizeof reception->ends_list);
    }
    bool whole = message.last && reception->ends_begun && strcmp(message.list, reception->ends_list) == 0;
    /* A publisher of before this says nothing of them; then there are none. */
    reception->ends_known |= !message.told || whole;
    if (changed && reception->ended)
        reception->ended(reception->ended_context);
}

/* Whether cursors can be answered: where tokens are wanted, not before it is known whose sessions are over.
 */
static bool is_ready(const struct reception *reception)
{
    return feed_ready(reception->feed) && (!reception->keys || reception->ends_known);
}

static bool is_over(const struct reception *reception, const struct client_identity *identity)
{
    return identity->user_id != 0 &&
           session_ends_cover(&reception->ends, identity->user_id, identity->issued_s);
}

/* A token that is good by itself. */
static enum admission check_session(const struct reception *reception, const struct client_identity *identity,
                                    enum admission admission, const char **why)
{
    if (admission != ADMISSION_GRANTED || !is_over(reception, identity))
        return admission;
    *why = TOKEN_SESSION_ENDED;
    return ADMISSION_TOKEN_INVALID;
}

/* Says why, and closes. */
static void turn_away(struct reception *reception, struct client *client, enum admission admission,
                      const char *why)
{
    static const enum close_code codes[] = {[ADMISSION_TOKEN_MISSING] = CLOSE_TOKEN_MISSING,
                                            [ADMISSION_TOKEN_INVALID] = CLOSE_TOKEN_INVALID,
                                            [ADMISSION_TOKEN_EXPIRED] = CLOSE_TOKEN_EXPIRED,
                                            [ADMISSION_FORBIDDEN] = CLOSE_FORBIDDEN};
    char text[160];
    snprintf(text, sizeof text, "the token %s", why);
    refuse(reception, client, admission == ADMISSION_FORBIDDEN ? "forbidden" : "unauthenticated", text);
    client_close(client, codes[admission]);
}

/* Of a client whose user is known: whether the user's limits allow it. False: closed. */
static bool is_within_quota(struct reception *reception, struct client *client)
{
    if (!reception->quota)
        return true;
    enum close_code over =
        quota_introduce(reception->quota, client_guest(client), client_identity(client)->user_id);
    if (over != CLOSE_NOT)
        client_close(client, over);
    return over == CLOSE_NOT;
}

/* A token that comes with a header or a message. False: turned away. */
static bool take_token(struct reception *reception, struct client *client, const char *token)
{
    const char *why = "";
    enum admission admission =
        admission_take(reception->keys, client_identity(client), token, clock_wall_ms(), &why);
    admission = check_session(reception, client_identity(client), admission, &why);
    if (admission == ADMISSION_GRANTED)
        return is_within_quota(reception, client);
    turn_away(reception, client, admission, why);
    return false;
}

void reception_welcome(struct reception *reception, struct client *client, const char *authorization)
{
    if (!reception->keys || client_closing(client))
        return;
    client_identity(client)->valid_until_ms = clock_wall_ms() + ADMISSION_PATIENCE_MS;
    if (!authorization)
        return;
    const char *token = token_in_header(authorization);
    (void)take_token(reception, client, token ? token : "");
}

enum admission reception_judge(const struct reception *reception, const char *authorization, uint32_t user_id,
                               const char **why)
{
    struct client_identity identity = {.user_id = 0};
    const char *token = token_in_header(authorization);
    int64_t now_ms = clock_wall_ms();

    if (!reception->keys)
        return ADMISSION_GRANTED;
    if (!token) {
        *why = "is missing: send the header Authorization: Bearer";
        return ADMISSION_TOKEN_MISSING;
    }
    enum admission admission = admission_take(reception->keys, &identity, token, now_ms, why);
    admission = check_session(reception, &identity, admission, why);
    if (admission == ADMISSION_GRANTED)
        admission = admission_to_hear(&identity, user_id, now_ms, why);
    admission_forget(&identity);
    return admission;
}

void reception_check(const struct reception *reception, struct client *client)
{
    const struct client_identity *identity = client_identity(client);
    if (reception->keys && clock_wall_ms() >= identity->valid_until_ms)
        client_close(client, identity->user_id == 0 ? CLOSE_TOKEN_MISSING : CLOSE_TOKEN_EXPIRED);
    else if (reception->keys && is_over(reception, identity))
        client_close(client, CLOSE_SESSION_ENDED);
}

/* Checked for every message. False: turned away. */
static bool may_say(struct reception *reception, struct client *client,
                    const struct protocol_message *message)
{
    const char *why = "";
    if (!reception->keys || message->kind == PROTOCOL_PING)
        return true;
    if (message->token && !take_token(reception, client, message->token))
        return false;
    const struct client_identity *identity = client_identity(client);
    /* Every client may unsubscribe. */
    uint32_t user_id = message->kind == PROTOCOL_SUBSCRIBE ? message->user_id : identity->user_id;
    enum admission admission = admission_to_hear(identity, user_id, clock_wall_ms(), &why);
    if (admission == ADMISSION_GRANTED)
        return true;
    turn_away(reception, client, admission, why);
    return false;
}

/* ---- with a cursor ------------------------------------------------------------------------------- */

enum outcome { RECOVERED, TRUNCATED, OTHER_EPOCH };

static const struct {
    const char *reason; /* NULL: recovered */
    enum notifier_metric metric;
} outcomes[] = {
    [RECOVERED] = {NULL, NOTIFIER_RESUMED},
    [TRUNCATED] = {"truncated", NOTIFIER_TRUNCATED},
    [OTHER_EPOCH] = {"epoch", NOTIFIER_OTHER_EPOCH},
};

/* What can be done for a cursor; NULL: the client asks for one. replay->last_seq is right in any case. */
static enum outcome judge(const struct reception *reception, const struct subscription *subscription,
                          const struct cursor *since, struct ring_replay *replay)
{
    const struct ring *ring = feed_ring(reception->feed);
    uint64_t newest = ring_last_seq(ring, subscription_user(subscription));

    *replay = (struct ring_replay){.after_seq = newest, .last_seq = newest};
    if (!since)
        return RECOVERED;
    if (strcmp(since->epoch, feed_epoch(reception->feed)) != 0)
        return OTHER_EPOCH;
    if (ring_find(ring, subscription_user(subscription), since, feed_now_s(reception->feed), replay))
        return RECOVERED;
    replay->after_seq = replay->last_seq = since->seq > newest ? since->seq : newest;
    return TRUNCATED;
}

/* The cursor of an answer says where the client is when it reads the answer, so that it may be kept at once:
 * before the replay, and, when the replay is not to be had, where the client said it was. */
static struct cursor answer_cursor(const struct reception *reception, uint32_t user_id,
                                   const struct cursor *since, enum outcome outcome,
                                   const struct ring_replay *replay)
{
    if (outcome != RECOVERED)
        return *since;
    struct cursor cursor = feed_cursor(reception->feed, user_id, replay->after_seq);
    if (replay->after_seq < replay->last_seq)
        cursor.time_s = since->time_s;
    return cursor;
}

static void answer(struct reception *reception, struct subscription *subscription, const struct cursor *since)
{
    struct ring_replay replay;
    enum outcome outcome = judge(reception, subscription, since, &replay);
    struct cursor cursor = answer_cursor(reception, subscription_user(subscription), since, outcome, &replay),
                  until = cursor;

    until.seq = replay.last_seq;
    until.time_s = 0; /* as its event says it */
    metrics_add(reception->metrics, outcomes[outcome].metric, 1);
    strbuf_clear(&reception->text);
    protocol_subscribed(&reception->text, subscription_user(subscription), &cursor,
                        replay.last_seq - replay.after_seq, &until, outcomes[outcome].reason);
    send_text(subscription->client, reception->text.text, reception->text.length);
    hub_go_live(reception->hub, subscription, replay.after_seq, true);
    subscription->told = outcome != RECOVERED;
    if (replay.after_seq < replay.last_seq)
        hub_replay(reception->hub, subscription, replay.last_seq);
}

/* The rest of the replay left the ring before the socket was ready for it: the client is told so, and goes on
 * with live events. */
static struct frame *give_up_replay(struct reception *reception, struct subscription *subscription,
                                    const char *reason)
{
    struct cursor cursor =
        feed_cursor(reception->feed, subscription_user(subscription), subscription->last_seq);

    cursor.time_s = 0; /* it lacks events from before now */
    subscription->last_seq = subscription->replay_to;
    hub_end_replay(reception->hub, subscription);
    metrics_add(reception->metrics, NOTIFIER_RESETS, 1);
    strbuf_clear(&reception->text);
    protocol_reset(&reception->text, subscription_user(subscription), &cursor, reason);
    return frame_new(reception->text.text, reception->text.length);
}

bool reception_replay(void *context, struct subscription *subscription, struct frame **frame)
{
    struct reception *reception = context;
    uint32_t user_id = subscription_user(subscription);
    const struct ring *ring = feed_ring(reception->feed);
    const struct ring_event *event = ring_after(ring, user_id, subscription->last_seq);

    if (!event || ring_event_seq(event) != subscription->last_seq + 1) {
        bool in_the_middle = event && ring_after(ring, user_id, 0) != event;
        *frame = give_up_replay(reception, subscription, in_the_middle ? "lost" : "truncated");
        return false;
    }
    metrics_add(reception->metrics, NOTIFIER_REPLAYED, 1);
    subscription->last_seq = ring_event_seq(event);
    *frame = frame_ref(ring_event_frame(event));
    if (subscription->last_seq < subscription->replay_to)
        return true;
    hub_end_replay(reception->hub, subscription);
    return false;
}

void reception_answer_waiting(struct reception *reception)
{
    struct subscription *subscription;
    while (is_ready(reception) && (subscription = hub_first_waiting(reception->hub)) != NULL) {
        const struct cursor *since = subscription->since;
        answer(reception, subscription, since);
    }
}

/* ---- messages ------------------------------------------------------------------------------------ */

static void subscribe_plain(struct reception *reception, struct subscription *subscription, const char *text)
{
    /* Not caught up, history may still come; later no clock should have a say. */
    if (!feed_is_caught_up(reception->feed))
        subscription->not_before_ms = clock_wall_ms();
    send_text(subscription->client, text, strlen(text));
    hub_go_live(reception->hub, subscription,
                ring_last_seq(feed_ring(reception->feed), subscription_user(subscription)), false);
}

/* After each change. False: too many, and closed. */
static bool count_subscriptions(struct reception *reception, struct client *client)
{
    const struct subscription *subscription;
    size_t count;

    if (!reception->quota || !client_guest(client)->user)
        return true;
    LL_COUNT2(*client_subscriptions(client), subscription, count, client_next);
    enum close_code over = quota_subscribe(reception->quota, client_guest(client), count);
    if (over != CLOSE_NOT)
        client_close(client, over);
    return over == CLOSE_NOT;
}

static void subscribe(struct reception *reception, struct client *client,
                      const struct protocol_message *message)
{
    const struct cursor *since = message->since_kind == SINCE_CURSOR ? &message->since : NULL;

    log_info("Subscribtion received : %s", message->text);
    struct subscription *subscription = hub_subscribe(reception->hub, client, message->user_id);
    if (!subscription)
        refuse(reception, client, "limit",
               "this connection, or all together, hear as many users as they may");
    else if (!count_subscriptions(reception, client))
        return;
    else if (message->since_kind == SINCE_ABSENT)
        subscribe_plain(reception, subscription, message->text);
    else if (is_ready(reception))
        answer(reception, subscription, since);
    else
        hub_wait(reception->hub, subscription, since);
}

void reception_take(struct reception *reception, struct client *client, const char *text, size_t length)
{
    struct protocol_message message;
    char why[PROTOCOL_WHY_SIZE];

    if (client_closing(client))
        return;
    if (protocol_parse(text, length, &message, why) != ERR_OK) {
        refuse(reception, client, "bad_request", why);
        return;
    }
    if (!may_say(reception, client, &message)) {
        protocol_clear(&message);
        return;
    }
    switch (message.kind) {
    case PROTOCOL_SUBSCRIBE:
        subscribe(reception, client, &message);
        break;
    case PROTOCOL_UNSUBSCRIBE:
        hub_unsubscribe(reception->hub, client, message.user_id);
        (void)count_subscriptions(reception, client);
        send_text(client, message.text, strlen(message.text));
        break;
    case PROTOCOL_PING:
        send_text(client, PROTOCOL_PONG, strlen(PROTOCOL_PONG));
        break;
    }
    protocol_clear(&message);
}

bool reception_understands(const char *text, size_t length)
{
    struct protocol_message message;
    char why[PROTOCOL_WHY_SIZE];
    bool understood = protocol_parse(text, length, &message, why) == ERR_OK;
    if (understood)
        protocol_clear(&message);
    return understood;
}

void reception_leave(struct reception *reception, struct client *client)
{
    hub_forget(reception->hub, client);
}

/* ---- heartbeats ---------------------------------------------------------------------------------- */

static void beat(void *context, struct subscription *subscription)
{
    struct reception *reception = context;
    struct cursor cursor =
        feed_cursor(reception->feed, subscription_user(subscription), subscription->last_seq);

    strbuf_clear(&reception->text);
    protocol_heartbeat(&reception->text, subscription_user(subscription), &cursor);
    send_text(subscription->client, reception->text.text, reception->text.length);
}

void reception_beat(struct reception *reception)
{
    hub_beat(reception->hub, beat, reception);
}
