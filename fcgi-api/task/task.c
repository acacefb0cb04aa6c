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
    task->completed_at_ms = status == TASK_COMPLETED ? now_ms : -1;
}

static void set_content(struct task *task, const char *content)
{
    size_t length = strlen(content);
    assert(length < sizeof task->content);
    memcpy(task->content, content, length + 1);
}

enum event_type task_apply(struct task *task, const struct task_patch *patch, int64_t now_ms)
{
    assert(patch->has_status || patch->content != NULL);
    task->version++;
    if (patch->content != NULL)
        set_content(task, patch->content);
    if (!patch->has_status)
        return EVENT_TASK_UPDATED;
    set_status(task, patch->status, now_ms);
    return patch->status == TASK_COMPLETED ? EVENT_TASK_COMPLETED : EVENT_TASK_REOPENED;
}
