/* What goes with the queue: what tells it, or a broker, from another of the same name, and the readers' way
 * in.
 *
 * A queue has no identity in AMQP, but a binding goes with it: a durable exchange of our own is bound to
 * the queue once it holds what it should. Whoever deletes the queue, or wipes the broker, takes the
 * binding away too, and a message sent through that exchange comes back. The queue is bound to the events'
 * exchange at the same time and not before: into a new one nothing goes until it has been looked after.
 *
 * Nor does a broker say when it was started, but an exchange that is not durable lives exactly as long. */
#include <stdio.h>

#include "common/amqp/internal.h"

/* ---- the queue ----------------------------------------------------------------------------------- */

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

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, bool *marked)
{
    struct amqp_event event;

    if (link->dead)
        return ERR_CLOSED;
    enum err err = declare_fanout(link, "mark", link->mark);
    if (!err)
        err = amqp_link_send_control(link, link->mark, "", true, type, message_id, epoch, NULL);
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

enum err amqp_link_publish_beacon(struct amqp_link *link, const char *type, const char *message_id,
                                  const char *epoch, uint64_t *tag)
{
    return amqp_link_send_control(link, link->mark, "", true, type, message_id, epoch, tag);
}

/* ---- markers ------------------------------------------------------------------------------------- */

enum err amqp_link_open_markers(struct amqp_link *link)
{
    enum err err = declare_fanout(link, "markers", link->markers);
    return err ? err : bind_to(link, link->markers, "");
}

enum err amqp_link_publish_marker(struct amqp_link *link, const char *message_id)
{
    return amqp_link_send_control(link, link->markers, "", true, EVENT_MARKER_TYPE, message_id, NULL, NULL);
}

/* ---- the broker ---------------------------------------------------------------------------------- */

static void life_name(const struct amqp_link *link, char name[AMQP_NAME_SIZE])
{
    snprintf(name, AMQP_NAME_SIZE, "%s.life", link->queue);
}

static bool is_missing(const amqp_rpc_reply_t *reply)
{
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply->reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    const amqp_channel_close_t *close = reply->reply.decoded;
    return close->reply_code == AMQP_NOT_FOUND;
}

static enum err leave_channel(struct amqp_link *link, bool closed_by_broker)
{
    amqp_channel_close_ok_t nothing = {0};
    if (!closed_by_broker)
        return amqp_link_check_reply(link, "life",
                                     amqp_channel_close(link->state, AMQP_SIDE_CHANNEL, AMQP_REPLY_SUCCESS));
    int status = amqp_send_method(link->state, AMQP_SIDE_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &nothing);
    return status == AMQP_STATUS_OK ? ERR_OK : amqp_link_fail(link, status);
}

static void declare_life(struct amqp_link *link, int channel, bool passive)
{
    char name[AMQP_NAME_SIZE];
    life_name(link, name);
    amqp_exchange_declare(link->state, (amqp_channel_t)channel, amqp_text(name), amqp_text("fanout"), passive,
                          false, false, false, amqp_empty_table);
}

/* On a channel of its own: the broker closes the one on which it is asked for what is not there. */
enum err amqp_link_check_life(struct amqp_link *link, bool *noted)
{
    if (link->dead)
        return ERR_CLOSED;
    amqp_channel_open(link->state, AMQP_SIDE_CHANNEL);
    enum err err = amqp_link_check_reply(link, "life", amqp_get_rpc_reply(link->state));
    if (err)
        return err;
    declare_life(link, AMQP_SIDE_CHANNEL, true);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->state);
    bool missing = is_missing(&reply);
    if (!missing)
        err = amqp_link_check_reply(link, "life", reply);
    *noted = !missing;
    return err ? err : leave_channel(link, missing);
}

enum err amqp_link_note_life(struct amqp_link *link)
{
    if (link->dead)
        return ERR_CLOSED;
    declare_life(link, AMQP_CHANNEL, false);
    return amqp_link_check_reply(link, "life", amqp_get_rpc_reply(link->state));
}
