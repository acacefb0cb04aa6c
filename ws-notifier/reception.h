/* SPDX-License-Identifier: MIT */
/* Answers browsers: takes their messages, replays what the owner of a cursor has missed, and sends
 * heartbeats. Stands between protocol (texts), feed (what can be promised) and hub (which socket hears which
 * user). */
#ifndef CARILLON_RECEPTION_H
#define CARILLON_RECEPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ws-notifier/admission.h"
#include "ws-notifier/client.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/hub.h"

struct reception; /* opaque */

/* Heartbeats are sent a few at a time: call reception_beat() this often. */
#define RECEPTION_BEAT_MS            250
#define RECEPTION_BEATS(heartbeat_s) (1000 * (heartbeat_s) / RECEPTION_BEAT_MS)

struct reception *reception_new(struct feed *feed, struct hub *hub, struct metrics *metrics);
void reception_free(struct reception **reception);

/* From now on every client needs a token that these keys verify. They must outlive the reception; NULL: the
 * service is open, as it is to begin with. */
void reception_use_keys(struct reception *reception, const struct token_keys *keys);
/* From now on these limits hold for each user. They must outlive the reception; NULL: no limits.
 */
void reception_use_quota(struct reception *reception, struct quota *quota);
bool reception_is_open(const struct reception *reception);

/* What the API says of ended sessions, in its beacon. When that is news, `ended` is called: now
 * reception_check() closes those whose session it was. */
void reception_take_word(struct reception *reception, const char *body, size_t length);
void reception_on_end(struct reception *reception, void (*ended)(void *context), void *context);

/* A client has come; `authorization` is that header's value, NULL when it sent none. A client without a token
 * may send it with its first message, within some seconds. */
void reception_welcome(struct reception *reception, struct client *client, const char *authorization);

/* Whether a client with this header could hear that user, for clients that are answered over HTTP. When not,
 * *why is a static text that follows "the token ". */
enum admission reception_judge(const struct reception *reception, const char *authorization, uint32_t user_id,
                               const char **why);

/* Closes the client when its token has expired. Call it now and then. */
void reception_check(const struct reception *reception, struct client *client);

/* One whole message of a browser. */
void reception_take(struct reception *reception, struct client *client, const char *text, size_t length);

/* Whether it would be answered with anything but an error. */
bool reception_understands(const char *text, size_t length);

/* Answers what is no message at all; the connection stays open. */
void reception_refuse(struct reception *reception, struct client *client, const char *why);

/* Answers waiting clients, if they can be answered now. Call it whenever the feed's state has changed. */
void reception_answer_waiting(struct reception *reception);

/* For client_rules.replay, with the reception as its context. */
bool reception_replay(void *context, struct subscription *subscription, struct frame **frame);

/* The socket is gone: so are its subscriptions. */
void reception_leave(struct reception *reception, struct client *client);

void reception_beat(struct reception *reception);

#endif
