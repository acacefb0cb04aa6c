/* SPDX-License-Identifier: MIT */
/* The gates, in the order a request passes them. */
#include "fcgi-api/http/gates.h"

#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/json_fault.h"
#include "common/origin.h"
#include "common/token.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/http/media_type.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/http/query.h"
#include "fcgi-api/http/router.h"

#define SHOWN_OF_BODY 16 /* bytes of it in a message */

typedef bool gate(const struct http_service *service, struct request *request, struct response *response);

/* nginx gives up on a request after REQUEST_MAX_AGE_MS but cannot take it back: done then, it would be a
 * change after the client was told 504. So one is begun only while there is time for the database, too. */
static int64_t longest_wait_ms(const struct config *config)
{
    int64_t rest_ms = config->request_max_age_ms - config->db_timeout_ms;
    int64_t half_ms = config->request_max_age_ms / 2;
    return rest_ms > half_ms ? rest_ms : half_ms;
}

static bool is_fresh(const struct http_service *service, struct request *request, struct response *response)
{
    if (request->sent_at_ms == 0)
        return true;
    int64_t age_ms = clock_wall_ms() - request->sent_at_ms;
    if (age_ms <= longest_wait_ms(service->config))
        return true;
    metrics_add(service->metrics, API_REQUESTS_STALE, 1);
    problem_answer(response, request, PROBLEM_TIMEOUT,
                   "The request waited %" PRId64 " ms for a worker. It had no effect: send it again.",
                   age_ms);
    return false;
}

static bool is_sound(const struct http_service *service, struct request *request, struct response *response)
{
    switch (request->fault) {
    case REQUEST_SOUND:
        return true;
    case REQUEST_URI_TOO_LONG:
        problem_answer(response, request, PROBLEM_URI_TOO_LONG, "The address may have at most %d bytes.",
                       URI_MAX);
        break;
    case REQUEST_URI_MALFORMED:
        problem_answer(response, request, PROBLEM_BAD_REQUEST, "The path is not percent-encoded UTF-8.");
        break;
    case REQUEST_HEADER_TWICE:
        problem_answer(response, request, PROBLEM_BAD_REQUEST,
                       "If-Match, Idempotency-Key and Authorization can be given only once.");
        break;
    case REQUEST_BODY_TOO_LARGE:
        problem_answer(response, request, PROBLEM_PAYLOAD_TOO_LARGE,
                       "The body may have at most %" PRId64 " bytes.", service->config->max_body_bytes);
        break;
    case REQUEST_BODY_CUT:
        problem_answer(response, request, PROBLEM_BAD_REQUEST,
                       "The body is not as long as its Content-Length says.");
        break;
    }
    return false;
}

/* RFC 5789: which documents a PATCH of this path takes, if it has one. */
#define PATCH_TYPES "application/json, application/merge-patch+json"
static void add_accept_patch(const struct http_service *service, const struct request *request,
                             struct response *response)
{
    struct route_match match;
    if (router_find(&service->calls, METHOD_PATCH, request->path, &match) == ERR_OK && match.route != NULL)
        response_header(response, "Accept-Patch", PATCH_TYPES);
}

static void refuse_method(const struct http_service *service, struct request *request,
                          struct response *response)
{
    struct strbuf allowed = {0};
    char method[EXCERPT_SIZE];

    router_add_allowed(&service->calls, request->path, &allowed);
    if (request->method == METHOD_OPTIONS) {
        response->status = 204;
        add_accept_patch(service, request, response);
    } else {
        excerpt(method, request->method_text, strlen(request->method_text));
        problem_answer(response, request, PROBLEM_METHOD_NOT_ALLOWED, "%s is not possible here; allowed: %s.",
                       method, allowed.text);
    }
    response_header(response, "Allow", allowed.text);
    strbuf_free(&allowed);
}

static void refuse_id(const char *noun, const char *id, size_t length, const struct request *request,
                      struct response *response)
{
    char shown[EXCERPT_SIZE];
    excerpt(shown, id, length);
    problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no %s \"%s\".", noun, shown);
}

