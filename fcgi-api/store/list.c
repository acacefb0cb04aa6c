/* SPDX-License-Identifier: MIT */
/* Lists of tasks: a page by key, in one of two orders, of what a filter leaves. */
#include <stdlib.h>

#include "fcgi-api/store/internal.h"

struct list_call {
    const struct store_task_filter *filter;
    struct strbuf pattern; /* for LIKE: the filter's text anywhere */
    struct task *tasks;    /* filled first, visited when all went well: a retry begins again */
    size_t count;
    uint64_t total;         /* when the filter asks for it */
    struct cursor position; /* of the filter's user, if it names one */
};

static void make_pattern(const char *text, struct strbuf *pattern)
{
    strbuf_add(pattern, "%", 1);
    for (; *text != '\0'; text++) {
        if (strchr("%_|", *text))
            strbuf_add(pattern, "|", 1);
        strbuf_add(pattern, text, 1);
    }
    strbuf_add(pattern, "%", 1);
}

/* Which of six statements of the same kind: everyone's, one user's, one user's with a text; each with and
 * without a status. */
static size_t which_of_six(const struct store_task_filter *filter)
{
    size_t whose = filter->text[0] != '\0' ? 4 : filter->user_id != 0 ? 2 : 0;
    return whose + (filter->status >= 0 ? 1 : 0);
}

#define FILTER_VALUES_MAX 5

/* The values of a statement in the order of its text; returns how many. `page` is false for a count. */
static size_t filter_values(const struct list_call *call, bool page, struct store_value *values)
{
    const struct store_task_filter *filter = call->filter;
    static const uint64_t beyond_any = (uint64_t)TASK_ID_MAX + 1;
    size_t count = 0;

    if (filter->user_id != 0)
        values[count++] = of_number(filter->user_id);
    if (page)
        values[count++] = of_number(filter->newest_first && filter->after == 0 ? beyond_any : filter->after);
    if (filter->status >= 0)
        values[count++] = of_number((uint64_t)filter->status);
    if (filter->text[0] != '\0')
        values[count++] = of_string(call->pattern.text, call->pattern.length);
    if (page)
        values[count++] = of_number((uint64_t)filter->limit + 1);
    return count;
}

static enum err select_tasks(struct store *store, struct list_call *call, struct task *task)
{
    const struct store_task_filter *filter = call->filter;
    struct cursor *position = &call->position;
    struct store_value values[FILTER_VALUES_MAX] = {0};
    const struct store_column columns[] = {TASK_READINGS, to_text(position->epoch, sizeof position->epoch),
                                           to_u64(&position->seq)};
    size_t column_count = sizeof columns / sizeof *columns;
    size_t first = filter->newest_first ? SQL_TASKS_DOWN : SQL_TASKS_UP;

    if (filter->user_id == 0)
        column_count -= 2; /* no user's position */
    return store_select(store, (enum store_statement)(first + which_of_six(filter)), values,
                        filter_values(call, true, values), columns, column_count);
}

static enum err list_work(struct store *store, void *context)
{
    struct list_call *call = context;
    struct task task = {0};

    call->count = 0;
    enum err err = select_tasks(store, call, &task);
    while (!err && (err = store_fetch(store)) == ERR_OK)
        call->tasks[call->count++] = task;
    if (err != ERR_NOT_FOUND)
        return err;
    return call->filter->user_id != 0 && call->count > 0 ? store_check_epoch(store, call->position.epoch)
                                                         : ERR_OK;
}

static enum err count_tasks(struct store *store, struct list_call *call)
{
    struct store_value values[FILTER_VALUES_MAX] = {0};
    return store_select_one(store, (enum store_statement)(SQL_TASK_COUNT + which_of_six(call->filter)),
                            values, filter_values(call, false, values), STORE_OUT(to_u64(&call->total)));
}

/* For a page without tasks, which has no row that could tell the position, and for a total: both are to be of
 * the page's moment. */
static enum err snapshot_work(struct store *store, void *context)
{
    struct list_call *call = context;
    struct cursor position = {0};
    bool known;
    enum err err = ERR_OK;

    if (call->filter->user_id != 0)
        err = store_user_position(store, call->filter->user_id, &known, &position);
    if (!err)
        err = list_work(store, call);
    if (!err && call->filter->count)
        err = count_tasks(store, call);
    call->position = position;
    return err;
}

static enum err list(struct store *store, struct list_call *call)
{
    if (call->filter->count)
        return store_run(store, STORE_SNAPSHOT, snapshot_work, call);
    enum err err = store_run(store, STORE_READ, list_work, call);
    if (!err && call->filter->user_id != 0 && call->count == 0)
        err = store_run(store, STORE_SNAPSHOT, snapshot_work, call);
    return err;
}

enum err store_task_list(struct store *store, const struct store_task_filter *filter, store_task_visit *visit,
                         void *context, struct store_task_page *page)
{
    struct list_call call = {.filter = filter};
    call.tasks = malloc(((size_t)filter->limit + 1) * sizeof *call.tasks);
    if (!call.tasks)
        abort();
    if (filter->text[0] != '\0')
        make_pattern(filter->text, &call.pattern);

    /* The cursor's time promises that what is not in the snapshot reaches the stream later. An event that
     * the snapshot does not show commits after the snapshot began, and is published after that; so the
     * second in which we stood just before it began is safe, and none later is. */
    int64_t before_ms = clock_wall_ms();
    enum err err = list(store, &call);
    if (!err) {
        *page = (struct store_task_page){
            .more = call.count > (size_t)filter->limit, .total = call.total, .cursor = call.position};
        if (filter->user_id != 0)
            page->cursor.time_s = before_ms / 1000;
        for (size_t i = 0; i < call.count - (page->more ? 1 : 0); i++)
            visit(context, &call.tasks[i]);
    }
    free(call.tasks);
    strbuf_free(&call.pattern);
    return err;
}
