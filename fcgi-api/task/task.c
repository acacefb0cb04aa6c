/* SPDX-License-Identifier: MIT */
/* The rules of a task. */
#include "fcgi-api/task/task.h"

#include <assert.h>
#include <string.h>

#include "common/utf8.h"

#define TEXT(number)     TEXT_OF(number)
#define TEXT_OF(literal) #literal

const char *task_content_fault(const char *content)
{
    size_t length = strlen(content);
    if (length == 0)
        return "must not be empty";
    if (utf8_count(content, length) > TASK_CONTENT_MAX)
        return "must have at most " TEXT(TASK_CONTENT_MAX) " characters";
    if (utf8_blank(content, length))
        return "must not be only white space";
    return NULL;
}

static void set_status(struct task *task, enum task_status status, int64_t now_ms)
{
    task->status = status;
    task->completed_at_ms = status == TASK_COMPLETED ? now_ms : CLOCK_NEVER;
}

void task_set_content(struct task *task, const char *content)
{
    size_t length = strlen(content);
    assert(length < sizeof task->content);
    memcpy(task->content, content, length + 1);
    task->content_length = length;
}

void task_begin(struct task *task, const struct task_new *asked, int64_t now_ms)
{
    *task = (struct task){.user_id = asked->user_id, .created_at_ms = now_ms, .version = 1};
    set_status(task, TASK_OPEN, now_ms);
    task_set_content(task, asked->content);
}

unsigned task_differs(const struct task *task, const struct task_expected *expected)
{
    unsigned differs = 0;
    if (expected->id != task->id)
        differs |= TASK_GIVES_ID;
    if (expected->user_id != task->user_id)
        differs |= TASK_GIVES_USER_ID;
    if (expected->created_at_ms != task->created_at_ms)
        differs |= TASK_GIVES_CREATED_AT;
    if (expected->completed_at_ms != task->completed_at_ms)
        differs |= TASK_GIVES_COMPLETED_AT;
    return differs & expected->given;
}

bool task_patch_asks(const struct task_patch *patch)
{
    return patch->has_status || patch->content != NULL;
}

enum event_type task_apply(struct task *task, const struct task_patch *patch, int64_t now_ms)
{
    assert(task_patch_asks(patch));
    task->version = task->version == UINT32_MAX ? 1 : task->version + 1;
    if (patch->content != NULL)
        task_set_content(task, patch->content);
    if (!patch->has_status)
        return EVENT_TASK_UPDATED;
    set_status(task, patch->status, now_ms);
    return patch->status == TASK_COMPLETED ? EVENT_TASK_COMPLETED : EVENT_TASK_REOPENED;
}
