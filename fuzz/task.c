/* SPDX-License-Identifier: MIT */
/* JSON from outside, and the tasks in it. An input is a request's body. */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_fault.h"
#include "common/utf8.h"
#include "fcgi-api/api/task_input.h"
#include "fcgi-api/task/task_json.h"

/* Valid by RFC 8259 and refused: only for a reason that json.h lists. */
static bool may_be_refused(const struct fuzz_json *found, const char *why)
{
    static const char *const rules[] = {"is nested too deeply", "has an object with too many keys",
                                        "has the same key twice in one object", "has a number out of range"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strcmp(why, rules[i]) == 0)
            return true;
    return found->escaped_nul || found->longest_number >= 63;
}

static void check_task(const struct task *task)
{
    struct strbuf text = {0};
    const char *why = NULL;
    cJSON *object = NULL;

    task_json_add(&text, task);
    CHECK(fuzz_is_object(text.text, text.length));
    CHECK(json_parse_object(text.text, text.length, &object, &why) == ERR_OK);
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(object, "content");
    CHECK(cJSON_IsString(content) && strcmp(content->valuestring, task->content) == 0);
    const cJSON *completed = cJSON_GetObjectItemCaseSensitive(object, "completedAt");
    CHECK(task->completed_at_ms == CLOCK_NEVER ? cJSON_IsNull(completed) : cJSON_IsString(completed));
    cJSON_Delete(object);
    strbuf_free(&text);
}

static void set_content(struct task *task, const char *content)
{
    CHECK(utf8_valid(content, strlen(content)));
    CHECK(utf8_count(content, strlen(content)) <= TASK_CONTENT_MAX && !utf8_blank(content, strlen(content)));
    CHECK(strlen(content) < sizeof task->content);
    task_set_content(task, content);
}

static void try_new(const cJSON *object)
{
    struct field_errors errors = {0};
    struct task_new fresh;
    struct task task = {
        .id = 1, .completed_at_ms = CLOCK_NEVER, .created_at_ms = 1704214800000, .version = 1};

    task_input_new(object, &fresh, &errors);
    if (errors.count > 0)
        return;
    CHECK(fresh.user_id >= 1 && fresh.user_id <= TASK_ID_MAX);
    task.user_id = fresh.user_id;
    set_content(&task, fresh.content);
    check_task(&task);
}

static void try_patch(const cJSON *object)
{
    struct field_errors errors = {0};
    struct task_patch patch;
    struct task task = {.id = 1,
                        .user_id = 1,
                        .content = "a",
                        .content_length = 1,
                        .completed_at_ms = CLOCK_NEVER,
                        .version = 1};

    task_input_patch(object, &patch, &errors);
    if (errors.count > 0)
        return;
    CHECK(task_patch_asks(&patch));
    CHECK(patch.status == TASK_OPEN || patch.status == TASK_COMPLETED);
    if (patch.content != NULL)
        CHECK(task_content_fault(patch.content) == NULL);
    (void)task_apply(&task, &patch, 1704214800000);
    CHECK(task.version == 2);
    CHECK((task.status == TASK_COMPLETED) == (task.completed_at_ms != CLOCK_NEVER));
    check_task(&task);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    cJSON *object = NULL;
    char *text = malloc(size + 1); /* of exactly this size: the sanitizer sees an access beyond it */

    memcpy(text, data, size);
    text = realloc(text, size > 0 ? size : 1);
    struct fuzz_json found = fuzz_read_json(text, size);
    if (json_parse_object(text, size, &object, &why) == ERR_OK) {
        CHECK(found.valid && found.kind == '{' && found.depth <= JSON_DEPTH_MAX && !found.escaped_nul);
        try_new(object);
        try_patch(object);
    } else {
        CHECK(object == NULL && why != NULL && why[0] != '\0');
        struct json_fault fault = json_find_fault(text, size);
        CHECK(fault.offset <= size && fault.line >= 1 == (fault.what != NULL));
        CHECK(found.valid || fault.what != NULL);
        CHECK(!(found.valid && found.kind == '{') || may_be_refused(&found, why));
    }
    cJSON_Delete(object);
    free(text);
    return 0;
}
