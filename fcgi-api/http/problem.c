/* SPDX-License-Identifier: MIT */
/* Writing problems. */
#include "fcgi-api/http/problem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/token.h"

#define RETRY_AFTER_S "1" /* most outages here are a restart */

static const struct {
    int status;
    const char *slug;
    const char *title;
} problems[] = {
#define X(name, status, slug, title) [name] = {status, slug, title},
    PROBLEMS(X)
#undef X
};

static void add_member(struct strbuf *out, const char *name, const char *value)
{
    strbuf_add(out, ",\"", 2);
    strbuf_add_text(out, name);
    strbuf_add(out, "\":", 2);
    strbuf_add_json_string(out, value, strlen(value));
}

/* The address as the client wrote it, without the query. */
static void add_instance(struct strbuf *out, const struct request *request)
{
    strbuf_add_text(out, ",\"instance\":\"");
    uri_add_path(out, request->uri, request->raw_path_length < URI_MAX ? request->raw_path_length : URI_MAX);
    strbuf_add(out, "\"", 1);
}

static void add_errors(struct strbuf *out, const struct field_errors *errors)
{
    strbuf_add_text(out, ",\"errors\":[");
    for (size_t i = 0; i < errors->count; i++) {
        const struct field_error *error = &errors->list[i];
        strbuf_add_text(out, i == 0 ? "{\"field\":" : ",{\"field\":");
        strbuf_add_json_string(out, error->field, strlen(error->field));
        add_member(out, "message", error->message);
        strbuf_add(out, "}", 1);
    }
    strbuf_add(out, "]", 1);
}

/* Everything but the closing brace. */
static void begin_answer(struct response *response, const struct request *request, enum problem problem,
                         const char *detail)
{
    struct strbuf *out = &response->body;

    response_begin(response);
    response->status = problems[problem].status;
    response->problem = problems[problem].slug;
    response->content_type = "application/problem+json";
    if (response->status == 503)
        response_header(response, "Retry-After", RETRY_AFTER_S);
    strbuf_printf(out, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d", problems[problem].slug,
                  problems[problem].title, problems[problem].status);
    add_member(out, "detail", detail);
    add_instance(out, request);
    add_member(out, "request_id", request->id);
}

void problem_answer(struct response *response, const struct request *request, enum problem problem,
                    const char *detail, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, detail);
    vsnprintf(text, sizeof text, detail, arguments);
    va_end(arguments);
    begin_answer(response, request, problem, text);
    strbuf_add(&response->body, "}", 1);
}

void problem_answer_forbidden(struct response *response, const struct request *request)
{
    problem_answer(response, request, PROBLEM_FORBIDDEN, "The token is for user %u%s only.",
                   request->identity.grant.user_id,
                   request->identity.grant.group_count > 0 ? " and its groups" : "");
}

void problem_answer_admins_only(struct response *response, const struct request *request)
{
    problem_answer(response, request, PROBLEM_FORBIDDEN,
                   "Only administrators may do this: the token needs the scope " TOKEN_ADMIN_SCOPE ".");
}

void problem_add_member(struct response *response, const char *name, const char *value)
{
    struct strbuf *body = &response->body;
    assert(body->length > 0 && body->text[body->length - 1] == '}');
    body->length--;
    add_member(body, name, value);
    strbuf_add(body, "}", 1);
}

static void answer_fields(struct response *response, const struct request *request, enum problem problem)
{
    char text[EXCERPT_SIZE + FIELD_MESSAGE_MAX + sizeof ": ."];
    const struct field_error *first = &request->errors.list[0];

    if (request->errors.count == 1)
        snprintf(text, sizeof text, "%s %s.", first->field, first->message);
    else
        snprintf(text, sizeof text, "%zu values are wrong: see errors%s.", request->errors.total,
                 request->errors.total > request->errors.count ? ", which has the first of them" : "");
    begin_answer(response, request, problem, text);
    add_errors(&response->body, &request->errors);
    strbuf_add(&response->body, "}", 1);
}

void problem_answer_fields(struct response *response, const struct request *request)
{
    answer_fields(response, request, PROBLEM_VALIDATION);
}

void problem_answer_taken(struct response *response, const struct request *request)
{
    answer_fields(response, request, PROBLEM_TAKEN);
}

static enum problem problem_of(enum err err)
{
    switch (err) {
    case ERR_INVALID:
        return PROBLEM_BAD_REQUEST;
    case ERR_NOT_FOUND:
        return PROBLEM_NOT_FOUND;
    case ERR_STALE:
        return PROBLEM_STALE;
    case ERR_TAKEN:
        return PROBLEM_TAKEN;
    case ERR_MISMATCH:
        return PROBLEM_IDEMPOTENCY_MISMATCH;
    case ERR_GONE:
        return PROBLEM_CURSOR_GONE;
    case ERR_TOO_LARGE:
        return PROBLEM_PAYLOAD_TOO_LARGE;
    case ERR_UNAVAILABLE:
        return PROBLEM_UNAVAILABLE;
    case ERR_UNCERTAIN:
        return PROBLEM_UNCERTAIN;
    case ERR_OK:
    case ERR_AGAIN:
    case ERR_CLOSED:
    case ERR_SYSTEM:
    case ERR_INTERNAL:
        break;
    }
    return PROBLEM_INTERNAL;
}

static const char *detail_of(enum problem problem)
{
    switch (problem) {
    case PROBLEM_STALE:
        return "If-Match names an earlier version: read the current one.";
    case PROBLEM_IDEMPOTENCY_MISMATCH:
        return "The key was used for another request: take a new one for this request.";
    case PROBLEM_CURSOR_GONE:
        return "The cursor is from before a backup was restored, ahead of the journal, or too old: "
               "read the tasks again and go on from their Event-Cursor.";
    case PROBLEM_UNAVAILABLE:
        return "Try again in a moment; a POST with an Idempotency-Key, so that nothing is made twice.";
    case PROBLEM_UNCERTAIN:
        return "The connection to the database broke during the commit. Read the task to find out; "
               "repeat a POST with its Idempotency-Key.";
    case PROBLEM_INTERNAL:
        return "The log of the service has the reason, under this request_id.";
    default:
        return "The request could not be done.";
    }
}

void problem_answer_err(struct response *response, const struct request *request, enum err err)
{
    enum problem problem = problem_of(err);
    problem_answer(response, request, problem, "%s", detail_of(problem));
}
