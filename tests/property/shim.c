/* SPDX-License-Identifier: MIT */
/* The notifier without a network, for tests/property: a clock that moves only when set, frames and sockets
 * that Python can inspect, and a stream that delivers Python's messages. Linked with the real modules into
 * libmodel.so. */

/* The real clock under other names; its formatting stays. */
#define clock_wall_ms      real_wall_ms
#define clock_monotonic_ms real_monotonic_ms
#include "common/clock.c"
#undef clock_wall_ms
#undef clock_monotonic_ms

#include <stdlib.h>
#include <string.h>

#include "common/amqp/link.h"
#include "common/config.h"
#include "common/log.h"
#include "ws-notifier/client.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/hub.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/reception.h"

static int64_t now_ms;

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);
void shim_set_clock(int64_t ms);

int64_t clock_wall_ms(void)
{
    return now_ms;
}

int64_t clock_monotonic_ms(void)
{
    return now_ms;
}

void shim_set_clock(int64_t ms)
{
    now_ms = ms;
}

/* ---- a notifier ------------------------------------------------------------------------------------ */

struct shim {
    struct config config;
    struct metrics *metrics;
    struct client_rules rules;
    struct hub *hub;
    struct feed *feed;
    struct reception *reception;
};

struct shim *shim_new(int64_t ring_bytes, int64_t ring_age_s, int64_t hole_wait_s, size_t max_frames,
                      size_t max_bytes);
void shim_free(struct shim *shim);
struct client *shim_connect(struct shim *shim);
void shim_leave(struct shim *shim, struct client *client);
void shim_say(struct shim *shim, struct client *client, const char *text);
const char *shim_hear(struct client *client);
int shim_closing(struct client *client);
void shim_event(struct shim *shim, int64_t offset, const char *epoch, uint32_t user_id, uint64_t seq,
                int64_t created_ms, const char *body);
void shim_control(struct shim *shim, int64_t offset, const char *type, const char *epoch,
                  int64_t timestamp_s);
void shim_beat(struct shim *shim);
void shim_forget_oldest(struct shim *shim, int count);
void shim_tick(struct shim *shim);
void shim_connected(struct shim *shim, bool resumed);
void shim_disconnected(struct shim *shim);
struct hub *shim_hub(struct shim *shim);
struct frame *shim_frame(const char *text);
const char *shim_frame_text(const struct frame *frame);
uint32_t shim_frame_references(const struct frame *frame);
void shim_frame_free(struct frame *frame);

static void wake(void *socket)
{
    (void)socket;
}

struct shim *shim_new(int64_t ring_bytes, int64_t ring_age_s, int64_t hole_wait_s, size_t max_frames,
                      size_t max_bytes)
{
    struct shim *shim = calloc(1, sizeof *shim);
    if (!shim || metrics_open("", notifier_metric_defs, NOTIFIER_METRIC_COUNT, &shim->metrics) != ERR_OK)
        abort();
    log_init("model", LOG_TEXT, LOG_ERROR);
    shim->config.ring_bytes = ring_bytes;
    shim->config.ring_age_s = ring_age_s;
    shim->config.hole_wait_s = hole_wait_s;
    shim->config.stream_max_age_s = 604800;
    shim->hub = hub_new(4, 8, shim->metrics);
    shim->feed = feed_new(&shim->config, shim->hub, shim->metrics);
    shim->reception = reception_new(shim->feed, shim->hub, shim->metrics);
    shim->rules = (struct client_rules){.max_frames = max_frames,
                                        .max_bytes = max_bytes,
                                        .wake = wake,
                                        .replay = reception_replay,
                                        .context = shim->reception,
                                        .metrics = shim->metrics};
    return shim;
}

void shim_free(struct shim *shim)
{
    reception_free(&shim->reception);
    feed_free(&shim->feed);
    hub_free(&shim->hub);
    metrics_close(&shim->metrics);
    free(shim);
}

struct client *shim_connect(struct shim *shim)
{
    return client_new(&shim->rules, shim);
}

void shim_leave(struct shim *shim, struct client *client)
{
    reception_leave(shim->reception, client);
    client_free(&client);
}

void shim_say(struct shim *shim, struct client *client, const char *text)
{
    reception_take(shim->reception, client, text, strlen(text));
}

/* The next frame's text, good until the next call; NULL: none waits. */
const char *shim_hear(struct client *client)
{
    static char *last;
    struct frame *frame = client_next(client);

    free(last);
    last = frame ? strdup(frame_text(frame)) : NULL;
    frame_unref(&frame);
    return last;
}

int shim_closing(struct client *client)
{
    enum close_code code = client_closing(client);
    return code == CLOSE_NOT ? 0 : close_status(code);
}

void shim_event(struct shim *shim, int64_t offset, const char *epoch, uint32_t user_id, uint64_t seq,
                int64_t created_ms, const char *body)
{
    struct amqp_delivery delivery = {
        .offset = offset, .has_meta = true, .message_id = "", .account = "", .author = AMQP_BY_API};

    strcpy(delivery.meta.epoch, epoch);
    delivery.meta.user_id = user_id;
    delivery.meta.seq = seq;
    delivery.meta.created_at_ms = created_ms;
    strcpy(delivery.meta.type, "task.updated");
    delivery.type = delivery.meta.type;
    delivery.timestamp_s = created_ms / 1000;
    delivery.body = body;
    delivery.body_length = strlen(body);
    feed_take(shim->feed, &delivery);
    reception_answer_waiting(shim->reception);
}

/* A marker (epoch "") or a beacon. */
void shim_control(struct shim *shim, int64_t offset, const char *type, const char *epoch, int64_t timestamp_s)
{
    struct amqp_delivery delivery = {
        .offset = offset, .type = type, .message_id = "", .account = "", .body = ""};

    strcpy(delivery.meta.epoch, epoch);
    delivery.author = strcmp(type, EVENT_MARKER_TYPE) == 0 ? AMQP_BY_NOTIFIER : AMQP_BY_API;
    delivery.timestamp_s = timestamp_s;
    feed_take(shim->feed, &delivery);
    if (strcmp(type, EVENT_MARKER_TYPE) == 0)
        feed_caught_up(shim->feed, timestamp_s);
    reception_answer_waiting(shim->reception);
}

void shim_beat(struct shim *shim)
{
    reception_beat(shim->reception);
}

void shim_forget_oldest(struct shim *shim, int count)
{
    while (count-- > 0 && feed_forget_oldest(shim->feed))
        ;
}

void shim_tick(struct shim *shim)
{
    feed_tick(shim->feed);
}

void shim_connected(struct shim *shim, bool resumed)
{
    feed_connected(shim->feed, resumed);
}

void shim_disconnected(struct shim *shim)
{
    feed_disconnected(shim->feed);
}

struct hub *shim_hub(struct shim *shim)
{
    return shim->hub;
}

/* ---- frames ---------------------------------------------------------------------------------------- */

struct frame *shim_frame(const char *text)
{
    return frame_new(text, strlen(text));
}

const char *shim_frame_text(const struct frame *frame)
{
    return frame_text(frame);
}

uint32_t shim_frame_references(const struct frame *frame)
{
    return frame->references;
}

void shim_frame_free(struct frame *frame)
{
    frame_unref(&frame);
}
