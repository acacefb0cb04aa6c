/* SPDX-License-Identifier: MIT */
/* What stands in the broker: the events' exchange, the stream queue, the readers' way in, and the mark that
 * tells the queue from another of the same name.
 *
 * A queue has no identity in AMQP, but a binding goes with it: a durable exchange of our own is bound to
 * the queue once it holds what it should. Deleting the queue, or wiping the broker, takes the
 * binding away too, and a message sent through that exchange comes back. The queue is bound to the events'
 * exchange at the same time and not before: no event goes into a new queue until the journal has been
 * published. */
#include <string.h>

#include "common/amqp/internal.h"

#include <stdio.h>

#define QUEUE_OPTIONS 4

/* ---- what is declared ------------------------------------------------------------------------------ */

static enum err declare_fanout(struct amqp_link *link, const char *doing, const char *name)
{
    amqp_exchange_declare(link->state, AMQP_CHANNEL, amqp_text(name), amqp_text("fanout"), false, true, false,
                          false, amqp_empty_table);
    return amqp_link_check_reply(link, doing, amqp_get_rpc_reply(link->state));
}

static enum err bind_to(struct amqp_link *link, const char *exchange, const char *key)
{
    amqp_queue_bind(link->state, AMQP_CHANNEL, amqp_text(link->queue), amqp_text(exchange), amqp_text(key),
                    amqp_empty_table);
    return amqp_link_check_reply(link, "binding", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_declare_exchange(struct amqp_link *link)
{
    amqp_exchange_declare(link->state, AMQP_CHANNEL, amqp_text(link->exchange), amqp_text("topic"), false,
                          true, false, false, amqp_empty_table);
    return amqp_link_check_reply(link, "exchange", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_find_queue(struct amqp_link *link)
{
    amqp_queue_declare(link->state, AMQP_CHANNEL, amqp_text(link->queue), true, true, false, false,
                       amqp_empty_table);
    return amqp_link_check_reply(link, "queue", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_declare_queue(struct amqp_link *link, const struct config *config)
{
    char max_age[32];
    snprintf(max_age, sizeof max_age, "%llds", (long long)config->stream_max_age_s);
    amqp_table_entry_t options[QUEUE_OPTIONS] = {
        amqp_text_entry("x-queue-type", "stream"),
        amqp_text_entry("x-max-age", max_age),
        amqp_number_entry("x-max-length-bytes", config->stream_max_bytes),
        amqp_number_entry("x-stream-max-segment-size-bytes", config->stream_segment_bytes),
    };
    amqp_table_t table = {.num_entries = QUEUE_OPTIONS, .entries = options};

    amqp_queue_declare(link->state, AMQP_CHANNEL, amqp_text(link->queue), false, true, false, false, table);
    return amqp_link_check_reply(link, "queue", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_declare_markers(struct amqp_link *link)
{
    enum err err = declare_fanout(link, "markers", link->markers);
    return err ? err : bind_to(link, link->markers, "");
}

/* ---- the mark ----------------------------------------------------------------------------------------- */

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, const char *body, bool *marked)
{
    struct amqp_event event;

    if (link->dead)
        return ERR_CLOSED;
    enum err err = declare_fanout(link, "mark", link->mark);
    if (!err)
        err = amqp_link_publish_beacon(link, type, message_id, epoch, body, strlen(body), NULL);
    /* The broker works through a channel in order: when the next call is answered, what came back is here. */
    if (!err)
        err = declare_fanout(link, "mark", link->mark);
    if (err)
        return err;
    *marked = true;
    while ((err = amqp_link_poll(link, 0, &event)) == ERR_OK)
        if (event.kind == AMQP_RETURN)
            *marked = false;
    return err == ERR_AGAIN ? ERR_OK : err;
}

enum err amqp_link_mark(struct amqp_link *link)
{
    if (link->dead)
        return ERR_CLOSED;
    enum err err = bind_to(link, link->mark, "");
    return err ? err : bind_to(link, link->exchange, EVENT_BINDING);
}
