/* SPDX-License-Identifier: MIT */
/* Tasks over HTTP: list, create, read, change, delete. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/task_input.h"
#include "fcgi-api/api/write.h"
#include "fcgi-api/http/etag.h"
#include "fcgi-api/http/page.h"
#include "fcgi-api/http/precondition.h"
#include "fcgi-api/http/prefer.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/task/task_json.h"

/* Whether the request may name this user. */
static bool is_own_user(const struct request *request, uint32_t user_id)
{
    return grant_covers(&request->identity.grant, user_id);
}

static void add_etag(struct response *response, uint32_t version)
{
    char text[ETAG_SIZE];
    etag_format(version, text);
    response_header(response, "ETag", text);
}

static void answer_failure(struct response *response, const struct request *request, enum err err)
{
    if (err == ERR_NOT_FOUND)
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no task %u.", request->target_id);
    else if (err == ERR_STALE)
        precondition_answer_failed(response, request);
    else
        problem_answer_err(response, request, err);
}

/* ---- list ---------------------------------------------------------------------------------------- */

/* What a query's status must be. */
static int read_status(struct query *query, struct field_errors *errors)
{
    const char *text = query_text(query, "status", errors);
    int64_t number = -1;
    if (text != NULL && !query_parse_number(text, strlen(text), TASK_OPEN, TASK_COMPLETED, &number))
        field_errors_add(errors, "status", "must be 0 (open) or 1 (completed)");
    return (int)number;
}

static bool read_order(struct query *query, struct field_errors *errors)
{
    const char *text = query_text(query, "order", errors);
    if (text != NULL && strcmp(text, "id.asc") != 0 && strcmp(text, "id.desc") != 0)
        field_errors_add(errors, "order", "must be id.asc (oldest first) or id.desc (newest first)");
    return text != NULL && strcmp(text, "id.desc") == 0;
}

/* All users' tasks are too many to be searched one by one. */
static const char *read_search(struct query *query, uint32_t user_id, struct field_errors *errors)
{
    const char *text = query_text(query, "q", errors);
    if (text == NULL)
        return "";
    const char *fault = task_content_fault(text);
    if (fault != NULL)
        field_errors_add(errors, "q", "%s", fault);
    else if (user_id == 0)
        field_errors_add(errors, "q", "searches the tasks of one user: give user_id, too");
    return text;
}

/* Without a user_id: all users' tasks for bearers who may see them; for others their own, without those of
 * their groups. */
static void read_filter(struct query *query, struct request *request, struct store_task_filter *filter)
{
    struct field_errors *errors = &request->errors;
    const struct grant *grant = &request->identity.grant;
    query_begin(query, request->query, errors);
    filter->user_id = (uint32_t)query_number(query, "user_id", 1, TASK_ID_MAX,
                                             grant->everyone ? 0 : grant->user_id, errors);
    filter->status = read_status(query, errors);
    filter->limit = (int)query_number(query, "limit", 1, PAGE_LIMIT_HIGHEST, PAGE_LIMIT, errors);
    filter->after = (uint32_t)query_number(query, "after", 0, TASK_ID_MAX, 0, errors);
    filter->newest_first = read_order(query, errors);
    filter->text = read_search(query, filter->user_id, errors);
    filter->count = prefer_has(request->prefer, "count=exact");
    query_end(query, errors);
}

static void add_task(void *context, const struct task *task)
{
    struct page *page = context;
    task_json_add(page_next(page), task);
    page->last_id = task->id;
}

static void link_next(struct response *response, const struct request *request, const struct query *query,
                      uint32_t last_id)
{
    char after[sizeof "4294967295"];
    snprintf(after, sizeof after, "%u", last_id);
    page_link_next(response, request, query, "after", after);
}

static void add_total(struct response *response, uint64_t total)
{
    char text[sizeof "18446744073709551615"];
    snprintf(text, sizeof text, "%" PRIu64, total);
    response_header(response, "Preference-Applied", "count=exact");
    response_header(response, "X-Total-Count", text);
}

/* The list's headers and its end. Its ETag tells any two states of the user apart, not only those that this
 * page shows: an answer that was kept must never go with an older cursor than a new one would. */
static void finish_list(struct response *response, const struct request *request,
                        const struct store_task_filter *filter, const struct store_task_page *found,
                        struct page *page)
{
    struct cursor position = found->cursor;
    char text[CURSOR_TEXT_SIZE] = "";

    if (filter->count)
        add_total(response, found->total);
    if (filter->user_id != 0) {
        position.time_s = 0;
        cursor_format(&position, text);
    }
    bool whole = page_end(page, response, request, text);
    /* Of the first page only: what came before the cursor of a later one may be missing in the first. */
    if (filter->user_id == 0 || filter->after != 0 || !(whole || response->status == 304))
        return;
    cursor_format(&found->cursor, text);
    response_header(response, "Event-Cursor", text);
}

