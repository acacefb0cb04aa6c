/* SPDX-License-Identifier: MIT */
/* Dispatching a request. */
#include "fcgi-api/http/dispatch.h"

#include "common/log.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/http/cors.h"
#include "fcgi-api/http/gates.h"
#include "fcgi-api/http/router.h"

#define LOGGED_URI 200 /* bytes of an address in a log line */

static void count(const struct http_service *service, int status, int64_t elapsed_us)
{
    size_t counter = API_REQUESTS_5XX;
    if (status < 300)
        counter = API_REQUESTS_2XX;
    else if (status < 400)
        counter = API_REQUESTS_3XX;
    else if (status < 500)
        counter = API_REQUESTS_4XX;
    metrics_add(service->metrics, counter, 1);
    metrics_observe_us(service->metrics, API_REQUEST_SECONDS, elapsed_us);
}

/* Successful requests are counted and logged for debugging only; refused ones are logged for information,
 * failed ones as errors. */
static enum log_level level_of(int status)
{
    if (status < 400)
        return LOG_DEBUG;
    if (status < 500)
        return LOG_INFO;
    return status == 503 ? LOG_WARN : LOG_ERROR;
}

static void log_answer(const struct request *request, const struct response *response, int64_t elapsed_us)
{
    enum log_level level = level_of(response->status);
    if (!log_enabled(level))
        return;
    log_line(level, "%.32s %.*s answered with %d%s%s in %.1f ms", request->method_text, LOGGED_URI,
             request->uri, response->status, response->problem != NULL ? " " : "",
             response->problem != NULL ? response->problem : "", (double)elapsed_us / 1000);
}

/* A request without a traceparent begins a trace, so that each is traced while traces are on. */
static void begin_span(struct request *request)
{
    bool begins = trace_is_on() && request->traceparent[0] == '\0';
    if (!begins && !trace_wants(request->traceparent))
        return;
    span_begin(&request->span, request->traceparent, request_elapsed_us(request));
    request->traceparent = request->span.traceparent;
}

/* A request's address may hold secrets, and its method any text, so the line has the route's pattern and a
 * method that is known. Probes and scrapes without a traceparent get no line: they would fill the log. */
static void end_span(const struct request *request, int status)
{
    const struct span *span = &request->span;
    const struct route *route = request->route;
    struct log_field fields[3] = {{"status", NULL, status}};
    size_t count = 1;

    if (span->traceparent[0] == '\0')
        return;
    if (route != NULL && (route->needs & IGNORES_QUERY) != 0 && span->parent_id[0] == '\0')
        return;
    if (request->method != METHOD_OTHER)
        fields[count++] = (struct log_field){"method", method_name(request->method), 0};
    if (route != NULL)
        fields[count++] = (struct log_field){"route", route->pattern, 0};
    span_end(span, "api", fields, count);
}

void dispatch(const struct http_service *service, struct app *app, struct request *request,
              struct response *response)
{
    log_set_request_id(request->id);
    begin_span(request);
    response_begin(response);
    if (gates_pass(service, request, response))
        request->route->handle(app, request, response);
    response_header(response, "X-Request-Id", request->id);
    cors_allow(service, request, response);

    int64_t elapsed_us = request_elapsed_us(request);
    count(service, response->status, elapsed_us);
    log_answer(request, response, elapsed_us);
    end_span(request, response->status);
    log_set_request_id(NULL);
}
