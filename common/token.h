/* SPDX-License-Identifier: MIT */
/* Bearer tokens: who is asking. A compact JWT is taken apart and judged here, for the API's header and the
 * notifier's messages alike. The only file that knows libjwt, which is asked for one thing: whether the
 * signature is that of the key. Everything else is checked here, strictly (TOKEN_FAULTS).
 *
 * Keys: HS256 with a shared secret (JWT_SECRET), RS256, ES256 or EdDSA with a public key
 * (JWT_PUBLIC_KEY_FILE); up to two at a time, told apart by `kid`, so that one can replace the other while
 * tokens of both are in use. Beside them a file of keys that changes by itself (JWT_JWKS_FILE, jwks_file.h).
 */
#ifndef CARILLON_TOKEN_H
#define CARILLON_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/err.h"
#include "common/grant.h"

#define TOKEN_MAX          6144 /* bytes; the header of a request may have 8192 */
#define TOKEN_ADMIN_SCOPE  "tasks:admin"
#define TOKEN_EVENTS_SCOPE "events:write"

/* X(name, what is said about it, after "the token "). */
#define TOKEN_FAULTS(X)                                                                                      \
    X(TOKEN_TOO_LONG, "is too long")                                                                         \
    X(TOKEN_MALFORMED, "is not a compact JWT")                                                               \
    X(TOKEN_ALGORITHM, "is signed with an algorithm that is not taken here")                                 \
    X(TOKEN_CRITICAL, "has a critical header parameter that is not known here")                              \
    X(TOKEN_UNKNOWN_KEY, "is signed with a key that is not known here")                                      \
    X(TOKEN_SIGNATURE, "has a wrong signature")                                                              \
    X(TOKEN_EXP, "has no valid \"exp\"")                                                                     \
    X(TOKEN_EXPIRED, "has expired")                                                                          \
    X(TOKEN_IAT, "has no valid \"iat\"")                                                                     \
    X(TOKEN_LIFE, "lives longer than JWT_MAX_LIFE_S allows")                                                 \
    X(TOKEN_NBF, "has no valid \"nbf\"")                                                                     \
    X(TOKEN_TOO_EARLY, "is not valid yet")                                                                   \
    X(TOKEN_AUDIENCE, "is meant for another audience")                                                       \
    X(TOKEN_ISSUER, "is from another issuer")                                                                \
    X(TOKEN_SUBJECT, "has no claim with the id of a user")                                                   \
    X(TOKEN_GROUPS, "has groups that are no list of ids of users")                                           \
    X(TOKEN_SCOPE, "has a \"scope\" that is no string")

/* After "the token ": faults that the token alone does not show. */
#define TOKEN_SESSION_ENDED "is of a session that was ended"

struct token_keys; /* opaque; any thread may verify with them */

struct token {
    struct grant grant;
    bool writes_events;    /* may make events of other programs, of any user */
    int64_t issued_s;      /* `iat`; -1: it has none */
    int64_t valid_until_s; /* `exp` and the leeway: from this second of the wall clock on it is void */
};

/* The keys the settings name; *keys is NULL when they name none: the service is open. ERR_INVALID: `why` is
 * one line that names the variable. The keys refer to *config, which must live as long. */
MUST_CHECK enum err token_keys_new(const struct config *config, struct token_keys **keys, char *why,
                                   size_t size);
void token_keys_free(struct token_keys **keys);

/* ERR_GONE: it was valid once and has expired. ERR_INVALID: anything else is wrong. *why is a static text
 * from the list above, or one of the keys': it lives as long as they do. */
MUST_CHECK enum err token_verify(const struct token_keys *keys, const char *text, int64_t now_s,
                                 struct token *token, const char **why);

/* The token in an Authorization header's value ("Bearer ..."); NULL when it holds none. */
const char *token_in_header(const char *authorization);

#endif
