/* SPDX-License-Identifier: MIT */
/* Two ways lead to a subscription: from its user (a hash, then a list: an event arrives) and from its client
 * (a list: a message arrives, or the socket goes). A third list holds those that wait for their answer; the
 * same links serve, once it is live, to share out the heartbeats over time. */
#include "ws-notifier/hub.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

#include "ws-notifier/notifier_metrics.h"

#define NO_ROUND      (-1)
#define WAITING_ROUND (-2)

/* An event's time is known to the second, and the clocks of two machines are compared. */
#define NOT_BEFORE_MARGIN_MS 2000

struct audience {
    uint32_t user_id;
    struct subscription *subscriptions;
    UT_hash_handle hh;
};

struct hub {
    struct audience *audiences;
    size_t max_per_client, max_subscriptions, subscriptions;
    struct metrics *metrics;
    struct subscription *waiting;
    uint16_t beats, next_beat, next_round;
    struct subscription *rounds[]; /* `beats` of them */
};

struct hub *hub_new(uint16_t beats, size_t max_per_client, struct metrics *metrics)
{
    assert(beats > 0 && beats <= INT16_MAX);
    struct hub *hub = calloc(1, sizeof *hub + beats * sizeof(struct subscription *));
    if (!hub)
        abort();
    hub->beats = beats;
    hub->max_per_client = max_per_client;
    hub->max_subscriptions = SIZE_MAX;
    hub->metrics = metrics;
    return hub;
}

void hub_limit(struct hub *hub, size_t max_subscriptions)
{
    hub->max_subscriptions = max_subscriptions;
}

void hub_free(struct hub **hub)
{
    if (!*hub)
        return;
    assert(!(*hub)->audiences);
    free(*hub);
    *hub = NULL;
}

/* ---- waiting, and taking turns ------------------------------------------------------------------- */

static struct subscription **round_of(struct hub *hub, int16_t round)
{
    return round == WAITING_ROUND ? &hub->waiting : &hub->rounds[round];
}

static void leave_round(struct hub *hub, struct subscription *subscription)
{
    if (subscription->round == NO_ROUND)
        return;
    if (subscription->round == WAITING_ROUND)
        metrics_add(hub->metrics, NOTIFIER_WAITING, -1);
    struct subscription **round = round_of(hub, subscription->round);
    DL_DELETE2(*round, subscription, round_prev, round_next);
    subscription->round = NO_ROUND;
    free(subscription->since);
    subscription->since = NULL;
}

static void enter_round(struct hub *hub, struct subscription *subscription, int16_t round)
{
    leave_round(hub, subscription);
    struct subscription **head = round_of(hub, round);
    DL_APPEND2(*head, subscription, round_prev, round_next);
    subscription->round = round;
}

void hub_wait(struct hub *hub, struct subscription *subscription, const struct cursor *since)
{
    enter_round(hub, subscription, WAITING_ROUND);
    metrics_add(hub->metrics, NOTIFIER_WAITING, 1);
    if (!since)
        return;
    subscription->since = malloc(sizeof *since);
    if (!subscription->since)
        abort();
    *subscription->since = *since;
}

struct subscription *hub_first_waiting(struct hub *hub)
{
    return hub->waiting;
}

void hub_go_live(struct hub *hub, struct subscription *subscription, uint64_t last_seq, bool with_cursor)
{
    leave_round(hub, subscription);
    subscription->live = true;
    subscription->last_seq = last_seq;
    subscription->with_cursor = with_cursor;
    subscription->told = false;
    if (!with_cursor)
        return;
    /* Subscriptions that begin together get their heartbeats at different times. */
    enter_round(hub, subscription, (int16_t)hub->next_round);
    hub->next_round = (uint16_t)((hub->next_round + 1) % hub->beats);
}

