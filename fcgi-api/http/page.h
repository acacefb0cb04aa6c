/* SPDX-License-Identifier: MIT */
/* A list in the answer: a JSON array that handlers write item by item, and the way to the next page. */
#ifndef CARILLON_HTTP_PAGE_H
#define CARILLON_HTTP_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi-api/http/query.h"
#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"

#define PAGE_LIMIT         50
#define PAGE_LIMIT_HIGHEST 200

struct page {
    struct strbuf *out;
    size_t count;
    uint32_t last_id; /* of the last item, for handlers that go on after it */
};

struct page page_begin(struct response *response);

/* Where the next item is to be written. */
struct strbuf *page_next(struct page *page);

/* Ends the array. `position` is what else tells one state of the list from another, "" when nothing does. The
 * answer gets a weak ETag of the list, that position and the headers so far. False: the request's
 * preconditions made another answer of it, a 304 or a problem. */
bool page_end(struct page *page, struct response *response, const struct request *request,
              const char *position);

/* Link: <the same address and query, but with key=value>; rel="next" */
void page_link_next(struct response *response, const struct request *request, const struct query *query,
                    const char *key, const char *value);

#endif
