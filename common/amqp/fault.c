/* SPDX-License-Identifier: MIT */
/* Why a link ended, in words for the log. */
#include "common/amqp/internal.h"

#include <stdarg.h>
#include <stdio.h>

enum err amqp_link_die(struct amqp_link *link, const char *format, ...)
{
    if (!link->dead) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(link->why, sizeof link->why, format, arguments);
        va_end(arguments);
        link->dead = true;
    }
    return ERR_CLOSED;
}

enum err amqp_link_fail(struct amqp_link *link, int status)
{
    return amqp_link_die(link, "%s", amqp_error_string2(status));
}

void amqp_describe_close(amqp_method_number_t id, const void *decoded, char *text, size_t size)
{
    if (id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = decoded;
        snprintf(text, size, "%.*s (%u)", (int)close->reply_text.len, (const char *)close->reply_text.bytes,
                 (unsigned)close->reply_code);
    } else if (id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = decoded;
        snprintf(text, size, "%.*s (%u)", (int)close->reply_text.len, (const char *)close->reply_text.bytes,
                 (unsigned)close->reply_code);
    } else {
        snprintf(text, size, "%s", amqp_method_name(id));
    }
}

void amqp_describe_reply(const amqp_rpc_reply_t *reply, char *text, size_t size)
{
    if (reply->reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        amqp_describe_close(reply->reply.id, reply->reply.decoded, text, size);
    else
        snprintf(text, size, "%s", amqp_error_string2(reply->library_error));
}

bool amqp_closed_the_channel(const amqp_rpc_reply_t *reply, uint16_t code)
{
    if (reply->reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply->reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    const amqp_channel_close_t *close = reply->reply.decoded;
    return close->reply_code == code;
}

/* What every opening call ends with: ERR_OK, or the link is dead and says which call failed. */
enum err amqp_link_check_reply(struct amqp_link *link, const char *doing, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return ERR_OK;
    char text[200];
    amqp_describe_reply(&reply, text, sizeof text);
    return amqp_link_die(link, "%s: %s", doing, text);
}

const char *amqp_link_why(const struct amqp_link *link)
{
    return link->why;
}
