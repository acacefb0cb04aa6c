/* SPDX-License-Identifier: MIT */
/* One HTTP request, read once into typed fields; the rest of the worker looks at nothing else.
 *
 * The server fills it from the FastCGI parameters (an environment: "NAME=value") and the body's bytes,
 * so it can be tested without libfcgi. What cannot be read is remembered as a fault; the gates turn
 * it into an answer. One struct is used for all requests of a worker, one after the other. */
#ifndef CARILLON_HTTP_REQUEST_H
#define CARILLON_HTTP_REQUEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"
#include "common/strbuf.h"
#include "common/trace.h"
#include "fcgi-api/http/field_errors.h"
#include "fcgi-api/http/identity.h"
#include "fcgi-api/http/uri.h"

#define METHODS(X)                                                                                           \
    X(METHOD_GET, "GET")                                                                                     \
    X(METHOD_HEAD, "HEAD")                                                                                   \
    X(METHOD_POST, "POST")                                                                                   \
    X(METHOD_PATCH, "PATCH")                                                                                 \
    X(METHOD_DELETE, "DELETE")                                                                               \
    X(METHOD_OPTIONS, "OPTIONS")

enum method {
#define X(method, name) method,
    METHODS(X)
#undef X
        METHOD_OTHER
};

/* X(field, FastCGI parameter, whether a second one is a fault). nginx bounds the size of each header. */
#define REQUEST_PARAMETERS(X)                                                                                \
    X(method_text, "REQUEST_METHOD", false)                                                                  \
    X(uri, "REQUEST_URI", false)                                                                             \
    X(start_text, "REQUEST_START", false)                                                                    \
    X(server_id, "REQUEST_ID", false)                                                                        \
    X(client_id, "HTTP_X_REQUEST_ID", false)                                                                 \
    X(traceparent_text, "HTTP_TRACEPARENT", false)                                                           \
    X(content_length, "CONTENT_LENGTH", false)                                                               \
    X(content_type, "CONTENT_TYPE", false)                                                                   \
    X(content_encoding, "HTTP_CONTENT_ENCODING", false)                                                      \
    X(if_match, "HTTP_IF_MATCH", true)                                                                       \
    X(if_none_match, "HTTP_IF_NONE_MATCH", false)                                                            \
    X(prefer, "HTTP_PREFER", false)                                                                          \
    X(idempotency_key, "HTTP_IDEMPOTENCY_KEY", true)                                                         \
    X(authorization, "HTTP_AUTHORIZATION", true)                                                             \
    X(origin, "HTTP_ORIGIN", false)                                                                          \
    X(host, "HTTP_HOST", false)                                                                              \
    X(requested_method, "HTTP_ACCESS_CONTROL_REQUEST_METHOD", false)

enum request_fault {
    REQUEST_SOUND,
    REQUEST_URI_TOO_LONG,
    REQUEST_URI_MALFORMED,
    REQUEST_HEADER_TWICE, /* one that cannot be right twice */
    REQUEST_BODY_TOO_LARGE,
    REQUEST_BODY_CUT, /* shorter than announced: the client left */
};

const char *method_name(enum method method); /* not of METHOD_OTHER */

struct route;

struct request {
    /* As they came, NULL when absent; they live as long as the parameters given to request_begin(). */
#define X(field, ...) const char *field;
    REQUEST_PARAMETERS(X)
#undef X

    enum method method;
    char path[URI_MAX + 1]; /* decoded */
    size_t raw_path_length; /* of uri */
    const char *query;      /* raw, "" when none */
    char id[EVENT_REQUEST_ID_MAX + 1];
    const char *traceparent;  /* of what a write causes: the span's, else the client's; "" when none */
    struct span span;         /* the request's own, when it is traced */
    int64_t sent_at_ms;       /* wall clock when nginx passed it on; 0: not told */
    int64_t received_at_us;   /* monotonic */
    enum request_fault fault; /* the first one seen */
    struct strbuf body;       /* empty when it is too large */

    /* Set by the gates. */
    const struct route *route;
    const char *target; /* the id in the path as it came, when the route has one; of target_length bytes */
    size_t target_length;
    uint32_t target_id; /* the same as a number */
    struct identity identity;
    cJSON *json; /* the body, when the route needs one */
    struct field_errors errors;
};

/* Starts a new request from the server's parameters, a NULL-terminated array. The struct is zeroed before
 * its first use. */
void request_begin(struct request *request, char *const *parameters);

/* Reads up to `size` bytes into buffer; returns how many, fewer only at the end. */
typedef int request_body_reader(void *context, char *buffer, int size);

/* Reads the body to its end whatever happens (a kept connection would take its rest for the next request),
 * and keeps it when it has at most `most` bytes. */
void request_read_body(struct request *request, size_t most, request_body_reader *reader, void *context);

/* Frees what the request held; buffers stay for the next one. */
void request_end(struct request *request);

/* Frees the buffers too. */
void request_free(struct request *request);

int64_t request_elapsed_us(const struct request *request);

#endif
