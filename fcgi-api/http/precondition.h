/* SPDX-License-Identifier: MIT */
/* Preconditions (RFC 9110, 13): If-Match and If-None-Match, in the order of 13.2.2. There are no dates to go
 * by here, so the headers that name one are ignored, as that section wants it. */
#ifndef CARILLON_HTTP_PRECONDITION_H
#define CARILLON_HTTP_PRECONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"

/* What the two headers of a change say; NULL: not given. */
struct precondition {
    const char *if_match, *if_none_match;
};

/* For a change. False: one of them is malformed, and the response says so. */
bool precondition_read(const struct request *request, struct precondition *precondition,
                       struct response *response);

/* Whether the change may go on with a task of this version; `precondition` is a struct precondition. */
bool precondition_holds(const void *precondition, uint32_t version);

/* The same of a user, whose tag is of its JSON text. */
bool precondition_holds_text(const void *precondition, const char *text, size_t length);

/* 412. */
void precondition_answer_failed(struct response *response, const struct request *request);

/* For a GET of what has this ETag: adds it. False: the request asks for a 304 or 412, which the response is
 * then. What has an ETag may be kept and must be asked about. */
bool precondition_passes_get(struct response *response, const struct request *request, const char *etag);

/* The same for an answer that is complete and has no version: its ETag is a weak one, of its body, its
 * headers so far and `more`, any text that tells one state of it from another. */
bool precondition_passes_text(struct response *response, const struct request *request, const char *more);

/* Whether the request has any. */
bool precondition_is_given(const struct request *request);

#endif
