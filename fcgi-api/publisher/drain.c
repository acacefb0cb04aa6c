/* SPDX-License-Identifier: MIT */
/* Outbox -> broker, and out of the outbox when confirmed.
 *
 * An event that came with its hint is sent as it came, if it is the next of its user. Otherwise the outbox is
 * read, some users at a time, in turn. Messages are sent without waiting for their confirms, as many as
 * flight.h holds. Confirmed rows are deleted a moment later, many in one transaction, so that a commit does
 * not delay the next event. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define DELETE_DELAY_MS 50
#define DELETES_AT_ONCE 1000  /* rows in one transaction */
#define SENDS_AT_ONCE   512   /* messages, then the broker's answers are read */
#define REFUSALS_TOLD   60000 /* ms without a refusal, after which the next one is logged again */

/* ---- reading ------------------------------------------------------------------------------------- */

void publisher_forget_batch(struct publisher *publisher)
{
    outbox_batch_free(&publisher->outgoing.batch);
    publisher->outgoing.batch_next = 0;
}

static bool batch_left(const struct publisher *publisher)
{
    return publisher->outgoing.batch_next < publisher->outgoing.batch.count;
}

/* A full batch may have left rows behind, of its last user and of the users after it: these go to the end of
 * the list. The last user has a long backlog, and from then on is not read together with others. */
static void end_batch(struct publisher *publisher)
{
    struct outgoing *out = &publisher->outgoing;
    const struct outbox_batch *batch = &out->batch;
    bool full = batch->more;
    uint32_t last_user = full ? batch->events[batch->count - 1].meta.user_id : 0;

    for (size_t i = 0; full && i < out->range_count; i++)
        if (out->ranges[i].user_id >= last_user)
            (void)worklist_add(&out->todo, out->ranges[i].user_id, out->ranges[i].upto);
    if (full)
        worklist_set_long(&out->todo, last_user);
    publisher_forget_batch(publisher);
}

/* The next users in the list; a user with a long backlog is read alone. */
static void take_ranges(struct publisher *publisher)
{
    struct outgoing *out = &publisher->outgoing;
    struct work work = {0};
    out->range_count = 0;
    while (out->range_count < OUTBOX_USERS_MAX && !work.is_long) {
        if (out->range_count > 0 && worklist_first_is_long(&out->todo))
            return;
        if (!worklist_take(&out->todo, &work))
            return;
        out->ranges[out->range_count++] =
            (struct outbox_range){.user_id = work.user_id,
                                  .after = flight_highest(&publisher->sending.flight, work.user_id),
                                  .upto = work.upto};
    }
}

static void put_ranges_back(struct outgoing *out)
{
    for (size_t i = 0; i < out->range_count; i++)
        (void)worklist_add(&out->todo, out->ranges[i].user_id, out->ranges[i].upto);
}

