/* SPDX-License-Identifier: MIT */
/* Cross-origin resource sharing. Tokens travel in a header and never in a cookie, so there are no credentials
 * to allow. Without a list no header is sent, and browsers keep other pages out. */
#include "fcgi-api/http/cors.h"

#include <stdio.h>
#include <string.h>

#include "common/origin.h"
#include "fcgi-api/http/router.h"

#define OWN_HEADERS                                                                                          \
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, traceparent, "           \
    "X-Request-Id"
#define EXPOSED_HEADERS                                                                                      \
    "Accept-Patch, Allow, ETag, Event-Cursor, Idempotency-Replayed, Link, Location, Preference-Applied, "    \
    "Retry-After, WWW-Authenticate, X-Request-Id, X-Total-Count"
#define REMEMBERED_S "600" /* a browser asks again after */

/* The characters of a token (RFC 9110, 5.6.2), which a header's name is. */
static const char name_characters[] = "!#$%&'*+-.^_`|~0123456789"
                                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* The next name of a list; its length is 0 at the end, and where there is none. */
static const char *next_name(const char *list, size_t *length)
{
    list += strspn(list, ", ");
    *length = strspn(list, name_characters);
    return list;
}

enum err cors_check(const struct config *config, char *why, size_t size)
{
    size_t length;
    const char *name = next_name(config->allowed_headers, &length);
    while (length > 0)
        name = next_name(name + length, &length);
    if (*name == '\0')
        return ERR_OK;
    snprintf(why, size, "ALLOWED_HEADERS: no header has a name such as \"%.32s\"", name);
    return ERR_INVALID;
}

static void add_allowed_headers(const struct http_service *service, struct response *response)
{
    struct strbuf names = {0};
    size_t length;
    const char *more = service->config->allowed_headers;

    strbuf_add_text(&names, OWN_HEADERS);
    const char *name = next_name(more != NULL ? more : "", &length);
    for (; length > 0; name = next_name(name + length, &length))
        strbuf_printf(&names, ", %.*s", (int)length, name);
    response_header(response, "Access-Control-Allow-Headers", names.text);
    strbuf_free(&names);
}

static void allow_call(const struct http_service *service, const struct request *request,
                       struct response *response)
{
    struct strbuf methods = {0};
    router_add_allowed(&service->calls, request->path, &methods);
    response_header(response, "Access-Control-Allow-Methods", methods.text);
    add_allowed_headers(service, response);
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