void hub_replay(struct hub *hub, struct subscription *subscription, uint64_t up_to)
{
    assert(subscription->live && !subscription->replaying && subscription->last_seq < up_to);
    subscription->replaying = true;
    subscription->replay_to = up_to;
    metrics_add(hub->metrics, NOTIFIER_REPLAYING, 1);
    client_replay(subscription->client, subscription);
}

void hub_end_replay(struct hub *hub, struct subscription *subscription)
{
    if (!subscription->replaying)
        return;
    subscription->replaying = false;
    metrics_add(hub->metrics, NOTIFIER_REPLAYING, -1);
}

void hub_cancel_replay(struct hub *hub, struct subscription *subscription)
{
    if (subscription->replaying)
        client_end_replay(subscription->client, subscription);
    hub_end_replay(hub, subscription);
}

/* ---- coming and going ---------------------------------------------------------------------------- */

/* NOLINTBEGIN(readability-function-size): uthash's macros */
static struct audience *find_audience(const struct hub *hub, uint32_t user_id)
{
    struct audience *audience;
    HASH_FIND(hh, hub->audiences, &user_id, sizeof user_id, audience);
    return audience;
}

static struct audience *need_audience(struct hub *hub, uint32_t user_id)
{
    struct audience *audience = find_audience(hub, user_id);
    if (audience)
        return audience;
    audience = calloc(1, sizeof *audience);
    if (!audience)
        abort();
    audience->user_id = user_id;
    HASH_ADD(hh, hub->audiences, user_id, sizeof audience->user_id, audience);
    return audience;
}

static void drop_audience(struct hub *hub, struct audience *audience)
{
    HASH_DEL(hub->audiences, audience);
    free(audience);
}
/* NOLINTEND(readability-function-size) */

static void end(struct hub *hub, struct subscription *subscription)
{
    struct audience *audience = subscription->audience;
    struct subscription **of_client = client_subscriptions(subscription->client);

    leave_round(hub, subscription);
    hub_cancel_replay(hub, subscription);
    LL_DELETE2(*of_client, subscription, client_next);
    DL_DELETE2(audience->subscriptions, subscription, audience_prev, audience_next);
    if (!audience->subscriptions)
        drop_audience(hub, audience);
    free(subscription);
    metrics_set(hub->metrics, NOTIFIER_SUBSCRIPTIONS, (int64_t)--hub->subscriptions);
}

/* Searches the client's list, which is bounded; a user may have any number of listeners. */
static struct subscription *find_subscription(struct client *client, uint32_t user_id, size_t *count)
{
    struct subscription *subscription;
    *count = 0;
    LL_FOREACH2(*client_subscriptions(client), subscription, client_next)
    {
        if (subscription->audience->user_id == user_id)
            return subscription;
        ++*count;
    }
    return NULL;
}

struct subscription *hub_subscribe(struct hub *hub, struct client *client, uint32_t user_id)
{
    size_t count;
    struct subscription *earlier = find_subscription(client, user_id, &count);
    if (earlier)
        end(hub, earlier);
    else if (count >= hub->max_per_client || hub->subscriptions >= hub->max_subscriptions)
        return NULL;

    struct subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription)
        abort();
    subscription->client = client;
    subscription->round = NO_ROUND;
    subscription->audience = need_audience(hub, user_id);
    DL_APPEND2(subscription->audience->subscriptions, subscription, audience_prev, audience_next);
    LL_PREPEND2(*client_subscriptions(client), subscription, client_next);
    metrics_set(hub->metrics, NOTIFIER_SUBSCRIPTIONS, (int64_t)++hub->subscriptions);
    return subscription;
}

void hub_unsubscribe(struct hub *hub, struct client *client, uint32_t user_id)
{
    size_t count;
    struct subscription *subscription = find_subscription(client, user_id, &count);
    if (subscription)
        end(hub, subscription);
}

void hub_forget(struct hub *hub, struct client *client)
{
    while (*client_subscriptions(client))
        end(hub, *client_subscriptions(client));
}

uint32_t subscription_user(const struct subscription *subscription)
{
    return subscription->audience->user_id;
}

