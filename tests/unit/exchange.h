/* SPDX-License-Identifier: MIT */
/* One request and its answer, through gates and handlers, with the store of store_to_order.h. For one test's
 * main file: a request is sent, and the answer is searched, to the byte. */
#ifndef CARILLON_TESTS_EXCHANGE_H
#define CARILLON_TESTS_EXCHANGE_H

#include "tests/unit/store_to_order.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/http/dispatch.h"
#include "fcgi-api/publisher/health.h"

static const struct config usual_config = {
    .max_body_bytes = 65536, .request_max_age_ms = 10000, .db_timeout_ms = 1500};
static struct http_service service = {.config = &usual_config};
static struct app app = {.service = &service};
static struct request request;
static struct response response;
static struct strbuf wire;

static inline int give_text(void *context, char *buffer, int size)
{
    const char **text = context;
    size_t length = strlen(*text);
    if (length > (size_t)size)
        length = (size_t)size;
    memcpy(buffer, *text, length);
    *text += length;
    return (int)length;
}

/* Sends a request and returns the status; the whole answer is in wire. A header may be NULL. */
static inline int send_with_two(const char *method, const char *uri, const char *body, const char *header,
                                const char *other)
{
    char method_entry[64], uri_entry[URI_MAX + 64];
    snprintf(method_entry, sizeof method_entry, "REQUEST_METHOD=%s", method);
    snprintf(uri_entry, sizeof uri_entry, "REQUEST_URI=%s", uri);
    const char *parameters[] = {method_entry,
                                uri_entry,
                                "REQUEST_ID=test-1",
                                header != NULL ? header : other,
                                header != NULL ? other : NULL,
                                NULL};

    request_begin(&request, (char *const *)parameters);
    request_read_body(&request, 65536, give_text, &body);
    dispatch(&service, &app, &request, &response);
    strbuf_clear(&wire);
    response_render(&response, request.method == METHOD_HEAD, &wire);
    request_end(&request);
    return response.status;
}

static inline int send_with(const char *method, const char *uri, const char *body, const char *header)
{
    return send_with_two(method, uri, body, header, NULL);
}

static inline int send(const char *method, const char *uri, const char *body)
{
    return send_with(method, uri, body, NULL);
}

static inline bool has(const char *text)
{
    return strstr(wire.text, text) != NULL;
}

static inline const char *body_text(void)
{
    return strstr(wire.text, "\r\n\r\n") + 4;
}

/* The value of the answer's ETag header, as a FastCGI parameter. */
static inline const char *etag_of_answer(const char *parameter)
{
    static char text[64];
    const char *etag = strstr(wire.text, "\r\nETag: ");
    assert_non_null(etag);
    etag += strlen("\r\nETag: ");
    snprintf(text, sizeof text, "%s=%.*s", parameter, (int)strcspn(etag, "\r"), etag);
    return text;
}

static inline int reset(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    health_connected(service.metrics, true, clock_monotonic_ms());
    health_blocked(service.metrics, false);
    metrics_set(service.metrics, API_DB_REFUSED_MS, 0);
    metrics_set(service.metrics, API_OUTBOX_OLDEST_MS, 0);
    return 0;
}

static inline int exchange_set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR + 1);
    service.calls = api_calls;
    return metrics_open("", api_metric_defs, API_METRIC_COUNT, &service.metrics) == ERR_OK ? 0 : -1;
}

static inline int exchange_tear_down(void **state)
{
    (void)state;
    request_free(&request);
    response_free(&response);
    strbuf_free(&wire);
    metrics_close(&service.metrics);
    return 0;
}

#endif
