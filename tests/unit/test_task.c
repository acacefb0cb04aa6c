/* SPDX-License-Identifier: MIT */
/* A task: its rules, its JSON, and the changes that a client's JSON requests. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/json.h"
#include "fcgi-api/api/task_input.h"
#include "fcgi-api/task/task_json.h"

static void test_apply(void **state)
{
    struct task task = {.id = 1,
                        .user_id = 1,
                        .content = "a",
                        .content_length = 1,
                        .completed_at_ms = CLOCK_NEVER,
                        .version = 1};
    (void)state;
    assert_int_equal(task_apply(&task, &(struct task_patch){.content = "b"}, 5), EVENT_TASK_UPDATED);
    assert_string_equal(task.content, "b");
    assert_true(task.completed_at_ms == CLOCK_NEVER);
    assert_int_equal(task.version, 2);

    struct task_patch done = {.has_status = true, .status = TASK_COMPLETED, .content = "c"};
    assert_int_equal(task_apply(&task, &done, 6), EVENT_TASK_COMPLETED);
    assert_int_equal(task_apply(&task, &done, 7), EVENT_TASK_COMPLETED); /* again: the time moves */
    assert_int_equal(task.completed_at_ms, 7);
    assert_string_equal(task.content, "c");

    struct task_patch open = {.has_status = true, .status = TASK_OPEN};
    assert_int_equal(task_apply(&task, &open, 8), EVENT_TASK_REOPENED);
    assert_true(task.completed_at_ms == CLOCK_NEVER);
    assert_int_equal(task.version, 5);
    task.version = UINT32_MAX;
    assert_int_equal(task_apply(&task, &open, 9), EVENT_TASK_REOPENED);
    assert_int_equal(task.version, 1);
}

static void test_content_rules(void **state)
{
    static char long_text[TASK_CONTENT_MAX * 4 + 8];
    (void)state;
    assert_null(task_content_fault("Acheter du pain"));
    assert_null(task_content_fault(" x "));
    assert_non_null(task_content_fault(""));
    assert_non_null(task_content_fault(" \t\n"));
    assert_non_null(task_content_fault("\xc2\xa0\xe3\x80\x80"));
    for (int i = 0; i < TASK_CONTENT_MAX; i++)
        memcpy(long_text + i * 4, "\xf0\x9f\xa5\x96", 4);
    assert_null(task_content_fault(long_text));
    strcat(long_text, "a");
    assert_string_equal(task_content_fault(long_text), "must have at most 1000 characters");
}

static void test_json(void **state)
{
    struct strbuf out = {0};
    struct task task = {.id = 2147483647,
                        .user_id = 1,
                        .content = "l'\"\\\n\xf0\x9f\xa5\x96",
                        .content_length = 9,
                        .created_at_ms = 1704214800000,
                        .completed_at_ms = CLOCK_NEVER};
    (void)state;
    task_json_add(&out, &task);
    assert_string_equal(
        out.text,
        "{\"id\":2147483647,\"user_id\":1,\"status\":0,\"content\":\"l'\\\"\\\\\\n\xf0\x9f\xa5\x96\","
        "\"createdAt\":\"2024-01-02T17:00:00.000Z\",\"completedAt\":null}");
    strbuf_clear(&out);
    task.status = TASK_COMPLETED;
    task.completed_at_ms = 1706907263005;
    task_json_add(&out, &task);
    assert_non_null(strstr(out.text, "\"status\":1,"));
    assert_non_null(strstr(out.text, "\"completedAt\":\"2024-02-02T20:54:23.005Z\"}"));
    strbuf_clear(&out);
    task.completed_at_ms = -1;
    memcpy(task.content, "a\0b", 4);
    task.content_length = 3;
    task_json_add(&out, &task);
    assert_non_null(strstr(out.text, "\"content\":\"a\\u0000b\","));
    assert_non_null(strstr(out.text, "\"completedAt\":\"1969-12-31T23:59:59.999Z\"}"));
    strbuf_free(&out);
}

static cJSON *parse(const char *text)
{
    cJSON *object = NULL;
    const char *why = NULL;
    assert_int_equal(json_parse_object(text, strlen(text), &object, &why), ERR_OK);
    return object;
}