/* ---- delivering ---------------------------------------------------------------------------------- */

static bool wants(const struct subscription *subscription, const struct hub_event *event)
{
    return subscription->live && (event->seq == 0 || event->seq > subscription->last_seq);
}

static bool too_old(const struct subscription *subscription, const struct hub_event *event)
{
    return event->created_at_ms && event->created_at_ms + NOT_BEFORE_MARGIN_MS < subscription->not_before_ms;
}

static bool lost_something(const struct subscription *subscription, const struct hub_event *event)
{
    return event->seq != 0 && subscription->last_seq != 0 && !subscription->told &&
           event->seq != subscription->last_seq + 1;
}

uint64_t hub_last_seq(const struct hub *hub, uint32_t user_id)
{
    const struct audience *audience = find_audience(hub, user_id);
    const struct subscription *subscription;
    uint64_t highest = 0;

    if (!audience)
        return 0;
    DL_FOREACH2(audience->subscriptions, subscription, audience_next)
    {
        bool knows = subscription->live && !subscription->replaying && !subscription->told;
        if (knows && subscription->last_seq > highest)
            highest = subscription->last_seq;
    }
    return highest;
}

/* Resets because of one event: most of an audience has the same last event, so one frame serves many. */
struct resets {
    hub_reset_maker *make;
    void *context;
    struct frame *frame; /* made when first needed */
    uint64_t last_seq;   /* of the subscriptions that it is for */
};

static void send_reset(struct hub *hub, struct resets *resets, const struct subscription *subscription)
{
    if (resets->frame && resets->last_seq != subscription->last_seq)
        frame_unref(&resets->frame);
    if (!resets->frame) {
        resets->last_seq = subscription->last_seq;
        resets->frame = resets->make(resets->context, subscription_user(subscription), resets->last_seq);
    }
    client_send(subscription->client, resets->frame);
    metrics_add(hub->metrics, NOTIFIER_RESETS, 1);
}

int64_t hub_deliver(struct hub *hub, const struct hub_event *event, hub_reset_maker *make_reset,
                    void *context)
{
    struct audience *audience = find_audience(hub, event->user_id);
    struct subscription *subscription;
    struct resets resets = {.make = make_reset, .context = context};
    int64_t deliveries = 0;

    if (!audience)
        return 0;
    DL_FOREACH2(audience->subscriptions, subscription, audience_next)
    {
        if (!wants(subscription, event))
            continue;
        if (subscription->replaying && event->seq) {
            if (event->seq > subscription->replay_to)
                subscription->replay_to = event->seq;
            continue;
        }
        bool old = too_old(subscription, event);
        if (!old && lost_something(subscription, event))
            send_reset(hub, &resets, subscription);
        if (event->seq) {
            subscription->last_seq = event->seq;
            subscription->told = false;
        }
        if (old)
            continue;
        subscription->heard = true;
        deliveries += client_send(subscription->client, event->frame);
    }
    frame_unref(&resets.frame);
    metrics_add(hub->metrics, NOTIFIER_DELIVERIES, deliveries);
    return deliveries;
}

void hub_each(struct hub *hub, hub_visitor *visit, void *context)
{
    struct audience *audience, *next;
    struct subscription *subscription;
    HASH_ITER(hh, hub->audiences, audience, next)
    {
        // cppcheck-suppress uninitvar ; HASH_ITER sets it
        DL_FOREACH2(audience->subscriptions, subscription, audience_next)
        {
            if (subscription->live)
                visit(context, subscription);
        }
    }
}

void hub_beat(struct hub *hub, hub_visitor *visit, void *context)
{
    struct subscription *subscription;
    DL_FOREACH2(hub->rounds[hub->next_beat], subscription, round_next)
    {
        /* During a replay the subscription's cursor is behind the frames still to come. */
        if (!subscription->replaying)
            visit(context, subscription);
    }
    hub->next_beat = (uint16_t)((hub->next_beat + 1) % hub->beats);
}
