/* Where browsers are received: takes their messages, answers, replays what a cursor's owner has missed, and
 * sends heartbeats. Sits between protocol (texts), feed (what can be promised) and hub (who hears). */
#ifndef CARILLON_RECEPTION_H
#define CARILLON_RECEPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ws-notifier/client.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/hub.h"

struct reception; /* opaque */

/* Heartbeats are sent a few at a time: call reception_beat() this often. */
#define RECEPTION_BEAT_MS            250
#define RECEPTION_BEATS(heartbeat_s) ((heartbeat_s)*1000 / RECEPTION_BEAT_MS)

struct reception *reception_new(struct feed *feed, struct hub *hub, struct metrics *metrics);
void reception_free(struct reception **reception);

/* One whole message of a browser. */
void reception_take(struct reception *reception, struct client *client, const char *text, size_t length);

/* Whether it would be answered with anything but an error. */
bool reception_understands(const char *text, size_t length);

/* Answers what is no message at all; the connection stays open. */
void reception_refuse(struct reception *reception, struct client *client, const char *why);

/* Answers those who wait, if they can be answered now. Call it whenever the feed has learnt something. */
void reception_answer_waiting(struct reception *reception);

/* The socket is gone: so are its subscriptions. */
void reception_leave(struct reception *reception, struct client *client);

void reception_beat(struct reception *reception);

#endif
