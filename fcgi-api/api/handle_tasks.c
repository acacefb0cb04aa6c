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
#include "fcgi-api/http/precondition.h"
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
    else if (err == ERR_STALE)
        precondition_answer_failed(response, request);
    else
        problem_answer_err(response, request, err);
}

/* After a write that went well: says whether the answer is a remembered one; if not, the publisher need not
 * look for the event. */
static void note_done(struct app *app, struct response *response, const struct store_answer *answer)
{
    if (answer->repeated)
        response_header(response, "Idempotency-Replayed", "true");
    else
        publisher_hint(app->publisher, store_last_event(app->store));
}

/* False: the response says what is wrong with the key. */
static bool read_key(const struct request *request, struct store_idempotency *idempotency,
                     struct store_origin *origin, struct response *response)
{
    enum err err = idempotency_read(request, idempotency);
    if (err == ERR_INVALID)
        problem_answer(response, request, PROBLEM_BAD_REQUEST,
                       "An Idempotency-Key is 1 to %d visible ASCII characters, in quotes or not.",
                       IDEMPOTENCY_KEY_MAX);
    else if (err != ERR_OK)
        problem_answer_err(response, request, err);
    if (err == ERR_OK && idempotency->key[0] != '\0')
        origin->idempotency = idempotency;
    return err == ERR_OK;
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
    if (!read_key(request, &idempotency, &origin, response))
        return;
    enum err err = store_task_insert(app->store, &task, &origin, &answer);
    if (err == ERR_OK) {
        answer_created(response, &answer);
        note_done(app, response, &answer);
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
    enum err err = store_task_get(app->store, request->target_id, request->identity.only_user, &task);
    if (err != ERR_OK) {
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
    change->origin = origin_of(request);
    change->condition = (struct store_condition){precondition_holds, &change->precondition};
    return precondition_read(request, &change->precondition, response) &&
           read_key(request, &change->idempotency, &change->origin, response);
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
        note_done(app, response, &answer);
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
        note_done(app, response, &answer);
    } else {
        answer_failure(response, request, err);
    }
    free(answer.body);
}
