/* SPDX-License-Identifier: MIT */
/* A task as JSON text. Written by hand, in one order, so that an answer and the event about it hold the
 * same bytes. */
#include "fcgi-api/task/task_json.h"

#include "common/clock.h"

static void add_time(struct strbuf *out, int64_t wall_ms)
{
    char text[CLOCK_ISO_SIZE];
    clock_format_iso(wall_ms, text);
    strbuf_add(out, "\"", 1);
    strbuf_add_text(out, text);
    strbuf_add(out, "\"", 1);
}

void task_json_add(struct strbuf *out, const struct task *task)
{
    strbuf_printf(out, "{\"id\":%u,\"user_id\":%u,\"status\":%d,\"content\":", task->id, task->user_id,
                  (int)task->status);
    strbuf_add_json_string(out, task->content, task->content_length);
    strbuf_add_text(out, ",\"createdAt\":");
    add_time(out, task->created_at_ms);
    strbuf_add_text(out, ",\"completedAt\":");
    if (task->completed_at_ms != CLOCK_NEVER)
        add_time(out, task->completed_at_ms);
    else
        strbuf_add_text(out, "null");
    strbuf_add(out, "}", 1);
}
