/* SPDX-License-Identifier: MIT */
/* One HTTP answer in the making: a status, headers and a body, written out as CGI has it.
 * Used again and again; its buffers keep their memory. */
#ifndef CARILLON_HTTP_RESPONSE_H
#define CARILLON_HTTP_RESPONSE_H

#include <stdbool.h>

#include "common/strbuf.h"

struct response {
    int status;
    const char *content_type;  /* static; of the body, when there is one */
    const char *cache_control; /* static; NULL: none */
    const char *problem;       /* slug of the problem it tells of, NULL when none; for the log */
    struct strbuf headers;     /* further ones, each with its line end */
    struct strbuf body;
};

/* An empty 200 with JSON to come, not to be stored by any cache. */
void response_begin(struct response *response);

/* Adds a header. Both texts are ours or checked: they hold no control character (asserted). */
void response_header(struct response *response, const char *name, const char *value);

/* Writes the whole answer: to a HEAD, and with a 204 or 304, without the body. */
void response_render(const struct response *response, bool head, struct strbuf *out);

void response_free(struct response *response);

#endif
