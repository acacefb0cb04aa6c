/* Reading the fields of a task. */
#include "fcgi-api/api/task_input.h"

#include <stdbool.h>
#include <string.h>

#include "common/json.h"

/* `allowed` is a NULL-terminated list. */
static void refuse_others(const cJSON *object, const char *const *allowed, struct field_errors *errors)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        const char *const *name = allowed;
        while (*name != NULL && strcmp(*name, item->string) != 0)
            name++;
        if (*name == NULL)
            field_errors_add(errors, item->string, "is not a field that can be given here");
    }
}

static uint32_t read_user_id(const cJSON *item, struct field_errors *errors)
{
    int64_t number = 0;
    if (item == NULL)
        field_errors_add(errors, "user_id", "is missing");
    else if (json_whole_number(item, 1, TASK_ID_MAX, &number) != ERR_OK)
        field_errors_add(errors, "user_id", "must be a whole number from 1 to %d", TASK_ID_MAX);
    return (uint32_t)number;
}

static enum task_status read_status(const cJSON *item, struct field_errors *errors)
{
    int64_t number = 0;
    if (json_whole_number(item, TASK_OPEN, TASK_COMPLETED, &number) != ERR_OK)
        field_errors_add(errors, "status", "must be the number 0 (open) or 1 (completed)");
    return (enum task_status)number;
}

static const char *read_content(const cJSON *item, struct field_errors *errors)
{
    if (!cJSON_IsString(item)) {
        field_errors_add(errors, "content", "must be a string");
        return NULL;
    }
    const char *fault = task_content_fault(item->valuestring);
    if (fault != NULL)
        field_errors_add(errors, "content", "%s", fault);
    return item->valuestring;
}

void task_input_new(const cJSON *object, struct task_new *task, struct field_errors *errors)
{
    static const char *const allowed[] = {"user_id", "content", NULL};
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");

    *task = (struct task_new){0};
    task->user_id = read_user_id(cJSON_GetObjectItemCaseSensitive(object, "user_id"), errors);
    if (content != NULL)
        task->content = read_content(content, errors);
    else
        field_errors_add(errors, "content", "is missing");
    refuse_others(object, allowed, errors);
}

void task_input_patch(const cJSON *object, struct task_patch *patch, struct field_errors *errors)
{
    static const char *const allowed[] = {"status", "content", NULL};
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(object, "status");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");

    *patch = (struct task_patch){.has_status = status != NULL};
    if (status != NULL)
        patch->status = read_status(status, errors);
    if (content != NULL)
        patch->content = read_content(content, errors);
    refuse_others(object, allowed, errors);
    if (status == NULL && content == NULL && errors->count == 0)
        field_errors_add(errors, "status", "is missing: give status, content, or both");
}
