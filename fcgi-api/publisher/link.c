/* The publisher's broker connection: make it, listen to it, lose it.
 *
 * Whatever goes wrong, the answer is the same: drop the connection, forget what was under way, come back
 * after a growing pause and read the outbox again. A refusal (nack) or a message that came back too: the
 * events sent after it may be in the stream already, and going on would only add to the disorder; readers
 * are told of the hole by their own gap check. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define CONFIRM_MOST_MS     20000 /* without any progress; a busy broker takes seconds */
#define PASSED_OVER_MOST_MS 3000  /* confirms come out of order, but not by so much */

/* ---- state --------------------------------------------------------------------------------------- */

static void complain(struct publisher *publisher, const char *what, const char *reason)
{
    if (!publisher->complained)
        log_warn("broker: %s: %s", what, reason);
    publisher->complained = true;
}

void publisher_link_drop(struct publisher *publisher, const char *reason)
{
    complain(publisher, "connection lost", reason);
    publisher_heal_abandon(publisher);
    amqp_link_close(&publisher->link);
    publisher->state = LINK_DOWN;
    health_connected(publisher->metrics, false, 0);
    publisher->blocked = publisher->no_room = false;
    publisher->retry_at = clock_monotonic_ms() + backoff_next_ms(&publisher->backoff);
    publisher->alive_at = 0;
    publisher_forget_batch(publisher);
    worklist_clear(&publisher->todo); /* publisher_catch_up() finds them again */
    flight_clear(&publisher->flight);
}

void publisher_link_ready(struct publisher *publisher)
{
    publisher->state = LINK_READY;
    publisher->complained = false;
    publisher->sweep_at = 0;
    backoff_reset(&publisher->backoff);
    health_connected(publisher->metrics, true, clock_monotonic_ms());
    health_blocked(publisher->metrics, publisher->blocked);
    log_info("broker: connected");
    publisher_catch_up(publisher);
}

static void connect_link(struct publisher *publisher)
{
    char why[256];
    enum err err = amqp_link_open(publisher->config, AMQP_PUBLISHER, "carillon fcgi-api publisher",
                                  &publisher->link, why, sizeof why);
    if (err) {
        complain(publisher, "cannot connect", why);
        publisher->retry_at = clock_monotonic_ms() + backoff_next_ms(&publisher->backoff);
        return;
    }
    metrics_add(publisher->metrics, API_BROKER_CONNECTS, 1);
    publisher->state = LINK_UNHEALED;
    publisher_heal_begin(publisher);
}

/* ---- what it tells ------------------------------------------------------------------------------- */

static void on_event(struct publisher *publisher, const struct amqp_event *event)
{
    char reason[128];

    switch (event->kind) {
    case AMQP_ACK:
        publisher_on_confirm(publisher, event->tag, event->multiple);
        break;
    case AMQP_NACK:
        metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, 1);
        publisher_link_drop(publisher, "it refused a message");
        break;
    case AMQP_RETURN:
        metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, 1);
        snprintf(reason, sizeof reason, "%s came back: the stream is gone, or a new one", event->message_id);
        publisher_link_drop(publisher, reason);
        break;
    case AMQP_BLOCKED:
        publisher->blocked = true;
        health_blocked(publisher->metrics, true);
        log_warn("broker: asks not to publish: %s", event->reason);
        break;
    case AMQP_UNBLOCKED:
        publisher->blocked = false;
        health_blocked(publisher->metrics, false);
        health_confirmed(publisher->metrics, clock_monotonic_ms()); /* from now on it should */
        log_info("broker: takes messages again");
        break;
    case AMQP_DELIVERY:
    case AMQP_CANCEL:
        break; /* nothing is consumed here */
    }
}

static void listen_to(struct publisher *publisher)
{
    struct amqp_event event;
    while (publisher->link) {
        enum err err = amqp_link_poll(publisher->link, 0, &event);
        if (err == ERR_AGAIN)
            return;
        if (err)
            publisher_link_drop(publisher, amqp_link_why(publisher->link));
        else
            on_event(publisher, &event);
    }
}

/* A confirm may never come: twice, after RabbitMQ 3.10 had been killed and was back, one of some thousand did
 * not. What is not confirmed is sent again on a new connection only. */
static void watch_confirms(struct publisher *publisher)
{
    char reason[80];
    int64_t now = clock_monotonic_ms();
    uint64_t oldest = publisher->flight.first_tag;
    bool passed_over = flight_passed_over(&publisher->flight);
    bool waits =
        publisher->state == LINK_READY && !publisher->blocked && flight_unconfirmed(&publisher->flight) > 0;
    int most_ms = passed_over ? PASSED_OVER_MOST_MS : CONFIRM_MOST_MS;

    if (!waits || oldest != publisher->awaited_tag || passed_over != publisher->passed_over) {
        publisher->awaited_tag = oldest;
        publisher->passed_over = passed_over;
        publisher->awaited_since = now;
    } else if (now - publisher->awaited_since >= most_ms) {
        metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, 1);
        snprintf(reason, sizeof reason, "it has left a message unconfirmed for %d s%s", most_ms / 1000,
                 passed_over ? ", and confirmed later ones" : "");
        publisher_link_drop(publisher, reason);
    }
}

void publisher_link_step(struct publisher *publisher)
{
    if (publisher->state == LINK_DOWN && clock_monotonic_ms() >= publisher->retry_at)
        connect_link(publisher);
    listen_to(publisher);
    watch_confirms(publisher);
    if (publisher->state == LINK_UNHEALED)
        publisher_heal_step(publisher);
}

/* ---- the beacon ---------------------------------------------------------------------------------- */

bool publisher_send_beacon(struct publisher *publisher)
{
    static const struct event_meta control = {.user_id = 0};
    char epoch[sizeof publisher->epoch], id[64];
    uint64_t tag;

    if (!flight_has_room(&publisher->flight, sizeof id))
        return false;
    if (store_epoch(publisher->store, epoch) != ERR_OK) {
        publisher->db_retry_at = clock_monotonic_ms() + DB_PAUSE_MS;
        return false;
    }
    snprintf(id, sizeof id, "%s:beacon:%llu", epoch, (unsigned long long)++publisher->controls);
    enum err err = amqp_link_publish_beacon(publisher->link, EVENT_BEACON_TYPE, id, epoch, &tag);
    if (err == ERR_AGAIN) {
        publisher->no_room = true;
        return false;
    }
    if (err) {
        publisher_link_drop(publisher, amqp_link_why(publisher->link));
        return false;
    }
    flight_sent(&publisher->flight, tag, &control, clock_monotonic_ms(), sizeof id);
    memcpy(publisher->epoch, epoch, sizeof epoch);
    return true;
}
