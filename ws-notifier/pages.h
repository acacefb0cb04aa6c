/* SPDX-License-Identifier: MIT */
/* What the notifier answers over plain HTTP: whether it is alive, whether it is ready, its metrics, and
 * otherwise that this address wants a WebSocket. */
#ifndef CARILLON_PAGES_H
#define CARILLON_PAGES_H

#include <stdbool.h>

#include "common/metrics.h"
#include "common/strbuf.h"
#include "ws-notifier/feed.h"

struct page {
    int status;
    const char *content_type; /* static */
    bool bearer;              /* say which proof is wanted */
    bool upgrade;             /* say with which protocol to come back, and with which version of it */
    int retry_after_s;        /* say when to come back; 0: nothing */
    struct strbuf body;       /* the caller frees it */
};

/* What an error says of the request. */
struct page_request {
    const char *path; /* as it came, without the query */
    const char *id;   /* ASCII */
};

/* X(name, status, slug of the type, title). A type means the same wherever it comes from: those that the API
 * has, too (fcgi-api/http/problem.h), have its titles. */
#define PAGE_PROBLEMS(X)                                                                                     \
    X(PAGE_BAD_REQUEST, 400, "bad-request", "The request is malformed")                                      \
    X(PAGE_UNAUTHENTICATED, 401, "unauthenticated", "A valid token is needed")                               \
    X(PAGE_FORBIDDEN, 403, "forbidden", "Forbidden")                                                         \
    X(PAGE_NOT_FOUND, 404, "not-found", "Not found")                                                         \
    X(PAGE_VALIDATION, 422, "validation", "Some of the values are not valid")                                \
    X(PAGE_UPGRADE_REQUIRED, 426, "upgrade-required", "Upgrade required")                                    \
    X(PAGE_TOO_MANY_REQUESTS, 429, "too-many-requests", "Too many requests")                                 \
    X(PAGE_UNAVAILABLE, 503, "unavailable", "The service cannot answer right now")

enum page_problem {
#define X(name, ...) name,
    PAGE_PROBLEMS(X)
#undef X
};

/* Makes the page for the request's path. */
void page_make(struct page *page, const struct page_request *request, const struct feed *feed,
               const struct metrics *metrics);

/* An error as the API makes them (RFC 9457). `detail` is a whole sentence; `errors` the members of a list,
 * {"field":...,"message":...},..., or NULL for none. */
void page_problem(struct page *page, enum page_problem problem, const struct page_request *request,
                  const char *detail, const char *errors);

#endif
