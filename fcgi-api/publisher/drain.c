/* Outbox -> broker, and out of the outbox when confirmed.
 *
 * An event that came with its hint goes as it is, if it is the next of its user. Otherwise users are read
 * some at a time and take turns. Messages are sent without waiting for their confirms, as many as flight.h
 * holds; what is confirmed is deleted some moments later, many rows in one transaction, so that a commit is
 * not in the way of the next event. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define DELETE_DELAY_MS 50
#define DELETES_AT_ONCE 1000 /* in one transaction */
#define SENDS_AT_ONCE   512  /* then the broker's answers are looked at */
#define MESSAGE_EXTRA   300  /* bytes of a message beside its body, about */

/* ---- reading ------------------------------------------------------------------------------------- */

void publisher_forget_batch(struct publisher *publisher)
{
    outbox_batch_free(&publisher->batch);
    publisher->batch_next = 0;
}

static bool batch_left(const struct publisher *publisher)
{
    return publisher->batch_next < publisher->batch.count;
}

/* A full batch may have more behind it, of its last user and of those after him: they go to the end of the
 * line. He has much to say, and is not read together with others from then on. */
static void end_batch(struct publisher *publisher)
{
    const struct outbox_batch *batch = &publisher->batch;
    bool full = batch->count == (size_t)publisher->config->outbox_batch;
    uint32_t last_user = full ? batch->events[batch->count - 1].meta.user_id : 0;

    for (size_t i = 0; full && i < publisher->range_count; i++)
        if (publisher->ranges[i].user_id >= last_user)
            (void)worklist_add(&publisher->todo, publisher->ranges[i].user_id, publisher->ranges[i].upto);
    if (full)
        worklist_set_long(&publisher->todo, last_user);
    publisher_forget_batch(publisher);
}

/* The next users in the line; one who has much comes alone. */
static void take_ranges(struct publisher *publisher)
{
    struct work work = {0};
    publisher->range_count = 0;
    while (publisher->range_count < OUTBOX_USERS_MAX && !work.is_long) {
        if (publisher->range_count > 0 && worklist_first_is_long(&publisher->todo))
            return;
        if (!worklist_take(&publisher->todo, &work))
            return;
        publisher->ranges[publisher->range_count++] =
            (struct outbox_range){.user_id = work.user_id,
                                  .after = flight_highest(&publisher->flight, work.user_id),
                                  .upto = work.upto};
    }
}

static void put_ranges_back(struct publisher *publisher)
{
    for (size_t i = 0; i < publisher->range_count; i++)
        (void)worklist_add(&publisher->todo, publisher->ranges[i].user_id, publisher->ranges[i].upto);
}

/* False: nobody has anything, or the database does not answer. */
static bool next_batch(struct publisher *publisher)
{
    while (!batch_left(publisher)) {
        publisher_forget_batch(publisher); /* an empty one */
        if (clock_monotonic_ms() < publisher->db_retry_at)
            return false;
        take_ranges(publisher);
        if (publisher->range_count == 0)
            return false;
        enum err err = store_outbox_read(publisher->store, publisher->ranges, publisher->range_count,
                                         (int)publisher->config->outbox_batch, &publisher->batch);
        if (err) {
            put_ranges_back(publisher);
            publisher->db_retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
            return false;
        }
    }
    return true;
}

/* ---- sending ------------------------------------------------------------------------------------- */

/* False: not now. */
static bool send_event(struct publisher *publisher, const struct outbox_event *event)
{
    size_t bytes = event->length + MESSAGE_EXTRA;
    uint64_t tag;

    if (!flight_has_room(&publisher->flight, bytes))
        return false;
    amqp_link_gather(publisher->link);
    /* A backup was restored under us, or the event is of before. */
    if (strcmp(event->meta.epoch, publisher->epoch) != 0 && !publisher_send_beacon(publisher))
        return false;
    enum err err = amqp_link_publish(publisher->link, &event->meta, event->payload, event->length, &tag);
    if (err == ERR_AGAIN) {
        publisher->no_room = true;
        return false;
    }
    if (err) {
        publisher_link_drop(publisher, err == ERR_TOO_LARGE ? "an event is too large for a message"
                                                            : amqp_link_why(publisher->link));
        return false;
    }
    flight_sent(&publisher->flight, tag, &event->meta, event->queued_at_ms, bytes);
    pace_sent(&publisher->pace, clock_monotonic_ms());
    metrics_add(publisher->metrics, API_EVENTS_PUBLISHED, 1);
    return true;
}

