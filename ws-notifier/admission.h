/* SPDX-License-Identifier: MIT */
/* Whom a socket speaks for, and whom it may hear. One socket has one identity: that of its first token. A
 * fresh token of the same user takes the place of the one before; one of another user does not belong there.
 * It may hear that user and the groups that the token lists. */
#ifndef CARILLON_ADMISSION_H
#define CARILLON_ADMISSION_H

#include <stdint.h>

#include "common/token.h"
#include "ws-notifier/client.h"

/* A socket has so long to say who it is. */
#define ADMISSION_PATIENCE_MS 10000

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_TOKEN_MISSING,
    ADMISSION_TOKEN_INVALID,
    ADMISSION_TOKEN_EXPIRED,
    ADMISSION_FORBIDDEN
};

/* Takes a token over into the identity. When it is not granted, the identity stays as it was and *why is a
 * static sentence for the client's author, without subject. */
enum admission admission_take(const struct token_keys *keys, struct client_identity *identity,
                              const char *token, int64_t now_ms, const char **why);

/* Back to nobody: frees what it holds. */
void admission_forget(struct client_identity *identity);

/* Whether the identity, or the lack of one, lets it hear this user. */
enum admission admission_to_hear(const struct client_identity *identity, uint32_t user_id, int64_t now_ms,
                                 const char **why);

#endif
