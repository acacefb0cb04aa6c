/* SPDX-License-Identifier: MIT */
/* A connection's life: connect, log in, declare what both programs rely on, consume, close.
 *
 * Opening is a row of calls that wait for the broker, together for at most AMQP_TIMEOUT_MS; whatever
 * fails among them, the caller gets one line that says what. A publisher declares exchange and queue; a
 * reader, whose account may declare nothing, only asks whether the queue is there. The binding between the
 * two comes later (topology.c). */
#include "common/amqp/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/resolve.h"

#define FRAME_MAX   131072
#define SEND_BUFFER (200 * 1024) /* the kernel doubles it */
#define PROPERTIES  3

static struct timeval time_left(int64_t deadline)
{
    int64_t left = deadline - clock_monotonic_ms();
    if (left < 1)
        left = 1;
    return (struct timeval){.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
}

/* Before each call: it may use what is left of the whole. */
static void limit_call(struct amqp_link *link, int64_t deadline)
{
    struct timeval left = time_left(deadline);
    (void)amqp_set_rpc_timeout(link->state, &left);
    (void)amqp_set_handshake_timeout(link->state, &left);
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* Room for a whole message at once, and for the heartbeats and acknowledgements that the library
 * sends after it whether or not the socket takes them: see amqp_link_has_room(). */
static void size_socket(int fd)
{
    int size = SEND_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* By one of the host's addresses, looked up beside: the library would wait for the name server without limit.
 * The next one is tried where one takes no connection. */
static int open_socket(struct amqp_link *link, amqp_socket_t *socket, const struct config *config,
                       int64_t deadline)
{
    struct resolve_answer found;
    const char *why;
    int status = AMQP_STATUS_SOCKET_ERROR;

    if (resolve_name(config->amqp_host, deadline, &found, &why) != ERR_OK) {
        amqp_link_die(link, "%s:%d: %s", config->amqp_host, (int)config->amqp_port, why);
        return AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED;
    }
    for (size_t i = 0; i < found.count && status == AMQP_STATUS_SOCKET_ERROR; i++) {
        struct timeval left = time_left(deadline);
        status = amqp_socket_open_noblock(socket, found.text[i], (int)config->amqp_port, &left);
        if (status != AMQP_STATUS_OK)
            resolve_failed(config->amqp_host, found.text[i]);
    }
    return status;
}

static enum err connect_socket(struct amqp_link *link, const struct config *config, int64_t deadline)
{
    bool tls = config->amqp_tls_ca[0] != '\0';
    amqp_socket_t *socket = tls ? amqp_link_tls_socket(link, config) : amqp_tcp_socket_new(link->state);
    if (!socket && link->dead)
        return ERR_CLOSED;
    if (!socket)
        abort();
    int status = open_socket(link, socket, config, deadline);
    if (status != AMQP_STATUS_OK && tls)
        return amqp_link_tls_fail(link, config, status);
    if (status != AMQP_STATUS_OK)
        return amqp_link_die(link, "%s:%d: %s", config->amqp_host, (int)config->amqp_port,
                             amqp_error_string2(status));
    size_socket(amqp_get_sockfd(link->state));
    return ERR_OK;
}

static amqp_table_entry_t flag(const char *key)
{
    amqp_table_entry_t entry = {.key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_BOOLEAN}};
    entry.value.value.boolean = true;
    return entry;
}

/* The broker reports a deleted queue and its alarms only to clients that announce these capabilities. */
static enum err log_in(struct amqp_link *link, const struct config *config)
{
    amqp_table_entry_t capabilities[] = {flag("consumer_cancel_notify"), flag("connection.blocked"),
                                         flag("publisher_confirms"), flag("basic.nack")};
    amqp_table_entry_t properties[PROPERTIES] = {
        amqp_text_entry("product", "carillon"),
        amqp_text_entry("connection_name", link->name),
        {.key = amqp_text("capabilities"), .value = {.kind = AMQP_FIELD_KIND_TABLE}},
    };
    properties[2].value.value.table =
        (amqp_table_t){.num_entries = sizeof capabilities / sizeof *capabilities, .entries = capabilities};
    amqp_table_t table = {.num_entries = PROPERTIES, .entries = properties};

    return amqp_link_check_reply(link, "login",
                                 amqp_login_with_properties(link->state, config->amqp_vhost, AMQP_CHANNELS,
                                                            FRAME_MAX, (int)config->amqp_heartbeat_s, &table,
                                                            AMQP_SASL_METHOD_PLAIN, config->amqp_user,
                                                            config->amqp_password));
}

static enum err open_channel(struct amqp_link *link)
{
    amqp_channel_open(link->state, AMQP_CHANNEL);
    return amqp_link_check_reply(link, "channel", amqp_get_rpc_reply(link->state));
}

static enum err declare_all(struct amqp_link *link, const struct config *config, int64_t deadline)
{
    enum err err = amqp_link_declare_exchange(link);
    limit_call(link, deadline);
    if (!err)
        err = amqp_link_declare_queue(link, config);
    limit_call(link, deadline);
    return err ? err : amqp_link_declare_markers(link);
}

static enum err open_all(struct amqp_link *link, enum amqp_side side, const struct config *config)
{
    int64_t deadline = clock_monotonic_ms() + config->amqp_timeout_ms;
    enum err err = connect_socket(link, config, deadline);

    limit_call(link, deadline);
    if (!err)
        err = log_in(link, config);
    limit_call(link, deadline);
    if (!err)
        err = open_channel(link);
    limit_call(link, deadline);
    if (!err)
        err = side == AMQP_PUBLISHER ? declare_all(link, config, deadline) : amqp_link_find_queue(link);
    if (!err)
        limit_call(link, clock_monotonic_ms() + config->amqp_timeout_ms);
    return err;
}

enum err amqp_link_open(const struct config *config, enum amqp_side side, const char *name,
                        struct amqp_link **out, char *why, size_t why_size)
{
    struct amqp_link *link = calloc(1, sizeof *link);
    if (!link)
        abort();
    link->state = amqp_new_connection();
    if (!link->state)
        abort();
    snprintf(link->exchange, sizeof link->exchange, "%s", config->amqp_exchange);
    snprintf(link->queue, sizeof link->queue, "%s", config->amqp_queue);
    snprintf(link->markers, sizeof link->markers, "%s.markers", link->queue);
    snprintf(link->mark, sizeof link->mark, "%s.known", link->queue);
    snprintf(link->name, sizeof link->name, "%s", name);
    snprintf(link->account, sizeof link->account, "%s", config->amqp_user);
    link->host = config->amqp_host;
    link->complete_ms = -1;

    *out = NULL;
    if (open_all(link, side, config) != ERR_OK) {
        snprintf(why, why_size, "%s", link->why);
        amqp_link_close(&link);
        return ERR_UNAVAILABLE;
    }
    *out = link;
    return ERR_OK;
}

/* ---- an open link -------------------------------------------------------------------------------- */

/* Closing in order keeps the broker's log quiet; the answer is not waited for. */
static void say_goodbye(struct amqp_link *link)
{
    amqp_connection_close_t close = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_text("bye")};
    if (!link->dead && !link->blocked && amqp_link_has_room(link))
        (void)amqp_send_method(link->state, 0, AMQP_CONNECTION_CLOSE_METHOD, &close);
}

void amqp_link_close(struct amqp_link **link)
{
    if (!*link)
        return;
    say_goodbye(*link);
    (void)amqp_destroy_connection((*link)->state);
    free((*link)->message.body);
    free(*link);
    *link = NULL;
}

int amqp_link_fd(const struct amqp_link *link)
{
    return amqp_get_sockfd(link->state);
}

/* On a channel that has carried a message before, RabbitMQ 3.10 loses and reorders what it has confirmed:
 * when a stream changes its leader, it sends again what is unconfirmed by the numbers of the confirms, and
 * those are the stream's own numbers only where nothing was published before the confirms. So the channel is
 * a new one. */
enum err amqp_link_confirm(struct amqp_link *link)
{
    if (link->dead)
        return ERR_CLOSED;
    assert(!link->confirms && link->reading == READING_METHOD);
    enum err err = amqp_link_check_reply(link, "channel",
                                         amqp_channel_close(link->state, AMQP_CHANNEL, AMQP_REPLY_SUCCESS));
    if (!err)
        err = open_channel(link);
    if (err)
        return err;
    amqp_confirm_select(link->state, AMQP_CHANNEL);
    err = amqp_link_check_reply(link, "confirm", amqp_get_rpc_reply(link->state));
    link->confirms = !err;
    return err;
}

static amqp_table_entry_t stream_offset(int64_t since_s, int64_t from_offset, char text[32])
{
    if (from_offset >= 0)
        return amqp_number_entry("x-stream-offset", from_offset);
    if (since_s <= 0)
        return amqp_text_entry("x-stream-offset", "next");
    snprintf(text, 32, "%llds", (long long)since_s);
    return amqp_text_entry("x-stream-offset", text);
}

enum err amqp_link_consume(struct amqp_link *link, int64_t since_s, int64_t from_offset, int prefetch)
{
    char interval[32];
    amqp_table_entry_t entry = stream_offset(since_s, from_offset, interval);
    amqp_table_t arguments = {.num_entries = 1, .entries = &entry};

    if (link->dead)
        return ERR_CLOSED;
    amqp_basic_qos(link->state, AMQP_CHANNEL, 0, (uint16_t)prefetch, false);
    enum err err = amqp_link_check_reply(link, "prefetch", amqp_get_rpc_reply(link->state));
    if (err)
        return err;
    amqp_basic_consume(link->state, AMQP_CHANNEL, amqp_text(link->queue), amqp_empty_bytes, false, false,
                       false, arguments);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(link->state);
    if (!amqp_link_check_reply(link, "consume", reply))
        return ERR_OK;
    return amqp_closed_the_channel(&reply, AMQP_ACCESS_REFUSED) ? ERR_UNAVAILABLE : ERR_AGAIN;
}

enum err amqp_link_ack(struct amqp_link *link, uint64_t tag)
{
    if (link->dead)
        return ERR_CLOSED;
    int status = amqp_basic_ack(link->state, AMQP_CHANNEL, tag, true);
    return status == AMQP_STATUS_OK ? ERR_OK : amqp_link_fail(link, status);
}
