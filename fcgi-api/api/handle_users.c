/* SPDX-License-Identifier: MIT */
/* Users over HTTP: reading, within the bearer's grant; creating and changing, for administrators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/user_input.h"
#include "fcgi-api/api/write.h"
#include "fcgi-api/http/etag.h"
#include "fcgi-api/http/page.h"
#include "fcgi-api/http/precondition.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/user/user_json.h"

static void add_user(void *context, const struct user *user)
{
    struct page *page = context;
    user_json_add(page_next(page), user);
    page->last_id = user->id;
}

/* ---- read ---------------------------------------------------------------------------------------- */

struct asked {
    int limit;
    uint32_t after;
    const char *external_id; /* NULL: any */
};

static void read_query(struct query *query, struct request *request, struct asked *asked)
{
    struct field_errors *errors = &request->errors;
    const char *fault = NULL;

    query_begin(query, request->query, errors);
    asked->limit = (int)query_number(query, "limit", 1, PAGE_LIMIT_HIGHEST, PAGE_LIMIT, errors);
    asked->after = (uint32_t)query_number(query, "after", 0, EVENT_ID_MAX, 0, errors);
    asked->external_id = query_text(query, "external_id", errors);
    if (asked->external_id != NULL && (fault = user_external_id_fault(asked->external_id)) != NULL)
        field_errors_add(errors, "external_id", "%s", fault);
    query_end(query, errors);
}

/* A list of at most one. */
static enum err find_one(struct app *app, const struct asked *asked, struct page *page)
{
    struct user user;
    enum err err = store_user_find(app->store, asked->external_id, &user);
    if (err == ERR_OK && user.id > asked->after)
        add_user(page, &user);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void handle_user_list(struct app *app, struct request *request, struct response *response)
{
    struct query query;
    struct asked asked;
    char next[sizeof "4294967295"];
    bool more = false;

    read_query(&query, request, &asked);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (asked.external_id != NULL && !request->identity.grant.everyone) {
        problem_answer_admins_only(response, request);
        return;
    }
    struct page page = page_begin(response);
    enum err err = asked.external_id != NULL
                       ? find_one(app, &asked, &page)
                       : store_user_list(app->store, &request->identity.grant, asked.after, asked.limit,
                                         add_user, &page, &more);
    if (err != ERR_OK) {
        problem_answer_err(response, request, err);
        return;
    }
    if (more) {
        snprintf(next, sizeof next, "%u", page.last_id);
        page_link_next(response, request, &query, "after", next);
    }
    (void)page_end(&page, response, request, "");
}

static void answer_failure(struct response *response, struct request *request, enum err err)
{
    if (err == ERR_NOT_FOUND) {
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no user %u.", request->target_id);
    } else if (err == ERR_STALE) {
        precondition_answer_failed(response, request);
    } else if (err == ERR_TAKEN) {
        field_errors_add(&request->errors, "external_id", "is another user's");
        problem_answer_taken(response, request);
    } else {
        problem_answer_err(response, request, err);
    }
}

/* The tag is of the text: a user has no version, and looks the same as long as it is the same. */
void handle_user_get(struct app *app, struct request *request, struct response *response)
{
    struct user user;
    char etag[ETAG_TEXT_SIZE];
    const struct precondition asked = {.if_match = request->if_match};
    const struct store_text_condition condition = {precondition_holds_text, &asked};
    enum err err =
        store_user_get(app->store, request->target_id, request->if_match ? &condition : NULL, &user);
    if (err != ERR_OK && err != ERR_STALE) {
        answer_failure(response, request, err);
        return;
    }
    user_json_add(&response->body, &user);
    etag_format_text(response->body.text, response->body.length, etag);
    (void)precondition_passes_get(response, request, etag);
}

/* ---- create and change --------------------------------------------------------------------------- */

static void answer_written(struct response *response, const struct store_answer *answer)
{
    char etag[ETAG_TEXT_SIZE];
    etag_format_text(answer->body, strlen(answer->body), etag);
    response_header(response, "ETag", etag);
    strbuf_add_text(&response->body, answer->body);
    write_note_repeated(response, answer);
}

void handle_user_create(struct app *app, struct request *request, struct response *response)
{
    struct user_new user;
    struct store_idempotency idempotency;
    struct store_answer answer;
    struct store_origin origin = write_origin(request);
    char location[sizeof "/users/4294967295"];

    user_input_new(request->json, &user, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (!write_read_key(request, &idempotency, &origin, response) ||
        !write_list_allows(app, request, response, handle_user_list))
        return;
    enum err err = store_user_insert(app->store, &user, &origin, &answer);
    if (err == ERR_OK) {
        response->status = 201;
        snprintf(location, sizeof location, "/users/%u", answer.task.id);
        response_header(response, "Location", location);
        answer_written(response, &answer);
    } else {
        answer_failure(response, request, err);
    }
    free(answer.body);
}

void handle_user_update(struct app *app, struct request *request, struct response *response)
{
    struct user_patch patch;
    struct user user;
    struct precondition precondition;
    struct store_idempotency idempotency;
    struct store_answer answer;
    struct store_origin origin = write_origin(request);
    const struct store_text_condition condition = {precondition_holds_text, &precondition};

    if (!precondition_read(request, &precondition, response) ||
        !write_read_key(request, &idempotency, &origin, response))
        return;
    user_input_patch(request->json, &patch, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    enum err err =
        store_user_update(app->store, request->target_id, &patch, &condition, &origin, &user, &answer);
    if (err == ERR_INVALID) {
        user_input_refuse(&user, &patch, &request->errors);
        problem_answer_fields(response, request);
    } else if (err != ERR_OK) {
        answer_failure(response, request, err);
    } else {
        answer_written(response, &answer);
    }
    free(answer.body);
}