static bool has_route(const struct http_service *service, struct request *request, struct response *response)
{
    struct route_match match;

    if (router_find(&service->calls, request->method, request->path, &match) != ERR_OK) {
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is nothing at this address.");
        return false;
    }
    if (match.route == NULL) {
        refuse_method(service, request, response);
        return false;
    }
    request->route = match.route;
    request->target = match.id;
    request->target_length = match.id_length;
    return true;
}

/* A browser sends some requests for any page without asking first (CORS), such as a POST of plain text. */
static bool has_origin(const struct http_service *service, struct request *request, struct response *response)
{
    const struct config *config = service->config;
    const struct origin_rules rules = {config->allowed_origins != NULL ? config->allowed_origins : "",
                                       config->server_name != NULL ? config->server_name : "",
                                       service->token_keys == NULL};
    const char *origin = request->origin != NULL ? request->origin : "";
    const char *host = request->host != NULL ? request->host : "";
    char shown[EXCERPT_SIZE];

    if (!(request->route->needs & NEEDS_IDENTITY))
        return true;
    switch (origin_judge(&rules, origin, host)) {
    case ORIGIN_FOREIGN_PAGE:
        excerpt(shown, origin, strlen(origin));
        problem_answer(response, request, PROBLEM_FORBIDDEN,
                       "Pages of \"%s\" may not use this service: see ALLOWED_ORIGINS.", shown);
        return false;
    case ORIGIN_FOREIGN_HOST:
        excerpt(shown, host, strlen(host));
        problem_answer(response, request, PROBLEM_FORBIDDEN,
                       "\"%s\" is no name of this service, which is open and so answers only by its own: use "
                       "localhost, or see SERVER_NAME.",
                       shown);
        return false;
    case ORIGIN_WELCOME:
        break;
    }
    return true;
}

/* 401; the header tells a client's library that a bearer token is wanted (RFC 6750). */
static void refuse_identity(const struct request *request, struct response *response, const char *why)
{
    if (why == NULL)
        problem_answer(response, request, PROBLEM_UNAUTHENTICATED,
                       "Send the header Authorization: Bearer, with a token.");
    else
        problem_answer(response, request, PROBLEM_UNAUTHENTICATED, "The token %s.", why);
    response_header(response, "WWW-Authenticate",
                    why == NULL ? "Bearer realm=\"carillon\""
                                : "Bearer realm=\"carillon\", error=\"invalid_token\"");
}

/* False: the response says why not. */
static bool session_lives(const struct http_service *service, const struct token *token,
                          const struct request *request, struct response *response)
{
    bool over = false;
    if (service->session_is_over == NULL)
        return true;
    enum err err = service->session_is_over(service->sessions, token->grant.user_id, token->issued_s, &over);
    if (err == ERR_STALE)
        err = request->route->needs & WITHOUT_DATABASE ? ERR_OK : ERR_UNAVAILABLE;
    if (over)
        refuse_identity(request, response, TOKEN_SESSION_ENDED);
    else if (err != ERR_OK)
        problem_answer_err(response, request, err);
    return !over && err == ERR_OK;
}

/* While the service is open every client may do everything. */
static bool has_identity(const struct http_service *service, struct request *request,
                         struct response *response)
{
    struct token token;
    const char *text = token_in_header(request->authorization), *why = NULL;

    if (!(request->route->needs & NEEDS_IDENTITY))
        return true;
    request->identity = (struct identity){.grant = GRANT_EVERYONE, .writes_events = true};
    if (service->token_keys == NULL)
        return true;
    if (text == NULL ||
        token_verify(service->token_keys, text, clock_wall_ms() / 1000, &token, &why) != ERR_OK) {
        refuse_identity(request, response, why);
        return false;
    }
    if (!session_lives(service, &token, request, response))
        return false;
    request->identity =
        (struct identity){token.grant.user_id, token.grant, token.writes_events || token.grant.everyone};
    return true;
}

static bool has_rights(const struct http_service *service, struct request *request, struct response *response)
{
    unsigned needs = request->route->needs;
    (void)service;
    if (needs & NEEDS_ADMIN && !request->identity.grant.everyone) {
        problem_answer_admins_only(response, request);
        return false;
    }
    if (needs & NEEDS_EVENTS_SCOPE && !request->identity.writes_events) {
        problem_answer(response, request, PROBLEM_FORBIDDEN,
                       "The token's scope must have " TOKEN_EVENTS_SCOPE " (or " TOKEN_ADMIN_SCOPE ").");
        return false;
    }
    return true;
}