void handle_task_list(struct app *app, struct request *request, struct response *response)
{
    struct query query;
    struct store_task_filter filter;
    struct store_task_page found;

    read_filter(&query, request, &filter);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (filter.user_id != 0 && !is_own_user(request, filter.user_id)) {
        problem_answer_forbidden(response, request);
        return;
    }
    struct page page = page_begin(response);
    enum err err = store_task_list(app->store, &filter, add_task, &page, &found);
    if (err != ERR_OK) {
        problem_answer_err(response, request, err);
        return;
    }
    if (found.more)
        link_next(response, request, &query, page.last_id);
    finish_list(response, request, &filter, &found, &page);
}

/* ---- create -------------------------------------------------------------------------------------- */

static void answer_created(struct response *response, const struct store_answer *answer)
{
    char location[sizeof "/tasks/4294967295"];
    snprintf(location, sizeof location, "/tasks/%u", answer->task.id);
    response->status = 201;
    response_header(response, "Location", location);
    add_etag(response, answer->task.version);
    strbuf_add_text(&response->body, answer->body);
}

static void answer_not_created(struct response *response, struct request *request, enum err err)
{
    if (err == ERR_NOT_FOUND) {
        field_errors_add(&request->errors, "user_id", "is not the id of any user");
        problem_answer_fields(response, request);
    } else {
        problem_answer_err(response, request, err);
    }
}

void handle_task_create(struct app *app, struct request *request, struct response *response)
{
    struct task_new task;
    struct store_idempotency idempotency;
    struct store_answer answer;
    struct store_origin origin = write_origin(request);

    task_input_new(request->json, &task, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (!is_own_user(request, task.user_id)) {
        problem_answer_forbidden(response, request);
        return;
    }
    if (!write_read_key(request, &idempotency, &origin, response) ||
        !write_list_allows(app, request, response, handle_task_list))
        return;
    enum err err = store_task_insert(app->store, &task, &origin, &answer);
    if (err == ERR_OK) {
        answer_created(response, &answer);
        write_note_repeated(response, &answer);
    } else {
        answer_not_created(response, request, err);
    }
    free(answer.body);
}

/* ---- read ---------------------------------------------------------------------------------------- */

void handle_task_get(struct app *app, struct request *request, struct response *response)
{
    struct task task;
    char etag[ETAG_SIZE];
    const struct precondition asked = {.if_match = request->if_match};
    const struct store_condition condition = {precondition_holds, &asked};
    enum err err = store_task_get(app->store, request->target_id, &request->identity.grant,
                                  request->if_match ? &condition : NULL, &task);
    if (err != ERR_OK && err != ERR_STALE) {
        answer_failure(response, request, err);
        return;
    }
    etag_format(task.version, etag);
    if (precondition_passes_get(response, request, etag))
        task_json_add(&response->body, &task);
}

/* ---- change and delete --------------------------------------------------------------------------- */

/* What a change comes with besides its body. */
struct change {
    struct precondition precondition;
    struct store_condition condition;
    struct store_idempotency idempotency;
    struct store_origin origin;
};

/* False: the response says what is wrong. */
static bool read_change(const struct request *request, struct change *change, struct response *response)
{
    change->origin = write_origin(request);
    change->condition = (struct store_condition){precondition_holds, &change->precondition};
    return precondition_read(request, &change->precondition, response) &&
           write_read_key(request, &change->idempotency, &change->origin, response);
}

void handle_task_update(struct app *app, struct request *request, struct response *response)
{
    struct task_patch patch;
    struct change change;
    struct store_answer answer;

    if (!read_change(request, &change, response))
        return;
    task_input_patch(request->json, &patch, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    enum err err =
        store_task_update(app->store, request->target_id, &patch, &change.condition, &change.origin, &answer);
    if (err == ERR_INVALID) {
        task_input_refuse(&answer.task, &patch, &request->errors);
        problem_answer_fields(response, request);
    } else if (err != ERR_OK) {
        answer_failure(response, request, err);
    } else {
        add_etag(response, answer.task.version);
        strbuf_add_text(&response->body, answer.body);
        write_note_repeated(response, &answer);
    }
    free(answer.body);
}

void handle_task_delete(struct app *app, struct request *request, struct response *response)
{
    struct change change;
    struct store_answer answer;

    if (!read_change(request, &change, response))
        return;
    enum err err =
        store_task_delete(app->store, request->target_id, &change.condition, &change.origin, &answer);
    if (err == ERR_OK) {
        response->status = 204;
        write_note_repeated(response, &answer);
    } else {
        answer_failure(response, request, err);
    }
    free(answer.body);
}