/* False: there is nothing, or the database does not answer. */
static bool next_batch(struct publisher *publisher)
{
    struct outgoing *out = &publisher->outgoing;
    while (!batch_left(publisher)) {
        publisher_forget_batch(publisher); /* an empty one */
        if (clock_monotonic_ms() < publisher->db_retry_at)
            return false;
        take_ranges(publisher);
        if (out->range_count == 0)
            return false;
        enum err err = store_outbox_read(publisher->store, out->ranges, out->range_count,
                                         (int)publisher->config->outbox_batch, &out->batch);
        if (err) {
            put_ranges_back(out);
            publisher->db_retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
            return false;
        }
    }
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------- */

static enum err send_next(struct publisher *publisher)
{
    struct outgoing *out = &publisher->outgoing;
    enum err err = publisher_send_event(publisher, &out->batch.events[out->batch_next]);
    if (err == ERR_STALE) { /* the epoch has changed since it was read */
        put_ranges_back(out);
        publisher_forget_batch(publisher);
        return ERR_AGAIN;
    }
    if (err)
        return err;
    out->batch_next++;
    if (!batch_left(publisher))
        end_batch(publisher);
    return ERR_OK;
}

bool publisher_gathers(const struct publisher *publisher)
{
    return !batch_left(publisher) && !atomic_load(&publisher->stopping) &&
           clock_monotonic_ms() < pace_next(&publisher->sending.pace);
}

static bool takes_messages(const struct publisher *publisher)
{
    const struct link *link = &publisher->link;
    return link->state == LINK_READY && !link->blocked && !link->no_room;
}

static size_t next_bytes(const struct outgoing *out)
{
    return out->batch.events[out->batch_next].length + PUBLISHER_MESSAGE_EXTRA;
}

/* Asks for the room that the next message takes: where less than that is left, the loop waits for confirms.
 * Which refused event is next is not known before it is read, so the room for the largest is wanted. */
bool publisher_may_send(const struct publisher *publisher)
{
    const struct flight *flight = &publisher->sending.flight;
    if (!takes_messages(publisher))
        return false;
    if (flight->refused_count > 0)
        return flight_has_room_again(flight, EVENT_BODY_MAX + PUBLISHER_MESSAGE_EXTRA);
    if (batch_left(publisher))
        return flight_has_room(flight, next_bytes(&publisher->outgoing));
    return flight_has_room(flight, 1) && worklist_count(&publisher->outgoing.todo) > 0;
}

enum err publisher_send_hinted(struct publisher *publisher, struct pool_hint *hint)
{
    const struct outbox_event event = {
        .meta = hint->meta,
        .queued_at_ms = hint->queued_at_ms,
        .payload = hint->payload,
        .length = hint->length,
    };

    if (batch_left(publisher) || !takes_messages(publisher))
        return ERR_AGAIN;
    switch (flight_place(&publisher->sending.flight, &event.meta)) {
    case FLIGHT_SENT:
        return ERR_OK;
    case FLIGHT_UNKNOWN:
        return ERR_AGAIN;
    case FLIGHT_NEXT:
        break;
    }
    if (event.length == 0)
        return ERR_AGAIN;
    enum err err = publisher_send_event(publisher, &event);
    return err == ERR_STALE ? ERR_AGAIN : err;
}

/* ---- refused ------------------------------------------------------------------------------------- */

static const struct outbox_event *find_event(const struct outbox_batch *batch, const struct outbox_key *key)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->events[i].meta.user_id == key->user_id && batch->events[i].meta.seq == key->seq)
            return &batch->events[i];
    return NULL;
}

static enum err send_refused_batch(struct publisher *publisher, const struct outbox_batch *batch,
                                   size_t count)
{
    struct flight *flight = &publisher->sending.flight;
    enum err err = ERR_OK;
    size_t done = 0;
    for (; done < count && !err; done++) {
        const struct outbox_event *event = find_event(batch, &flight->refused[done]);
        if (event)
            err = publisher_send_straight(publisher, event);
        else /* another publisher has taken it out */
            flight_land(flight, &flight->refused[done]);
        if (err)
            break;
    }
    flight_unrefuse(flight, done);
    return err;
}

/* A refused event is sent once more, into the stream alone. The queue that refuses belongs to another
 * service, is full and was declared to reject (x-overflow: reject-publish). It misses the message, as
 * declared; the publisher sends one message more for each. */
static enum err send_refused(struct publisher *publisher)
{
    struct flight *flight = &publisher->sending.flight;
    struct outbox_range ranges[OUTBOX_USERS_MAX];
    struct outbox_batch batch;
    size_t count = flight->refused_count < OUTBOX_USERS_MAX ? flight->refused_count : OUTBOX_USERS_MAX;

    if (clock_monotonic_ms() < publisher->db_retry_at)
        return ERR_AGAIN;
    for (size_t i = 0; i < count; i++)
        ranges[i] = (struct outbox_range){.user_id = (uint32_t)flight->refused[i].user_id,
                                          .after = flight->refused[i].seq - 1,
                                          .upto = flight->refused[i].seq};
    if (store_outbox_read(publisher->store, ranges, count, OUTBOX_USERS_MAX, &batch) != ERR_OK) {
        publisher->db_retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
        return ERR_AGAIN;
    }
    enum err err = send_refused_batch(publisher, &batch, count);
    outbox_batch_free(&batch);
    return err == ERR_STALE ? ERR_AGAIN : err;
}

/* ---- all that there is --------------------------------------------------------------------------- */

static enum err drain_some(struct publisher *publisher)
{
    for (int i = 0; i < SENDS_AT_ONCE && publisher_may_send(publisher); i++) {
        enum err err = ERR_OK;
        if (!batch_left(publisher))
            amqp_link_flush(publisher->link.amqp);
        if (publisher->sending.flight.refused_count > 0)
            err = send_refused(publisher);
        else if (!next_batch(publisher))
            return ERR_OK;
        else
            err = send_next(publisher);
        if (err)
            return err == ERR_AGAIN ? ERR_OK : err;
    }
    return ERR_OK;
}

