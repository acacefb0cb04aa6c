/* SPDX-License-Identifier: MIT */
/* Writes events straight into the stream, or reads them, without API and database: measures how fast the
 * notifier can be fed, and how fast a reader that does nothing else reads.
 *
 *   pump write EVENTS RATE USERS USER_BASE EPOCH   RATE 0: as fast as the broker takes them
 *   pump read  EVENTS                              from the stream's beginning
 *
 * Environment: AMQP_HOST AMQP_PORT AMQP_USER AMQP_PASSWORD AMQP_QUEUE. Prints one JSON object. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CREDIT    2000
#define SILENCE_S 5
#define STEP_NS   2000000LL /* a rate is kept in steps this long */
#define NS_PER_S  1000000000LL
#define BODY_SIZE 700

static amqp_connection_state_t link_;

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "pump: %s\n", why);
    exit(1);
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        fail("AMQP_HOST, AMQP_PORT, AMQP_USER and AMQP_PASSWORD say where");
    return value;
}

static void check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        fail(what);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void open_link(void)
{
    link_ = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(link_);
    if (amqp_socket_open(socket, setting("AMQP_HOST"), atoi(setting("AMQP_PORT"))))
        fail("cannot connect");
    check(amqp_login(link_, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, setting("AMQP_USER"),
                     setting("AMQP_PASSWORD")),
          "cannot log in");
    amqp_channel_open(link_, 1);
    check(amqp_get_rpc_reply(link_), "no channel");
}

static void print_result(long events, int64_t took_ns)
{
    double seconds = (double)took_ns / 1e9;
    printf("{\"events\":%ld,\"seconds\":%.4f,\"per_second\":%.1f}\n", events, seconds,
           (double)events / seconds);
}

/* ---- write --------------------------------------------------------------------------------------- */

static void publish(unsigned user, long seq, const char *epoch)
{
    char body[BODY_SIZE], id[64], exchange[256];
    amqp_table_entry_t headers[3] = {
        {amqp_cstring_bytes("user_id"), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = user}},
        {amqp_cstring_bytes("seq"), {.kind = AMQP_FIELD_KIND_I64, .value.i64 = seq}},
        {amqp_cstring_bytes("epoch"),
         {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(epoch)}},
    };
    int length = snprintf(
        body, sizeof body,
        "{\"type\":\"notification\",\"event\":\"task.completed\",\"cursor\":\"%s:%ld\",\"message\":\"task %u "
        "has been completed at Fri Feb 02 2024 20:55:23 GMT+0000 (Coordinated Universal Time)\","
        "\"task\":{\"id\":%u,\"user_id\":%u,\"status\":1,\"content\":\"Acheter du pain\","
        "\"createdAt\":\"2024-01-02T17:00:00.000Z\",\"completedAt\":\"2024-02-02T20:54:23.000Z\"}}",
        epoch, seq, user, user, user);
    snprintf(id, sizeof id, "%s:%u:%ld", epoch, user, seq);
    /* The exchange of the API alone: from any other the notifier would not accept it as the API's. */
    snprintf(exchange, sizeof exchange, "%s.known", setting("AMQP_QUEUE"));
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = 2,
        .type = amqp_cstring_bytes("task.completed"),
        .message_id = amqp_cstring_bytes(id),
        .timestamp = (uint64_t)time(NULL),
        .headers = {.num_entries = 3, .entries = headers},
    };
    amqp_bytes_t bytes = {.len = (size_t)length, .bytes = body};
    if (amqp_basic_publish(link_, 1, amqp_cstring_bytes(exchange), amqp_empty_bytes, 0, 0, &properties,
                           bytes))
        fail("cannot publish");
}

static void write_events(long events, double rate, unsigned users, unsigned user_base, const char *epoch)
{
    int64_t begin = now_ns();
    for (long n = 0; n < events; n++) {
        int64_t due = rate > 0 ? begin + (int64_t)((double)n / rate * 1e9) : 0;
        if (due > now_ns() + STEP_NS)
            nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
        publish(user_base + (unsigned)(n % users), 1 + n / users, epoch);
    }
    print_result(events, now_ns() - begin);
}

/* ---- read ---------------------------------------------------------------------------------------- */

static void subscribe(void)
{
    amqp_table_entry_t arguments[1] = {
        {amqp_cstring_bytes("x-stream-offset"),
         {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("first")}}};
    amqp_table_t table = {.num_entries = 1, .entries = arguments};
    amqp_basic_qos(link_, 1, 0, CREDIT, 0);
    amqp_basic_consume(link_, 1, amqp_cstring_bytes(getenv("AMQP_QUEUE")), amqp_empty_bytes, 0, 0, 0, table);
    check(amqp_get_rpc_reply(link_), "cannot consume");
}

static void read_events(long events)
{
    int64_t begin = now_ns(), last = begin;
    long got = 0, bytes = 0;
    subscribe();
    while (got < events) {
        amqp_envelope_t envelope;
        amqp_rpc_reply_t reply =
            amqp_consume_message(link_, &envelope, &(struct timeval){.tv_sec = SILENCE_S}, 0);
        if (reply.reply_type != AMQP_RESPONSE_NORMAL)
            break;
        bytes += (long)envelope.message.body.len;
        if (++got % (CREDIT / 2) == 0)
            amqp_basic_ack(link_, 1, envelope.delivery_tag, 1);
        amqp_destroy_envelope(&envelope);
        amqp_maybe_release_buffers(link_);
        last = now_ns();
    }
    if (bytes == 0)
        fail("the stream is empty");
    print_result(got, last - begin);
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "write") == 0) {
        open_link();
        write_events(atol(argv[2]), atof(argv[3]), (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]), argv[6]);
    } else if (argc == 3 && strcmp(argv[1], "read") == 0) {
        open_link();
        read_events(atol(argv[2]));
    } else {
        fail("usage: pump write EVENTS RATE USERS USER_BASE EPOCH | pump read EVENTS");
    }
    check(amqp_connection_close(link_, AMQP_REPLY_SUCCESS),
          "cannot close"); /* after all messages are in the stream */
    amqp_destroy_connection(link_);
    return 0;
}
