/* SPDX-License-Identifier: MIT */
/* Whether the broker is still in the life (the time from a start to its end) that we know.
 *
 * A broker does not say when it was started. Two things of ours end with its life, each where the other does
 * not: an exchange that is not durable goes at a restart where RabbitMQ keeps its definitions in Mnesia, and
 * stays in Khepri (from 4.0); a message that is not persistent, in a durable queue, is not recovered from an
 * unclean end by classic queues of version 2 (from 4.0), and may be by those of before when memory was short.
 * The life is the one we know only while both are there. */
#include "common/amqp/internal.h"

#include <stdio.h>

static void life_name(const struct amqp_link *link, char name[AMQP_NAME_SIZE])
{
    snprintf(name, AMQP_NAME_SIZE, "%s.life", link->queue);
}

/* The calls below use a channel of their own: the broker closes a channel on which it is asked for something
 * that is not there, and what is published here must not be counted among the stream's messages. */
static enum err enter_side(struct amqp_link *link)
{
    amqp_channel_open(link->state, AMQP_SIDE_CHANNEL);
    return amqp_link_check_reply(link, "life", amqp_get_rpc_reply(link->state));
}

static enum err leave_side(struct amqp_link *link)
{
    return amqp_link_check_reply(link, "life",
                                 amqp_channel_close(link->state, AMQP_SIDE_CHANNEL, AMQP_REPLY_SUCCESS));
}

/* The broker's answer on the side channel. *said false: it refused and has closed the channel; why is in the
 * link's note. An error: the connection is gone. */
static enum err side_answer(struct amqp_link *link, bool *said)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->state);
    amqp_channel_close_ok_t nothing = {0};

    *said = reply.reply_type == AMQP_RESPONSE_NORMAL;
    if (*said)
        return ERR_OK;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return amqp_link_check_reply(link, "life", reply);
    amqp_describe_reply(&reply, link->note, sizeof link->note);
    int status = amqp_send_method(link->state, AMQP_SIDE_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &nothing);
    return status == AMQP_STATUS_OK ? ERR_OK : amqp_link_fail(link, status);
}

/* The message counts only when it is ready, so nothing may consume it. */
static enum err count_life(struct amqp_link *link, const char *name, bool *noted)
{
    amqp_queue_declare_ok_t *queue = amqp_queue_declare(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), true,
                                                        true, false, false, amqp_empty_table);
    *noted = queue && queue->message_count > 0;
    bool there;
    enum err err = side_answer(link, &there);
    return err || !there ? err : leave_side(link);
}

enum err amqp_link_check_life(struct amqp_link *link, bool *noted)
{
    char name[AMQP_NAME_SIZE];
    bool there;

    *noted = false;
    if (link->dead)
        return ERR_CLOSED;
    life_name(link, name);
    enum err err = enter_side(link);
    if (err)
        return err;
    amqp_exchange_declare(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), amqp_text("fanout"), true, false,
                          false, false, amqp_empty_table);
    err = side_answer(link, &there);
    return err || !there ? err : count_life(link, name, noted);
}

static enum err make_life(struct amqp_link *link, const char *name, bool *made)
{
    amqp_exchange_declare(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), amqp_text("fanout"), false, false,
                          false, false, amqp_empty_table);
    enum err err = side_answer(link, made);
    if (err || !*made)
        return err;
    amqp_queue_declare(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), false, true, false, false,
                       amqp_empty_table);
    err = side_answer(link, made);
    if (err || !*made)
        return err;
    amqp_queue_bind(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), amqp_text(name), amqp_text(""),
                    amqp_empty_table);
    return side_answer(link, made);
}

enum err amqp_link_note_life(struct amqp_link *link, bool *noted)
{
    static const amqp_basic_properties_t transient = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                      .delivery_mode = AMQP_DELIVERY_NONPERSISTENT};
    char name[AMQP_NAME_SIZE];

    *noted = false;
    if (link->dead)
        return ERR_CLOSED;
    life_name(link, name);
    enum err err = enter_side(link);
    if (!err)
        err = make_life(link, name, noted);
    if (err || !*noted)
        return err;
    if (!amqp_link_has_room(link))
        return ERR_AGAIN;
    int status = amqp_basic_publish(link->state, AMQP_SIDE_CHANNEL, amqp_text(name), amqp_text(""), false,
                                    false, &transient, amqp_text("{}"));
    return status == AMQP_STATUS_OK ? leave_side(link) : amqp_link_fail(link, status);
}

const char *amqp_link_note(const struct amqp_link *link)
{
    return link->note;
}