/* The hints taken from the pipe and one batch are written together, in as few writes as they fit in. */
enum err publisher_drain(struct publisher *publisher)
{
    enum err err = drain_some(publisher);
    if (publisher->link.amqp)
        amqp_link_flush(publisher->link.amqp);
    return err;
}

bool publisher_idle(const struct publisher *publisher)
{
    const struct flight *flight = &publisher->sending.flight;
    return !batch_left(publisher) && worklist_count(&publisher->outgoing.todo) == 0 &&
           flight_unconfirmed(flight) == 0 && flight->landed_count == 0 && flight->refused_count == 0;
}

/* ---- confirmed ----------------------------------------------------------------------------------- */

/* The event is with the broker: the span of its publication, out of the outbox, ends. */
static void end_span(const struct flight_event *event, int64_t lag_ms)
{
    struct span span;
    span_begin_as(&span, event->meta.traceparent, event->span_id, lag_ms > 0 ? lag_ms * 1000 : 0);
    span_end(&span, "publish", NULL, 0);
}

static void on_confirmed(void *context, const struct flight_event *event)
{
    struct publisher *publisher = context;
    char id[EVENT_ID_SIZE];

    if (event->meta.user_id == 0) {
        publisher->outgoing.alive_at = event->queued_at_ms;
        return;
    }
    int64_t lag_ms = clock_wall_ms() - event->queued_at_ms;
    publisher->outgoing.event_confirmed = true;
    metrics_add(publisher->metrics, API_EVENTS_CONFIRMED, 1);
    metrics_observe_us(publisher->metrics, API_PUBLISH_LAG, lag_ms > 0 ? lag_ms * 1000 : 0);
    event_format_id(&event->meta, id);
    log_set_request_id(event->meta.request_id);
    log_info("Message published to \"%s\" %s", publisher->config->amqp_queue, id);
    if (event->span_id[0] != '\0')
        end_span(event, lag_ms);
    log_set_request_id(NULL);
}

void publisher_on_confirm(struct publisher *publisher, uint64_t tag, bool multiple)
{
    struct flight *flight = &publisher->sending.flight;
    bool first = flight->landed_count == 0;
    flight_confirm(flight, tag, multiple, on_confirmed, publisher);
    health_confirmed(publisher->metrics, clock_monotonic_ms());
    if (first)
        publisher->outgoing.take_out_at = clock_monotonic_ms() + DELETE_DELAY_MS;
}

enum err publisher_on_refusal(struct publisher *publisher, uint64_t tag, bool multiple)
{
    struct outgoing *out = &publisher->outgoing;
    struct flight *flight = &publisher->sending.flight;
    int64_t now = clock_monotonic_ms();
    size_t before = flight->refused_count;

    bool others = flight_refuse(flight, tag, multiple);
    metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, (int64_t)(flight->refused_count - before));
    if (!others)
        return publisher_lost(publisher, "the stream refused a message");
    if (out->refused_at == 0 || now - out->refused_at >= REFUSALS_TOLD)
        log_warn("broker: a queue that is bound to \"%s\" refuses messages (it is full and made to reject): "
                 "they go into "
                 "\"%s\" alone, and that queue misses them",
                 publisher->config->amqp_exchange, publisher->config->amqp_queue);
    out->refused_at = now;
    return ERR_OK;
}

enum err publisher_take_out(struct publisher *publisher)
{
    struct flight *flight = &publisher->sending.flight;
    struct outgoing *out = &publisher->outgoing;
    int64_t now = clock_monotonic_ms();
    bool last = atomic_load(&publisher->stopping) && flight_unconfirmed(flight) == 0;
    bool many = flight->landed_count >= (size_t)publisher->config->outbox_batch;

    if (flight->landed_count == 0 || now < publisher->db_retry_at)
        return ERR_OK;
    if (!last && !many && now < out->take_out_at)
        return ERR_OK;
    size_t count = flight->landed_count < DELETES_AT_ONCE ? flight->landed_count : DELETES_AT_ONCE;
    enum err err = store_outbox_confirm(publisher->store, publisher->life,
                                        publisher->config->heal_window_s > 0, flight->landed, count);
    if (!err)
        flight_deleted(flight, count);
    else if (err == ERR_STALE)
        return publisher_lost(publisher, "another publisher has met it in a new life meanwhile");
    else
        publisher->db_retry_at = out->take_out_at = clock_monotonic_ms() + DB_PAUSE_MS;
    return ERR_OK;
}
