/* SPDX-License-Identifier: MIT */
/* Which call a method and a path are. */
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/api/handlers.h"

static const struct route *find(enum method method, const char *path)
{
    struct route_match match;
    return router_find(&api_calls, method, path, &match) == ERR_OK ? match.route : NULL;
}

static void test_finds(void **state)
{
    (void)state;
    assert_ptr_equal(find(METHOD_GET, "/tasks")->handle, handle_task_list);
    assert_ptr_equal(find(METHOD_POST, "/tasks")->handle, handle_task_create);
    assert_ptr_equal(find(METHOD_PATCH, "/tasks/1")->handle, handle_task_update);
    assert_ptr_equal(find(METHOD_HEAD, "/tasks/1")->handle, handle_task_get);
    assert_ptr_equal(find(METHOD_GET, "/users/7/events")->handle, handle_event_list);
    assert_ptr_equal(find(METHOD_POST, "/users/7/events")->handle, handle_event_create);
    assert_ptr_equal(find(METHOD_GET, "/metrics")->handle, handle_metrics);
    assert_ptr_equal(find(METHOD_GET, "/admin/notifiers/2/metrics")->handle, handle_notifier_metrics);
}

static void test_finds_the_id(void **state)
{
    struct route_match match;
    (void)state;
    assert_int_equal(router_find(&api_calls, METHOD_GET, "/users/abc/events", &match), ERR_OK);
    assert_int_equal(match.id_length, 3);
    assert_memory_equal(match.id, "abc", 3);
    assert_int_equal(router_find(&api_calls, METHOD_GET, "/users", &match), ERR_OK);
    assert_null(match.id);
}

static void test_finds_nothing(void **state)
{
    static const char *const nowhere[] = {"",
                                          "/",
                                          "tasks",
                                          "/task",
                                          "/tasks/",
                                          "/tasks/1/2",
                                          "/tasks//1",
                                          "/users//events",
                                          "/users/1/events/",
                                          "/tasksx",
                                          "/Tasks",
                                          "/tasks/1/",
                                          "/users/1/event"};
    struct route_match match;
    (void)state;
    for (size_t i = 0; i < sizeof nowhere / sizeof nowhere[0]; i++)
        assert_int_equal(router_find(&api_calls, METHOD_GET, nowhere[i], &match), ERR_NOT_FOUND);
}

static void assert_allowed(const char *path, const char *allowed)
{
    struct strbuf out = {0};
    struct route_match match;
    assert_int_equal(router_find(&api_calls, METHOD_OTHER, path, &match), ERR_OK);
    assert_null(match.route);
    router_add_allowed(&api_calls, path, &out);
    assert_string_equal(out.text, allowed);
    strbuf_free(&out);
}

static void test_tells_what_is_allowed(void **state)
{
    (void)state;
    assert_allowed("/tasks", "GET, HEAD, POST, OPTIONS");
    assert_allowed("/tasks/abc", "GET, HEAD, PATCH, DELETE, OPTIONS");
    assert_allowed("/users", "GET, HEAD, POST, OPTIONS");
    assert_allowed("/users/1", "GET, HEAD, PATCH, OPTIONS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_finds_the_id),
        cmocka_unit_test(test_finds_nothing),
        cmocka_unit_test(test_tells_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
