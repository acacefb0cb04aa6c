/* Tasks over HTTP: list, create, read, change, delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/idempotency.h"
#include "fcgi-api/api/task_input.h"
#include "fcgi-api/http/etag.h"
#include "fcgi-api/http/page.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/task/task_json.h"

/* What a write carries into its event. */
static struct store_origin origin_of(const struct request *request)
{
    return (struct store_origin){.request_id = request->id,
                                 .traceparent = request->traceparent,
                                 .only_user = request->identity.only_user};
}

/* Whether the request may name this user. */
static bool is_own_user(const struct request *request, uint32_t user_id)
{
    return request->identity.only_user == 0 || user_id == request->identity.only_user;
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
    else
        problem_answer_err(response, request, err);
}

/* After a commit: the publisher need not look for the event. */
static void hint(struct app *app)
{
    publisher_hint(app->publisher, store_last_event(app->store));
}

/* ---- list ---------------------------------------------------------------------------------------- */

static void read_filter(struct query *query, struct request *request, struct store_task_filter *filter)
{
    struct field_errors *errors = &request->errors;
    query_begin(query, request->query, errors);
    filter->user_id = (uint32_t)query_number(query, "user_id", 1, TASK_ID_MAX, 0, errors);
    filter->status = (int)query_number(query, "status", TASK_OPEN, TASK_COMPLETED, -1, errors);
    filter->limit = (int)query_number(query, "limit", 1, PAGE_LIMIT_HIGHEST, PAGE_LIMIT, errors);
    filter->after = (uint32_t)query_number(query, "after", 0, TASK_ID_MAX, 0, errors);
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

static void add_event_cursor(struct response *response, const struct cursor *cursor)
{
    char text[CURSOR_TEXT_SIZE];
    cursor_format(cursor, text);
    response_header(response, "Event-Cursor", text);
}

void handle_task_list(struct app *app, struct request *request, struct response *response)
{
    struct query query;
    struct store_task_filter filter;
    struct cursor cursor;
    bool more = false;

    read_filter(&query, request, &filter);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (filter.user_id != 0 && !is_own_user(request, filter.user_id)) {
        problem_answer_forbidden(response, request);
        return;
    }
    if (filter.user_id == 0)
        filter.user_id = request->identity.only_user; /* all there are, for him */
    struct page page = page_begin(response);
    enum err err =
        store_task_list(app->store, &filter, add_task, &page, &more, filter.user_id ? &cursor : NULL);
    if (err != ERR_OK) {
        problem_answer_err(response, request, err);
        return;
    }
    page_end(&page);
    if (more)
        link_next(response, request, &query, page.last_id);
    /* Of the first page only: what came before the cursor of a later one may be missing in the first. */
    if (filter.user_id != 0 && filter.after == 0)
        add_event_cursor(response, &cursor);
}

/* ---- create -------------------------------------------------------------------------------------- */

static void answer_created(struct response *response, const struct store_created *created)
{
    char location[sizeof "/tasks/4294967295"];
    snprintf(location, sizeof location, "/tasks/%u", created->task.id);
    response->status = 201;
    response_header(response, "Location", location);
    add_etag(response, created->task.version);
    if (created->repeated)
        response_header(response, "Idempotency-Replayed", "true");
    strbuf_add_text(&response->body, created->body);
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
    struct store_created created = {0};
    struct store_origin origin = origin_of(request);

    task_input_new(request->json, &task, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (!is_own_user(request, task.user_id)) {
        problem_answer_forbidden(response, request);
        return;
    }
    enum err err = idempotency_read(request, &idempotency);
    if (err == ERR_INVALID) {
        problem_answer(response, request, PROBLEM_BAD_REQUEST,
                       "An Idempotency-Key is 1 to %d visible ASCII characters.", IDEMPOTENCY_KEY_MAX);
        return;
    }
    if (err == ERR_OK)
        err = store_task_insert(app->store, task.user_id, task.content, &origin,
                                idempotency.key != NULL ? &idempotency : NULL, &created);
    if (err == ERR_OK) {
        answer_created(response, &created);
        if (!created.repeated)
            hint(app);
    } else {
        answer_not_created(response, request, err);
    }
    free(created.body);
}

/* ---- read ---------------------------------------------------------------------------------------- */

void handle_task_get(struct app *app, struct request *request, struct response *response)
{
    struct task task;
    enum err err = store_task_get(app->store, request->target_id, request->identity.only_user, &task);
    if (err != ERR_OK) {
        answer_failure(response, request, err);
        return;
    }
    add_etag(response, task.version);
    response->cache_control = "private, no-cache"; /* may be kept, must be asked about */
    if (etag_is_known(request->if_none_match, task.version))
        response->status = 304;
    else
        task_json_add(&response->body, &task);
}

/* ---- change and delete --------------------------------------------------------------------------- */

/* False: the response says what is wrong with the header. */
static bool read_if_match(const struct request *request, struct store_match *match, struct response *response)
{
    struct etag_match read;
    if (etag_read_if_match(request->if_match, &read) == ERR_OK) {
        _Static_assert(sizeof read.versions == sizeof match->versions, "the store takes as many");
        *match = (struct store_match){.any = read.any, .count = read.count};
        memcpy(match->versions, read.versions, sizeof match->versions);
        return true;
    }
    problem_answer(response, request, PROBLEM_BAD_REQUEST,
                   "If-Match must be * or a list of at most %zu entity tags in quotes, such as \"3\".",
                   sizeof read.versions / sizeof read.versions[0]);
    return false;
}

void handle_task_update(struct app *app, struct request *request, struct response *response)
{
    struct task_patch patch;
    struct store_match match;
    struct task task;
    struct store_origin origin = origin_of(request);

    if (!read_if_match(request, &match, response))
        return;
    task_input_patch(request->json, &patch, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    enum err err = store_task_update(app->store, request->target_id, &patch, &match, &origin, &task);
    if (err != ERR_OK) {
        answer_failure(response, request, err);
        return;
    }
    hint(app);
    add_etag(response, task.version);
    task_json_add(&response->body, &task);
}

void handle_task_delete(struct app *app, struct request *request, struct response *response)
{
    struct store_match match;
    struct task task;
    struct store_origin origin = origin_of(request);

    if (!read_if_match(request, &match, response))
        return;
    enum err err = store_task_delete(app->store, request->target_id, &match, &origin, &task);
    if (err != ERR_OK) {
        answer_failure(response, request, err);
        return;
    }
    hint(app);
    response->status = 204;
}