static void assert_fields(const struct field_errors *errors, const char *fields)
{
    struct strbuf got = {0};
    for (size_t i = 0; i < errors->count; i++)
        strbuf_printf(&got, "%s;", errors->list[i].field);
    assert_string_equal(errors->count > 0 ? got.text : "", fields);
    strbuf_free(&got);
}

static void check_patch(const char *text, const char *fields)
{
    struct task_patch patch;
    struct field_errors errors = {0};
    cJSON *object = parse(text);
    task_input_patch(object, &patch, &errors);
    assert_fields(&errors, fields);
    cJSON_Delete(object);
}

static void check_new(const char *text, const char *fields)
{
    struct task_new task;
    struct field_errors errors = {0};
    cJSON *object = parse(text);
    task_input_new(object, &task, &errors);
    assert_fields(&errors, fields);
    cJSON_Delete(object);
}

static void test_patch_input(void **state)
{
    (void)state;
    check_patch("{\"status\":1}", "");
    check_patch("{\"status\":0,\"content\":\"x\"}", "");
    check_patch("{}", "status;");
    check_patch("{\"user_id\":1,\"id\":2}", "user_id;id;");
    check_patch("{\"status\":\"1\"}", "status;");
    check_patch("{\"status\":true}", "status;");
    check_patch("{\"status\":null}", "status;");
    check_patch("{\"status\":2}", "status;");
    check_patch("{\"status\":-1}", "status;");
    check_patch("{\"status\":1.5}", "status;");
    check_patch("{\"status\":[]}", "status;");
    check_patch("{\"Status\":1}", "Status;");
    check_patch("{\"status\":1,\"user_id\":2}", ""); /* the row decides */
    check_patch("{\"status\":1,\"user_id\":\"2\",\"createdAt\":1}", "user_id;createdAt;");
    check_patch("{\"status\":7,\"content\":\" \",\"\":1}", "status;content;;");
}

static void test_new_input(void **state)
{
    (void)state;
    check_new("{\"user_id\":1,\"content\":\"x\"}", "");
    check_new("{\"user_id\":4294967295,\"content\":\"x\"}", "");
    check_new("{}", "user_id;content;");
    check_new("{\"user_id\":4294967296,\"content\":\"x\"}", "user_id;");
    check_new("{\"user_id\":0,\"content\":\"x\"}", "user_id;");
    check_new("{\"user_id\":18446744073709551617,\"content\":\"x\"}", "user_id;");
    check_new("{\"user_id\":\"1\",\"content\":null}", "user_id;content;");
    check_new("{\"user_id\":1,\"content\":\"x\",\"status\":1}", "status;");
}

static const char *message_of(const char *text)
{
    static struct field_errors errors;
    struct task_patch patch;
    cJSON *object = parse(text);
    errors = (struct field_errors){0};
    task_input_patch(object, &patch, &errors);
    cJSON_Delete(object);
    return errors.list[0].message;
}

/* The error explains why "1" is no number. */
static void test_what_came_is_said(void **state)
{
    (void)state;
    assert_string_equal(message_of("{\"status\":\"1\"}"),
                        "must be the number 0 (open) or 1 (completed), not a string");
    assert_string_equal(message_of("{\"status\":true}"),
                        "must be the number 0 (open) or 1 (completed), not true");
    assert_string_equal(message_of("{\"status\":2}"), "must be the number 0 (open) or 1 (completed)");
    assert_string_equal(message_of("{\"content\":null}"), "must be a string, not null");
    assert_string_equal(message_of("{\"content\":[1]}"), "must be a string, not a list");
}

static void test_many_errors_stay_bounded(void **state)
{
    struct strbuf text = {0};
    struct task_new task;
    struct field_errors errors = {0};
    (void)state;
    strbuf_add_text(&text, "{\"content\":\"x\"");
    for (int i = 0; i < 60; i++)
        strbuf_printf(&text, ",\"k%d\":1", i);
    strbuf_add_text(&text, "}");
    cJSON *object = parse(text.text);
    task_input_new(object, &task, &errors);
    assert_int_equal(errors.count, FIELD_ERRORS_MAX);
    assert_int_equal(errors.total, 61);
    cJSON_Delete(object);
    strbuf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_content_rules),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_patch_input),
        cmocka_unit_test(test_new_input),
        cmocka_unit_test(test_what_came_is_said),
        cmocka_unit_test(test_many_errors_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
