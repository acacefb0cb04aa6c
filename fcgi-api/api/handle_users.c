/* SPDX-License-Identifier: MIT */
/* Users over HTTP: they are read here, and made elsewhere. */
#include <stdio.h>

#include "common/clock.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/http/page.h"
#include "fcgi-api/http/precondition.h"
#include "fcgi-api/http/problem.h"

static void add_user_json(struct strbuf *out, const struct user *user)
{
    char created_at[CLOCK_ISO_SIZE];
    clock_format_iso(user->created_at_ms, created_at);
    strbuf_printf(out, "{\"id\":%u,\"name\":", user->id);
    strbuf_add_json_string(out, user->name, user->name_length);
    strbuf_printf(out, ",\"createdAt\":\"%s\"}", created_at);
}

static void add_user(void *context, const struct user *user)
{
    struct page *page = context;
    add_user_json(page_next(page), user);
    page->last_id = user->id;
}

void handle_user_list(struct app *app, struct request *request, struct response *response)
{
    struct query query;
    struct field_errors *errors = &request->errors;
    char next[sizeof "4294967295"];
    bool more = false;

    query_begin(&query, request->query, errors);
    int limit = (int)query_number(&query, "limit", 1, PAGE_LIMIT_HIGHEST, PAGE_LIMIT, errors);
    uint32_t after = (uint32_t)query_number(&query, "after", 0, TASK_ID_MAX, 0, errors);
    query_end(&query, errors);
    if (errors->count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    struct page page = page_begin(response);
    enum err err =
        store_user_list(app->store, request->identity.only_user, after, limit, add_user, &page, &more);
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

void handle_user_get(struct app *app, struct request *request, struct response *response)
{
    struct user user;
    enum err err = store_user_get(app->store, request->target_id, &user);
    if (err == ERR_NOT_FOUND) {
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no user %u.", request->target_id);
    } else if (err != ERR_OK) {
        problem_answer_err(response, request, err);
    } else {
        add_user_json(&response->body, &user);
        (void)precondition_passes_text(response, request, "");
    }
}
