/* SPDX-License-Identifier: MIT */
/* What the files behind link.h share, and the only place that includes librabbitmq. Calls point down this
 * list only:
 *
 *   link.c       a connection's life: connect, log in, confirms or consumption, close
 *   life.c       whether the broker was restarted since we last looked
 *   topology.c   what stands in the broker: exchanges, queue, bindings, the mark
 *   tls.c        an encrypted socket, to a broker that proves its identity
 *   frames.c     receiving: the frame state machine behind amqp_link_poll()
 *   publish.c    sending, never more than the socket takes at once
 *   headers.c    what a message of any publisher says of itself, as struct event_meta
 *   fault.c      why a link ended, at the bottom */
#ifndef CARILLON_AMQP_INTERNAL_H
#define CARILLON_AMQP_INTERNAL_H

/* From 0.12 on the headers live in a folder and the old names warn. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#include "common/amqp/link.h"

#define AMQP_CHANNEL      1
#define AMQP_SIDE_CHANNEL 2 /* for a question whose answer may be that the channel is closed */
#define AMQP_CHANNELS     2

/* Of the exchanges that go with the queue: its name and ".known", ".life", ".markers". */
#define AMQP_NAME_SIZE (128 + sizeof ".markers")

/* Where the reader stands between two frames of our channel. */
enum amqp_reading { READING_METHOD, READING_HEADER, READING_BODY };

/* The message being put together, and then the one last handed out. Everything is copied: the
 * library's own memory is given back after every frame. */
struct amqp_message {
    struct event_meta meta;
    bool has_meta;
    uint64_t tag;
    int64_t offset;
    int64_t timestamp_s;
    int64_t complete_ms;
    char type[256];
    char message_id[256];
    char account[256];
    bool returned; /* came back by basic.return */
    enum amqp_author author;
    bool too_large; /* the body is read and dropped */
    uint64_t body_size, body_read;
    char *body; /* body_capacity bytes, kept from one message to the next */
    size_t body_capacity;
};

struct amqp_link {
    amqp_connection_state_t state;
    char exchange[128];
    char queue[128];
    char markers[AMQP_NAME_SIZE]; /* the exchange of the readers' markers */
    char mark[AMQP_NAME_SIZE];    /* that marks the queue, and takes the API's beacons */
    char name[64];
    char account[256];   /* that has logged in */
    const char *host;    /* AMQP_HOST */
    bool dead;           /* `why` is set; nothing works any more */
    bool blocked;        /* between connection.blocked and .unblocked */
    bool confirms;       /* tags are being counted */
    bool gathers;        /* between amqp_link_gather() and amqp_link_flush() */
    uint64_t tags;       /* messages published since amqp_link_confirm() */
    int64_t complete_ms; /* see amqp_link_say_complete() */
    char why[256];
    char note[256];      /* why the life could not be noted */
    char tls_fault[128]; /* what is wrong with the broker's certificate, "" when nothing is */
    enum amqp_reading reading;
    struct amqp_message message;
};

static inline amqp_bytes_t amqp_text(const char *text)
{
    return amqp_cstring_bytes(text);
}

static inline amqp_table_entry_t amqp_text_entry(const char *key, const char *text)
{
    amqp_table_entry_t entry = {.key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_UTF8}};
    entry.value.value.bytes = amqp_text(text);
    return entry;
}

static inline amqp_table_entry_t amqp_number_entry(const char *key, int64_t number)
{
    amqp_table_entry_t entry = {.key = amqp_text(key), .value = {.kind = AMQP_FIELD_KIND_I64}};
    entry.value.value.i64 = number;
    return entry;
}

/* ---- topology.c ---------------------------------------------------------------------------------- */

/* Each is one or two calls that wait for the broker. The second makes nothing. */
MUST_CHECK enum err amqp_link_declare_exchange(struct amqp_link *link);
MUST_CHECK enum err amqp_link_find_queue(struct amqp_link *link);
MUST_CHECK enum err amqp_link_declare_queue(struct amqp_link *link, const struct config *config);
/* The exchange through which markers come, bound to the queue. */
MUST_CHECK enum err amqp_link_declare_markers(struct amqp_link *link);

/* ---- tls.c --------------------------------------------------------------------------------------- */

/* The library's socket for this link, made for TLS: the broker's certificate must be of AMQP_TLS_CA and for
 * AMQP_HOST. NULL: the link is dead and says which file is to blame. */
amqp_socket_t *amqp_link_tls_socket(struct amqp_link *link, const struct config *config);
/* Says why such a socket could not be opened. */
enum err amqp_link_tls_fail(struct amqp_link *link, const struct config *config, int status);

/* ---- publish.c ----------------------------------------------------------------------------------- */

/* Whether the socket takes a whole message now, so that sending cannot wait. */
bool amqp_link_has_room(const struct amqp_link *link);

/* ---- headers.c ----------------------------------------------------------------------------------- */

/* Copies a text of the wire: cut to size, NUL-terminated. */
void amqp_copy_text(char *text, size_t size, amqp_bytes_t bytes);

struct amqp_headers {
    struct event_meta *meta; /* where to */
    bool has_meta;           /* user_id, seq and epoch are all there */
    int64_t offset;          /* x-stream-offset; -1: none */
    int64_t complete_ms;     /* -1: none */
};

/* Reads the known headers out of a table that may hold anything. Fields that are missing, of another type or
 * out of range are as if absent. */
void amqp_headers_read(const amqp_table_t *table, struct amqp_headers *headers);

/* ---- fault.c ------------------------------------------------------------------------------------- */

/* The one way a link dies: notes why (the first reason stays) and returns ERR_CLOSED. */
enum err amqp_link_die(struct amqp_link *link, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a status of the library. */
enum err amqp_link_fail(struct amqp_link *link, int status);
/* The same for the answer to a call, unless that is a good one; `doing` names the call. */
enum err amqp_link_check_reply(struct amqp_link *link, const char *doing, amqp_rpc_reply_t reply);

/* "NOT_FOUND - no queue ... (404)", or what the library says. */
void amqp_describe_reply(const amqp_rpc_reply_t *reply, char *text, size_t size);
void amqp_describe_close(amqp_method_number_t id, const void *decoded, char *text, size_t size);

/* Whether the broker has closed the channel with this code (AMQP 0-9-1, reply-code). */
bool amqp_closed_the_channel(const amqp_rpc_reply_t *reply, uint16_t code);

#endif
