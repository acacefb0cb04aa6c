/* SPDX-License-Identifier: MIT */
/* The protocol of each push server. A client subscribes to one user and hears that user's events. */
#ifndef CARILLON_BENCH_DIALECT_H
#define CARILLON_BENCH_DIALECT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/wsock.h"

#define PLACE_SIZE 64

struct client {
    struct wsock wsock; /* first: a wsock is turned into its client */
    uint32_t index, user;
    bool subscribed;
    bool resumes;           /* asks for the events since `place` */
    uint64_t seq;           /* the last number heard, where a dialect has numbers */
    char place[PLACE_SIZE]; /* its place in the stream, where a dialect can resume */
};

/* An event in a client's life. */
struct client_events {
    void (*subscribed)(struct client *client);
    void (*heard)(struct client *client, const char *payload, size_t length);
    void (*out_of_order)(struct client *client, uint64_t expected, uint64_t seq);
    void (*failed)(struct client *client, const char *why);
};

struct dialect {
    const char *name;
    const char *headers; /* of the upgrade request */
    void (*path)(struct client *client, char *path, size_t size);
    void (*opened)(struct client *client);
    void (*message)(struct client *client, const char *payload, size_t length);
    bool keeps_alive; /* the client must send something now and then */
};

const struct dialect *dialect_find(const char *name);

/* One for the whole program. */
void clients_use(const struct dialect *use, const struct address *to, const struct client_events *tell,
                 bool come_back);

/* `remember`: the client subscribes in a way that lets it resume. */
void client_open(struct client *client);
void client_leave(struct client *client);
void client_keep_alive(struct client *client);

/* MQTT, also for publishers. */
void mqtt_connect(struct wsock *wsock, const char *id, bool clean);
void mqtt_publish(struct wsock *wsock, const char *topic, unsigned quality, unsigned packet_id,
                  const char *payload, size_t length);
/* Visits each packet of a message: its first byte and what follows the length. */
typedef void mqtt_visit(struct wsock *wsock, unsigned char type, const unsigned char *body, size_t length);
void mqtt_read(struct wsock *wsock, const char *payload, size_t length, mqtt_visit *visit);

#endif
