/* SPDX-License-Identifier: MIT */
/* The one list of ways an operation can end. Functions that can fail return it; the place that
 * talks to the outside (response.c, protocol.c) is the only one that turns it into a status code. */
#ifndef CARILLON_ERR_H
#define CARILLON_ERR_H

#define CARILLON_ERR_LIST(X)                                                                                 \
    X(ERR_OK, "ok")                                                                                          \
    X(ERR_INVALID, "invalid")         /* the caller's input is wrong */                                      \
    X(ERR_NOT_FOUND, "not found")     /* no such row, user or route */                                       \
    X(ERR_STALE, "stale")             /* If-Match names another version */                                   \
    X(ERR_TAKEN, "taken")             /* another row has what must be unique */                              \
    X(ERR_MISMATCH, "mismatch")       /* Idempotency-Key with another request */                             \
    X(ERR_GONE, "gone")               /* the journal no longer reaches back; a token is over */              \
    X(ERR_TOO_LARGE, "too large")     /* over a configured limit */                                          \
    X(ERR_UNAVAILABLE, "unavailable") /* database or broker away: try again */                               \
    X(ERR_UNCERTAIN, "uncertain")     /* cut off on the way: it may have had its effect or not */            \
    X(ERR_AGAIN, "again")             /* nothing to read now */                                              \
    X(ERR_CLOSED, "closed")           /* the peer went away */                                               \
    X(ERR_SYSTEM, "system error")     /* errno tells */                                                      \
    X(ERR_INTERNAL, "internal error") /* a bug of ours, logged where seen */

enum err {
#define X(name, text) name,
    CARILLON_ERR_LIST(X)
#undef X
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* A short English name for logs; never NULL. */
const char *err_name(enum err err);

#endif
