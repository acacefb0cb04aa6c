/* SPDX-License-Identifier: MIT */
/* Messages from and to browsers: JSON in, a typed message out; facts in, JSON out. docs/protocol.md describes
 * the same. */
#ifndef CARILLON_PROTOCOL_H
#define CARILLON_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"
#include "common/strbuf.h"

enum protocol_kind { PROTOCOL_SUBSCRIBE, PROTOCOL_UNSUBSCRIBE, PROTOCOL_PING };
enum protocol_since { SINCE_ABSENT, SINCE_NULL, SINCE_CURSOR };

struct protocol_message {
    enum protocol_kind kind;
    uint32_t user_id; /* 0 in a ping */
    enum protocol_since since_kind;
    struct cursor since; /* SINCE_CURSOR */
    char *text;          /* the object as it came, compact, without its token: for the log and the echo */
    char *token;         /* NULL: none */
};

#define PROTOCOL_WHY_SIZE 160
#define PROTOCOL_PONG     "{\"type\":\"pong\"}" /* the answer to a ping */

/* ERR_INVALID: `why` says what is wrong, for the browser's author. */
MUST_CHECK enum err protocol_parse(const char *text, size_t length, struct protocol_message *message,
                                   char why[PROTOCOL_WHY_SIZE]);
void protocol_clear(struct protocol_message *message);

/* Each appends one object to `out`. */
void protocol_error(struct strbuf *out, const char *code, const char *message);
void protocol_heartbeat(struct strbuf *out, uint32_t user_id, const struct cursor *cursor);
void protocol_reset(struct strbuf *out, uint32_t user_id, const struct cursor *cursor, const char *reason);
/* `reason` NULL: recovered. `cursor` is where the client is, before any replay; `until` where the replay of
 * `replayed` events ends. */
void protocol_subscribed(struct strbuf *out, uint32_t user_id, const struct cursor *cursor, size_t replayed,
                         const struct cursor *until, const char *reason);

/* A message of another program, {"message":"...","task":{...,"user_id":1}}, as a notification.
 * ERR_INVALID: it is none; *why is a static text. */
MUST_CHECK enum err protocol_adopt(const char *body, size_t length, uint32_t *user_id, struct strbuf *out,
                                   const char **why);

#endif
