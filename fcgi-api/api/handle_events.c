/* SPDX-License-Identifier: MIT */
/* A user's journal over HTTP, for clients without a WebSocket and for people with curl; and events of other
 * programs. */
#include <stdlib.h>
#include <string.h>

#include "fcgi-api/api/event_input.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/write.h"
#include "fcgi-api/http/page.h"
#include "fcgi-api/http/problem.h"

/* Without `since` the journal is read from the oldest event of the user that it still holds. */
static void read_since(struct query *query, struct request *request, struct cursor *since)
{
    const char *text = query_text(query, "since", &request->errors);
    *since = (struct cursor){.seq = 0};
    if (text != NULL && cursor_parse(text, strlen(text), since) != ERR_OK)
        field_errors_add(&request->errors, "since", "must be a cursor as Event-Cursor and events hold it");
}

static void add_event(void *context, uint64_t seq, const char *payload, size_t length)
{
    (void)seq;
    strbuf_add(page_next(context), payload, length);
}

static void answer_failure(struct response *response, const struct request *request, enum err err)
{
    if (err == ERR_NOT_FOUND)
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no user %u.", request->target_id);
    else
        problem_answer_err(response, request, err);
}

void handle_event_list(struct app *app, struct request *request, struct response *response)
{
    struct query query;
    struct cursor since, last;
    char cursor[CURSOR_TEXT_SIZE], position[CURSOR_TEXT_SIZE];
    bool more = false;

    query_begin(&query, request->query, &request->errors);
    int limit = (int)query_number(&query, "limit", 1, PAGE_LIMIT_HIGHEST, PAGE_LIMIT, &request->errors);
    read_since(&query, request, &since);
    query_end(&query, &request->errors);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    struct page page = page_begin(response);
    enum err err =
        store_event_list(app->store, request->target_id, &since, limit, add_event, &page, &more, &last);
    if (err != ERR_OK) {
        answer_failure(response, request, err);
        return;
    }
    cursor_format(&last, cursor);
    if (more)
        page_link_next(response, request, &query, "since", cursor);
    last.time_s = 0;
    cursor_format(&last, position);
    if (page_end(&page, response, request, position) || response->status == 304)
        response_header(response, "Event-Cursor", cursor);
}

void handle_event_create(struct app *app, struct request *request, struct response *response)
{
    struct event_new event;
    struct store_idempotency idempotency;
    struct store_answer answer;
    struct store_origin origin = write_origin(request);

    event_input_read(request, &event);
    if (request->errors.count > 0) {
        problem_answer_fields(response, request);
        return;
    }
    if (!write_read_key(request, &idempotency, &origin, response) ||
        !write_list_allows(app, request, response, handle_event_list))
        return;
    enum err err = store_event_emit(app->store, &event, &origin, &answer);
    if (err == ERR_OK) {
        response->status = 201;
        strbuf_add_text(&response->body, answer.body);
        write_note_repeated(response, &answer);
    } else {
        answer_failure(response, request, err);
    }
    free(answer.body);
}
