/* SPDX-License-Identifier: MIT */
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

/* When a value is no number at all, the message says what it is: "1" looks like a number. */
static void refuse_number(const char *field, const char *must_be, const cJSON *item,
                          struct field_errors *errors)
{
    if (cJSON_IsNumber(item))
        field_errors_add(errors, field, "must be %s", must_be);
    else
        field_errors_add(errors, field, "must be %s, not %s", must_be, json_kind(item));
}

static int64_t read_id(const char *field, const cJSON *item, struct field_errors *errors)
{
    int64_t number = 0;
    if (json_whole_number(item, 1, TASK_ID_MAX, &number) != ERR_OK)
        refuse_number(field, "a whole number from 1 to " EVENT_ID_MAX_TEXT, item, errors);
    return number;
}

static enum task_status read_status(const cJSON *item, struct field_errors *errors)
{
    int64_t number = 0;
    if (json_whole_number(item, TASK_OPEN, TASK_COMPLETED, &number) != ERR_OK)
        refuse_number("status", "the number 0 (open) or 1 (completed)", item, errors);
    return (enum task_status)number;
}

static const char *read_content(const cJSON *item, struct field_errors *errors)
{
    if (!cJSON_IsString(item)) {
        field_errors_add(errors, "content", "must be a string, not %s", json_kind(item));
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
    const cJSON *user_id = cJSON_GetObjectItemCaseSensitive(object, "user_id");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");

    *task = (struct task_new){0};
    if (user_id != NULL)
        task->user_id = (uint32_t)read_id("user_id", user_id, errors);
    else
        field_errors_add(errors, "user_id", "is missing");
    if (content != NULL)
        task->content = read_content(content, errors);
    else
        field_errors_add(errors, "content", "is missing");
    refuse_others(object, allowed, errors);
}

/* ---- what a client read and sends back ------------------------------------------------------------ */

static int64_t read_time(const char *field, const cJSON *item, struct field_errors *errors)
{
    int64_t wall_ms = CLOCK_NEVER;
    if (!cJSON_IsNull(item) &&
        (!cJSON_IsString(item) || clock_parse_iso(item->valuestring, &wall_ms) != ERR_OK))
        field_errors_add(errors, field, "is read-only: leave it out, or send it back as it was read");
    return wall_ms;
}

static void read_expected(const cJSON *object, struct task_expected *expected, struct field_errors *errors)
{
    const struct {
        const char *name;
        unsigned flag;
        int64_t *to;
        int64_t (*read)(const char *field, const cJSON *item, struct field_errors *errors);
    } fields[] = {
        {"id", TASK_GIVES_ID, &expected->id, read_id},
        {"user_id", TASK_GIVES_USER_ID, &expected->user_id, read_id},
        {"createdAt", TASK_GIVES_CREATED_AT, &expected->created_at_ms, read_time},
        {"completedAt", TASK_GIVES_COMPLETED_AT, &expected->completed_at_ms, read_time},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, fields[i].name);
        if (item == NULL)
            continue;
        expected->given |= fields[i].flag;
        *fields[i].to = fields[i].read(fields[i].name, item, errors);
    }
}

/* Nothing is asked for: read-only fields alone, or no field at all. */
static void refuse_nothing(const cJSON *object, struct field_errors *errors)
{
    const cJSON *item;
    if (object->child == NULL)
        field_errors_add(errors, "status", "is missing: give status, content, or both");
    cJSON_ArrayForEach(item, object)
    {
        field_errors_add(errors, item->string, "is read-only: give status, content, or both");
    }
}

void task_input_patch(const cJSON *object, struct task_patch *patch, struct field_errors *errors)
{
    static const char *const allowed[] = {"status",    "content",     "id", "user_id",
                                          "createdAt", "completedAt", NULL};
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(object, "status");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");

    *patch = (struct task_patch){.has_status = status != NULL};
    if (status != NULL)
        patch->status = read_status(status, errors);
    if (content != NULL)
        patch->content = read_content(content, errors);
    read_expected(object, &patch->expected, errors);
    refuse_others(object, allowed, errors);
    if (!task_patch_asks(patch) && errors->count == 0)
        refuse_nothing(object, errors);
}

static void refuse_time(const char *field, int64_t wall_ms, struct field_errors *errors)
{
    char text[CLOCK_ISO_SIZE] = "null";
    if (wall_ms != CLOCK_NEVER)
        clock_format_iso(wall_ms, text);
    field_errors_add(errors, field, "is read-only, and is %s", text);
}

void task_input_refuse(const struct task *task, const struct task_patch *patch, struct field_errors *errors)
{
    unsigned differs = task_differs(task, &patch->expected);
    if (differs & TASK_GIVES_ID)
        field_errors_add(errors, "id", "is read-only, and is %u", task->id);
    if (differs & TASK_GIVES_USER_ID)
        field_errors_add(errors, "user_id", "is read-only, and is %u", task->user_id);
    if (differs & TASK_GIVES_CREATED_AT)
        refuse_time("createdAt", task->created_at_ms, errors);
    if (differs & TASK_GIVES_COMPLETED_AT)
        refuse_time("completedAt", task->completed_at_ms, errors);
}