/* Reads the id in the path; a text that cannot be an id is one that no row has. A request that names another
 * user is refused before it is known whether that user exists. */
static bool has_target(const struct http_service *service, struct request *request, struct response *response)
{
    unsigned needs = request->route->needs;
    int64_t id = 0;

    (void)service;
    if (!(needs & (NEEDS_TASK_ID | NEEDS_USER_ID)))
        return true;
    if (!query_parse_number(request->target, request->target_length, 1, QUERY_ID_MAX, &id)) {
        const char *noun = needs & NEEDS_TASK_ID ? "task" : "user";
        refuse_id(noun, request->target, request->target_length, request, response);
        return false;
    }
    request->target_id = (uint32_t)id;
    if (!(needs & NEEDS_USER_ID) || needs & NEEDS_EVENTS_SCOPE ||
        grant_covers(&request->identity.grant, request->target_id))
        return true;
    problem_answer_forbidden(response, request);
    return false;
}

static bool has_no_stray_query(const struct http_service *service, struct request *request,
                               struct response *response)
{
    struct query query;
    (void)service;
    if (request->query[0] == '\0' || request->route->needs & (TAKES_QUERY | IGNORES_QUERY))
        return true;
    query_begin(&query, request->query, &request->errors);
    query_end(&query, &request->errors);
    if (request->errors.count == 0)
        return true;
    problem_answer_fields(response, request);
    return false;
}

static bool has_media_type(const struct http_service *service, struct request *request,
                           struct response *response)
{
    if (!(request->route->needs & NEEDS_JSON))
        return true;
    if (!media_type_may_be_json(request->content_type)) {
        problem_answer(response, request, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                       "Send the body as application/json.");
        if (request->method == METHOD_PATCH)
            add_accept_patch(service, request, response);
        response_header(response, "Accept", "application/json");
    } else if (!media_type_is_plain(request->content_encoding)) {
        problem_answer(response, request, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                       "Send the body without Content-Encoding.");
        response_header(response, "Accept-Encoding", "identity"); /* RFC 9110, 12.5.3 */
    } else {
        return true;
    }
    return false;
}

/* For a body that is no JSON the message says where it stops being JSON, and what it looks like. */
static void refuse_body(const struct request *request, struct response *response, const char *why)
{
    const struct strbuf *body = &request->body;
    struct json_fault fault = {0};
    char there[EXCERPT_SIZE];

    if (body->length > 0)
        fault = json_find_fault(body->text, body->length);
    if (fault.what == NULL) {
        problem_answer(response, request, PROBLEM_NOT_JSON, "The body %s.", why);
        return;
    }
    size_t left = body->length - fault.offset;
    excerpt(there, body->text + fault.offset, left < SHOWN_OF_BODY ? left : SHOWN_OF_BODY);
    problem_answer(response, request, PROBLEM_NOT_JSON, "The body %s: line %zu, column %zu%s%s: %s.%s%s", why,
                   fault.line, fault.column, there[0] != '\0' ? ", at " : "", there, fault.what,
                   fault.looks_like != NULL ? " " : "", fault.looks_like != NULL ? fault.looks_like : "");
}

static bool has_json(const struct http_service *service, struct request *request, struct response *response)
{
    const char *why = NULL;
    (void)service;
    if (!(request->route->needs & NEEDS_JSON))
        return true;
    if (json_parse_object(request->body.text, request->body.length, &request->json, &why) == ERR_OK)
        return true;
    refuse_body(request, response, why);
    return false;
}

bool gates_pass(const struct http_service *service, struct request *request, struct response *response)
{
    static gate *const gates[] = {is_fresh,   is_sound,   has_route,          has_origin,     has_identity,
                                  has_rights, has_target, has_no_stray_query, has_media_type, has_json};
    for (size_t i = 0; i < sizeof gates / sizeof gates[0]; i++)
        if (!gates[i](service, request, response))
            return false;
    return true;
}