static bool send_next(struct publisher *publisher)
{
    if (!send_event(publisher, &publisher->batch.events[publisher->batch_next]))
        return false;
    publisher->batch_next++;
    if (!batch_left(publisher))
        end_batch(publisher);
    return true;
}

static void flush(const struct publisher *publisher)
{
    if (publisher->link)
        amqp_link_flush(publisher->link);
}

bool publisher_gathers(const struct publisher *publisher)
{
    return !batch_left(publisher) && !atomic_load(&publisher->stopping) &&
           clock_monotonic_ms() < pace_next(&publisher->pace);
}

bool publisher_may_send(const struct publisher *publisher)
{
    if (publisher->state != LINK_READY || publisher->blocked || publisher->no_room)
        return false;
    if (!flight_has_room(&publisher->flight, 1))
        return false;
    return batch_left(publisher) || worklist_count(&publisher->todo) > 0;
}

bool publisher_send_hinted(struct publisher *publisher, struct pool_hint *hint)
{
    const struct outbox_event event = {
        .meta = hint->meta,
        .queued_at_ms = hint->queued_at_ms,
        .payload = hint->payload,
        .length = hint->length,
    };

    if (batch_left(publisher) || publisher->blocked || publisher->no_room)
        return false;
    switch (flight_place(&publisher->flight, &event.meta)) {
    case FLIGHT_SENT:
        return true;
    case FLIGHT_UNKNOWN:
        return false;
    case FLIGHT_NEXT:
        break;
    }
    return event.length > 0 && send_event(publisher, &event);
}

/* What has been taken from the pipe, and one batch, go out as one piece, or as few as they fit in. */
void publisher_drain(struct publisher *publisher)
{
    for (int i = 0; i < SENDS_AT_ONCE && publisher_may_send(publisher); i++) {
        if (!batch_left(publisher))
            flush(publisher);
        if (!next_batch(publisher))
            break;
        if (!send_next(publisher))
            break;
    }
    flush(publisher);
}

bool publisher_idle(const struct publisher *publisher)
{
    const struct flight *flight = &publisher->flight;
    return !batch_left(publisher) && worklist_count(&publisher->todo) == 0 &&
           flight_unconfirmed(flight) == 0 && flight->landed_count == 0;
}

/* ---- confirmed ----------------------------------------------------------------------------------- */

static void on_confirmed(void *context, const struct flight_event *event)
{
    struct publisher *publisher = context;
    char id[EVENT_ID_SIZE];

    if (event->meta.user_id == 0) {
        publisher->alive_at = event->queued_at_ms;
        return;
    }
    metrics_add(publisher->metrics, API_EVENTS_CONFIRMED, 1);
    metrics_observe_us(publisher->metrics, API_PUBLISH_LAG, (clock_wall_ms() - event->queued_at_ms) * 1000);
    event_format_id(&event->meta, id);
    log_set_request_id(event->meta.request_id);
    log_info("Message published to \"%s\" %s", publisher->config->amqp_queue, id);
    log_set_request_id(NULL);
}

void publisher_on_confirm(struct publisher *publisher, uint64_t tag, bool multiple)
{
    bool first = publisher->flight.landed_count == 0;
    flight_confirm(&publisher->flight, tag, multiple, on_confirmed, publisher);
    health_confirmed(publisher->metrics, clock_monotonic_ms());
    if (first)
        publisher->delete_at = clock_monotonic_ms() + DELETE_DELAY_MS;
}

void publisher_delete_confirmed(struct publisher *publisher)
{
    struct flight *flight = &publisher->flight;
    int64_t now = clock_monotonic_ms();
    bool last = atomic_load(&publisher->stopping) && flight_unconfirmed(flight) == 0;
    bool many = flight->landed_count >= (size_t)publisher->config->outbox_batch;

    if (flight->landed_count == 0 || now < publisher->db_retry_at)
        return;
    if (!last && !many && now < publisher->delete_at)
        return;
    size_t count = flight->landed_count < DELETES_AT_ONCE ? flight->landed_count : DELETES_AT_ONCE;
    enum err err = store_outbox_confirm(publisher->store, publisher->life,
                                        publisher->config->heal_window_s > 0, flight->landed, count);
    if (!err)
        flight_deleted(flight, count);
    else if (err == ERR_STALE)
        publisher_link_drop(publisher, "another publisher has met it in a new life meanwhile");
    else
        publisher->db_retry_at = publisher->delete_at = clock_monotonic_ms() + DB_PAUSE_MS;
}
