/* SPDX-License-Identifier: MIT */
/* The user that a socket speaks for, and the users it may hear. One socket has one identity: that of its
 * first token. A fresh token of the same user replaces the one before; a token of another user is refused. It
 * may hear that user and the groups that the token lists. */
#ifndef CARILLON_ADMISSION_H
#define CARILLON_ADMISSION_H

#include <stdint.h>

#include "common/token.h"
#include "ws-notifier/client.h"

/* The time that a socket has to send its token. */
#define ADMISSION_PATIENCE_MS 10000

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_TOKEN_MISSING,
    ADMISSION_TOKEN_INVALID,
    ADMISSION_TOKEN_EXPIRED,
    ADMISSION_FORBIDDEN
};

/* Puts a token into the identity. When it is not granted, the identity stays as it was and *why is a
 * static sentence for the client's author, without subject. */
enum admission admission_take(const struct token_keys *keys, struct client_identity *identity,
                              const char *token, int64_t now_ms, const char **why);

/* Back to no identity: frees what it holds. */
void admission_forget(struct client_identity *identity);

/* Whether the identity, or the lack of one, lets it hear this user. */
enum admission admission_to_hear(const struct client_identity *identity, uint32_t user_id, int64_t now_ms,
                                 const char **why);

#endif
