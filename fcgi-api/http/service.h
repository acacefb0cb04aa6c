/* SPDX-License-Identifier: MIT */
/* What the files of http/ get from the program around them: its settings, its counters, the keys for tokens,
 * and its calls. Made once by main(), shared by all threads, read only. */
#ifndef CARILLON_HTTP_SERVICE_H
#define CARILLON_HTTP_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/metrics.h"
#include "common/token.h"

struct app; /* what the handlers of one thread work with: handed through, unknown here */
struct route;

struct route_table {
    const struct route *routes;
    size_t count;
};

struct http_service {
    const struct config *config;
    struct metrics *metrics;
    struct token_keys *token_keys; /* NULL: the service is open */
    struct route_table calls;
    /* Whether a token's session was ended since (api/sessions.h, which has the errors); NULL: none is. */
    enum err (*session_is_over)(void *sessions, uint32_t user_id, int64_t issued_s, bool *over);
    void *sessions;
};

#endif
