/* SPDX-License-Identifier: MIT */
/* Errors as RFC 9457 `application/problem+json`, and the one place where an enum err becomes a status. */
#ifndef CARILLON_HTTP_PROBLEM_H
#define CARILLON_HTTP_PROBLEM_H

#include "common/err.h"
#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"

/* X(name, status, slug of the type, title). nginx answers some of these itself, in the same shape. */
#define PROBLEMS(X)                                                                                          \
    X(PROBLEM_BAD_REQUEST, 400, "bad-request", "The request is malformed")                                   \
    X(PROBLEM_NOT_JSON, 400, "not-json", "The body is not the JSON this call needs")                         \
    X(PROBLEM_UNAUTHENTICATED, 401, "unauthenticated", "A valid token is needed")                            \
    X(PROBLEM_FORBIDDEN, 403, "forbidden", "Forbidden")                                                      \
    X(PROBLEM_NOT_FOUND, 404, "not-found", "Not found")                                                      \
    X(PROBLEM_METHOD_NOT_ALLOWED, 405, "method-not-allowed", "Method not allowed")                           \
    X(PROBLEM_TAKEN, 409, "taken", "Another user has this value already")                                    \
    X(PROBLEM_CURSOR_GONE, 410, "cursor-gone", "The journal cannot go on from this cursor")                  \
    X(PROBLEM_STALE, 412, "stale", "A precondition does not hold")                                           \
    X(PROBLEM_PAYLOAD_TOO_LARGE, 413, "payload-too-large", "The body is too large")                          \
    X(PROBLEM_URI_TOO_LONG, 414, "uri-too-long", "The address is too long")                                  \
    X(PROBLEM_UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type", "Only JSON is understood here")         \
    X(PROBLEM_VALIDATION, 422, "validation", "Some of the values are not valid")                             \
    X(PROBLEM_IDEMPOTENCY_MISMATCH, 422, "idempotency-mismatch", "This Idempotency-Key is taken")            \
    X(PROBLEM_INTERNAL, 500, "internal", "Something went wrong on our side")                                 \
    X(PROBLEM_UNAVAILABLE, 503, "unavailable", "The service cannot answer right now")                        \
    X(PROBLEM_TIMEOUT, 503, "timeout", "The request waited too long")                                        \
    X(PROBLEM_UNCERTAIN, 504, "uncertain", "It is not known whether the request had an effect")

enum problem {
#define X(name, ...) name,
    PROBLEMS(X)
#undef X
};

/* Makes the answer this problem, whatever it was before. `detail` is for people, valid UTF-8, at most
 * about 500 bytes, and never a detail of the database. */
void problem_answer(struct response *response, const struct request *request, enum problem problem,
                    const char *detail, ...) __attribute__((format(printf, 4, 5)));

/* Adds a member of our own to a problem just made. */
void problem_add_member(struct response *response, const char *name, const char *value);

/* 403: the request names another user than the one its token is for. */
void problem_answer_forbidden(struct response *response, const struct request *request);

/* 403: the call is for administrators. */
void problem_answer_admins_only(struct response *response, const struct request *request);

/* 422 with the field errors the request has collected. */
void problem_answer_fields(struct response *response, const struct request *request);

/* 409 with the same: values that another has. */
void problem_answer_taken(struct response *response, const struct request *request);

/* The answer to a failed call that has no better words for it. */
void problem_answer_err(struct response *response, const struct request *request, enum err err);

#endif
