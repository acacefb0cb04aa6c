/* What tells a broker, or a queue, from another of the same name.
 *
 * A queue has no identity in AMQP, but a binding goes with it: a durable exchange of our own is bound to
 * the queue once it holds what it should. Whoever deletes the queue, or wipes the broker, takes the
 * binding away too, and a message sent through that exchange comes back.
 *
 * Nor does a broker say when it was started, but an exclusive queue lives as long as the connection that
 * made it: while there is one, the broker is the one that this connection knows. */
#include <stdio.h>

#include "common/amqp_internal.h"

#define NAME_SIZE (128 + sizeof ".known")

/* ---- the queue ----------------------------------------------------------------------------------- */

static void mark_name(const struct amqp_link *link, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s.known", link->queue);
}

static enum err declare_mark(struct amqp_link *link, const char *name)
{
    amqp_exchange_declare(link->state, AMQP_CHANNEL, amqp_text(name), amqp_text("fanout"), false, true, false,
                          false, amqp_empty_table);
    return amqp_link_check_reply(link, "mark", amqp_get_rpc_reply(link->state));
}

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, bool *marked)
{
    char name[NAME_SIZE];
    struct amqp_event event;

    if (link->dead)
        return ERR_CLOSED;
    mark_name(link, name);
    enum err err = declare_mark(link, name);
    if (!err)
        err = amqp_link_send_control(link, name, "", true, type, message_id, epoch, NULL);
    /* The broker works through a channel in order: when the next call is answered, what came back is here. */
    if (!err)
        err = declare_mark(link, name);
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
    char name[NAME_SIZE];
    if (link->dead)
        return ERR_CLOSED;
    mark_name(link, name);
    amqp_queue_bind(link->state, AMQP_CHANNEL, amqp_text(link->queue), amqp_text(name), amqp_empty_bytes,
                    amqp_empty_table);
    return amqp_link_check_reply(link, "mark", amqp_get_rpc_reply(link->state));
}

/* ---- the broker ---------------------------------------------------------------------------------- */

static bool is_locked(const amqp_rpc_reply_t *reply)
{
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply->reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    const amqp_channel_close_t *close = reply->reply.decoded;
    return close->reply_code == AMQP_RESOURCE_LOCKED;
}

static enum err leave_channel(struct amqp_link *link, bool closed_by_broker)
{
    amqp_channel_close_ok_t nothing = {0};
    if (!closed_by_broker)
        return amqp_link_check_reply(link, "claim",
                                     amqp_channel_close(link->state, AMQP_SIDE_CHANNEL, AMQP_REPLY_SUCCESS));
    int status = amqp_send_method(link->state, AMQP_SIDE_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &nothing);
    return status == AMQP_STATUS_OK ? ERR_OK : amqp_link_fail(link, status);
}

enum err amqp_link_claim(struct amqp_link *link, bool *claimed)
{
    char name[NAME_SIZE];

    if (link->dead)
        return ERR_CLOSED;
    snprintf(name, sizeof name, "%s.owner", link->queue);
    amqp_channel_open(link->state, AMQP_SIDE_CHANNEL);
    enum err err = amqp_link_check_reply(link, "claim", amqp_get_rpc_reply(link->state));
    if (err)
        return err;
    amqp_queue_declare(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), false, false, true, false,
                       amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->state);
    bool locked = is_locked(&reply);
    if (!locked)
        err = amqp_link_check_reply(link, "claim", reply);
    *claimed = !locked;
    return err ? err : leave_channel(link, locked);
}
