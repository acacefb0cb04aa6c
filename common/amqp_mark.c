/* Telling the queue we know from a new one of the same name.
 *
 * Queues have no identity in AMQP, but a binding goes with its queue: a durable exchange of our own is bound
 * to the queue once it holds what it should. Whoever deletes the queue, or wipes the broker, takes the
 * binding away too, and a message sent through that exchange comes back. */
#include <stdio.h>

#include "common/amqp_internal.h"

#define MARK_NAME_SIZE (128 + sizeof ".known")

static void mark_name(const struct amqp_link *link, char name[MARK_NAME_SIZE])
{
    snprintf(name, MARK_NAME_SIZE, "%s.known", link->queue);
}

static enum err declare(struct amqp_link *link, const char *name)
{
    amqp_exchange_declare(link->state, AMQP_CHANNEL, amqp_text(name), amqp_text("fanout"), false, true, false,
                          false, amqp_empty_table);
    return amqp_link_check_reply(link, "mark", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, bool *marked)
{
    char name[MARK_NAME_SIZE];
    struct amqp_event event;

    if (link->dead)
        return ERR_CLOSED;
    mark_name(link, name);
    enum err err = declare(link, name);
    if (!err)
        err = amqp_link_send_control(link, name, "", true, type, message_id, epoch, NULL);
    /* The broker works through a channel in order: when the next call is answered, what came back is here. */
    if (!err)
        err = declare(link, name);
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
    char name[MARK_NAME_SIZE];
    if (link->dead)
        return ERR_CLOSED;
    mark_name(link, name);
    amqp_queue_bind(link->state, AMQP_CHANNEL, amqp_text(link->queue), amqp_text(name), amqp_empty_bytes,
                    amqp_empty_table);
    return amqp_link_check_reply(link, "mark", amqp_get_rpc_reply(link->state));
}
