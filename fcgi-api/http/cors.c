/* Cross-origin resource sharing. Tokens travel in a header and never in a cookie, so there are no credentials
 * to allow; without a list nothing is said, and browsers keep other pages out. */
#include "fcgi-api/http/cors.h"

#include "common/origin.h"
#include "fcgi-api/http/router.h"

#define ALLOWED_HEADERS                                                                                      \
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, traceparent, X-Request-Id"
#define EXPOSED_HEADERS                                                                                      \
    "ETag, Event-Cursor, Idempotency-Replayed, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id"
#define REMEMBERED_S "600" /* a browser asks again after */

static void allow_call(const struct http_service *service, const struct request *request,
                       struct response *response)
{
    struct strbuf methods = {0};
    router_add_allowed(&service->calls, request->path, &methods);
    response_header(response, "Access-Control-Allow-Methods", methods.text);
    response_header(response, "Access-Control-Allow-Headers", ALLOWED_HEADERS);
    response_header(response, "Access-Control-Max-Age", REMEMBERED_S);
    strbuf_free(&methods);
}

void cors_allow(const struct http_service *service, const struct request *request, struct response *response)
{
    const char *list = service->config->allowed_origins;
    if (list == NULL || list[0] == '\0')
        return;
    response_header(response, "Vary", "Origin");
    if (request->origin == NULL || !origin_listed(list, request->origin))
        return;
    /* It equals a word of our list, or anything goes. */
    response_header(response, "Access-Control-Allow-Origin",
                    origin_listed(list, "*") ? "*" : request->origin);
    response_header(response, "Access-Control-Expose-Headers", EXPOSED_HEADERS);
    if (request->method == METHOD_OPTIONS && request->requested_method != NULL)
        allow_call(service, request, response);
}
