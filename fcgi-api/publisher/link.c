/* SPDX-License-Identifier: MIT */
/* The publisher's broker connection: makes it, and returns what the broker says on it. publisher.c decides
 * what follows.
 *
 * A connection is good when the broker has confirmed something on it. Until then each lost connection makes
 * the pause before the next one longer, and the log has one line for all of them. */
#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

#define CONFIRM_MOST_MS     20000 /* without any confirm; a busy broker takes seconds */
#define ABSENT_MOST_MS      1000  /* between two attempts to reach a broker that is not there */
#define PASSED_OVER_MOST_MS 3000  /* confirms come out of order, but not by so much */

void publisher_link_complain(struct publisher *publisher, const char *what, const char *reason)
{
    if (!publisher->link.complained)
        log_warn("broker: %s: %s", what, reason);
    publisher->link.complained = true;
}

void publisher_link_is_good(struct publisher *publisher)
{
    struct link *link = &publisher->link;
    if (link->good)
        return;
    link->good = true;
    link->complained = false;
    backoff_reset(&link->backoff);
    log_info("broker: connected");
}

static enum link_news connect_link(struct publisher *publisher)
{
    struct link *link = &publisher->link;
    char why[256];
    enum err err = amqp_link_open(publisher->config, AMQP_PUBLISHER, "carillon fcgi-api publisher",
                                  &link->amqp, why, sizeof why);
    if (err) {
        int64_t pause_ms = backoff_next_ms(&link->backoff);
        health_blocked(publisher->metrics, false); /* it is away */
        publisher_link_complain(publisher, "cannot connect", why);
        link->retry_at = clock_monotonic_ms() + (pause_ms < ABSENT_MOST_MS ? pause_ms : ABSENT_MOST_MS);
        return LINK_NOTHING;
    }
    metrics_add(publisher->metrics, API_BROKER_CONNECTS, 1);
    return LINK_UP;
}

void publisher_link_close(struct publisher *publisher)
{
    struct link *link = &publisher->link;
    amqp_link_close(&link->amqp);
    link->state = LINK_DOWN;
    link->good = link->blocked = link->no_room = false;
    link->retry_at = clock_monotonic_ms() + backoff_next_ms(&link->backoff);
    health_connected(publisher->metrics, false, 0);
}

/* A confirm may never come: twice, after RabbitMQ 3.10 had been killed and was back, one of some thousand did
 * not. Unconfirmed messages are sent again on a new connection only. */
static bool overdue(struct publisher *publisher)
{
    struct link *link = &publisher->link;
    const struct flight *flight = &publisher->sending.flight;
    int64_t now = clock_monotonic_ms();
    bool passed_over = flight_passed_over(flight);
    bool waits = link->state == LINK_READY && !link->blocked && flight_unconfirmed(flight) > 0;
    int most_ms = passed_over ? PASSED_OVER_MOST_MS : CONFIRM_MOST_MS;

    if (!waits || flight->first_tag != link->awaited_tag || passed_over != link->passed_over) {
        link->awaited_tag = flight->first_tag;
        link->passed_over = passed_over;
        link->awaited_since = now;
        return false;
    }
    if (now - link->awaited_since < most_ms)
        return false;
    metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, 1);
    return publisher_lost(publisher, "it has left a message unconfirmed for %d s%s", most_ms / 1000,
                          passed_over ? ", and confirmed later ones" : "") != ERR_OK;
}

/* False: the event is about something else. */
static bool take_note(struct publisher *publisher, const struct amqp_event *event)
{
    if (event->kind != AMQP_BLOCKED && event->kind != AMQP_UNBLOCKED)
        return false;
    publisher->link.blocked = event->kind == AMQP_BLOCKED;
    health_blocked(publisher->metrics, publisher->link.blocked);
    if (publisher->link.blocked) {
        log_warn("broker: asks not to publish: %s", event->reason);
    } else {
        health_confirmed(publisher->metrics, clock_monotonic_ms()); /* from now on it should confirm */
        log_info("broker: takes messages again");
    }
    return true;
}

enum link_news publisher_link_next(struct publisher *publisher, struct amqp_event *event)
{
    struct link *link = &publisher->link;
    enum err err;

    if (!link->amqp)
        return clock_monotonic_ms() < link->retry_at ? LINK_NOTHING : connect_link(publisher);
    do {
        err = amqp_link_poll(link->amqp, 0, event);
    } while (err == ERR_OK && take_note(publisher, event));
    if (err == ERR_OK)
        return LINK_EVENT;
    if (err == ERR_AGAIN)
        return overdue(publisher) ? LINK_LOST : LINK_NOTHING;
    (void)publisher_lost(publisher, "%s", amqp_link_why(link->amqp));
    return LINK_LOST;
}
