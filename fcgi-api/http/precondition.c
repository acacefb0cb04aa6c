/* SPDX-License-Identifier: MIT */
/* Evaluating preconditions. */
#include "fcgi-api/http/precondition.h"

#include <string.h>

#include "fcgi-api/http/etag.h"
#include "fcgi-api/http/problem.h"

static bool is_well_formed(const char *header)
{
    return header == NULL || etag_check(header) == ERR_OK;
}

static bool refuse_malformed(const struct request *request, const char *name, struct response *response)
{
    problem_answer(response, request, PROBLEM_BAD_REQUEST,
                   "%s must be * or a list of entity tags in quotes, such as \"3\".", name);
    return false;
}

bool precondition_read(const struct request *request, struct precondition *precondition,
                       struct response *response)
{
    *precondition = (struct precondition){request->if_match, request->if_none_match};
    if (!is_well_formed(precondition->if_match))
        return refuse_malformed(request, "If-Match", response);
    if (!is_well_formed(precondition->if_none_match))
        return refuse_malformed(request, "If-None-Match", response);
    return true;
}

static bool holds(const struct precondition *asked, const char *etag)
{
    if (asked->if_match != NULL && !etag_matches(ETAG_STRONGLY, asked->if_match, etag))
        return false;
    return asked->if_none_match == NULL || !etag_matches(ETAG_WEAKLY, asked->if_none_match, etag);
}

bool precondition_holds(const void *precondition, uint32_t version)
{
    char etag[ETAG_SIZE];
    etag_format(version, etag);
    return holds(precondition, etag);
}

bool precondition_holds_text(const void *precondition, const char *text, size_t length)
{
    char etag[ETAG_TEXT_SIZE];
    etag_format_text(text, length, etag);
    return holds(precondition, etag);
}

void precondition_answer_failed(struct response *response, const struct request *request)
{
    if (request->if_none_match == NULL)
        problem_answer(response, request, PROBLEM_STALE,
                       "If-Match names a version that is no longer there: read it again.");
    else if (request->if_match == NULL)
        problem_answer(response, request, PROBLEM_STALE, "If-None-Match names the version that is there.");
    else
        problem_answer(response, request, PROBLEM_STALE,
                       "If-Match and If-None-Match do not both allow the version that is there.");
}

bool precondition_passes_get(struct response *response, const struct request *request, const char *etag)
{
    if (!is_well_formed(request->if_match))
        return refuse_malformed(request, "If-Match", response);
    if (request->if_match != NULL && !etag_matches(ETAG_STRONGLY, request->if_match, etag)) {
        precondition_answer_failed(response, request);
        return false;
    }
    response_header(response, "ETag", etag);
    response->cache_control = "private, no-cache";
    if (request->if_none_match == NULL || !etag_matches(ETAG_WEAKLY, request->if_none_match, etag))
        return true;
    response->status = 304;
    return false;
}

bool precondition_passes_text(struct response *response, const struct request *request, const char *more)
{
    char etag[ETAG_WEAK_SIZE];
    uint64_t digest = etag_digest(0, response->body.text, response->body.length);
    digest = etag_digest(digest, response->headers.text, response->headers.length);
    etag_format_weak(etag_digest(digest, more, strlen(more)), etag);
    return precondition_passes_get(response, request, etag);
}

bool precondition_is_given(const struct request *request)
{
    return request->if_match != NULL || request->if_none_match != NULL;
}
