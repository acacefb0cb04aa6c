/* SPDX-License-Identifier: MIT */
/* The notifier's answers over HTTP. */
#include "tests/unit/browser.h"

#include <string.h>

#include "common/log.h"
#include "fcgi-api/http/problem.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/pages.h"

static struct config config = {.ring_bytes = 1000000, .ring_age_s = 900, .stream_max_age_s = 604800};
static struct metrics *metrics;
static struct hub *hub;
static struct feed *feed;

static int set_up(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    metrics = open_metrics();
    hub = hub_new(4, 100, metrics);
    feed = feed_new(&config, hub, metrics);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    feed_free(&feed);
    hub_free(&hub);
    metrics_close(&metrics);
    return 0;
}

static void catch_up(void)
{
    struct amqp_delivery beacon = {.type = EVENT_BEACON_TYPE,
                                   .message_id = "",
                                   .account = "",
                                   .body = "{}",
                                   .body_length = 2,
                                   .author = AMQP_BY_API};
    strcpy(beacon.meta.epoch, "k3f9a1c2");
    feed_connected(feed, false);
    feed_take(feed, &beacon);
    feed_caught_up(feed, 1700000000);
}

static void check_page(const char *path, int status, const char *body)
{
    struct page page;
    const struct page_request request = {.path = path, .id = "r-1"};
    page_make(&page, &request, feed, metrics);
    assert_int_equal(page.status, status);
    if (!strstr(page.body.text, body))
        fail_msg("%s: %s", path, page.body.text);
    strbuf_free(&page.body);
}

static void test_probes_and_metrics(void **state)
{
    (void)state;
    check_page("/healthz", 200, "\"ok\"");
    check_page("/readyz", 503, "\"broker\":\"down\",\"caught_up\":false,\"epoch\":null");
    catch_up();
    check_page("/readyz", 200, "\"broker\":\"up\",\"caught_up\":true,\"epoch\":\"k3f9a1c2\"");
    check_page("/metrics", 200, "carillon_notifier_caught_up 1");
}

static void test_everything_else(void **state)
{
    (void)state;
    check_page("/", 426, "WebSocket");
    check_page("/ws", 426, "WebSocket");
    check_page("/else\"", 404, "/else\\\"");
    check_page("/\xff", 404, "404");
}

static void test_problems(void **state)
{
    (void)state;
    struct page page;
    const struct page_request request = {.path = "/events", .id = "r-1"};
    page_problem(&page, PAGE_VALIDATION, &request, "a \"b\"", "{\"field\":\"x\",\"message\":\"y\"}");
    assert_int_equal(page.status, 422);
    assert_string_equal(
        page.body.text,
        "{\"type\":\"/problems/validation\",\"title\":\"Some of the values are not valid\","
        "\"status\":422,\"detail\":\"a \\\"b\\\"\",\"instance\":\"/events\",\"request_id\":\"r-1\","
        "\"errors\":[{\"field\":\"x\",\"message\":\"y\"}]}\n");
    strbuf_free(&page.body);
}

/* Each type has one title and one status, in the API and in the notifier. */
static void test_types_are_the_apis(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *slug, *title;
    } ours[] =
        {
#define X(name, status, slug, title) {status, slug, title},
            PAGE_PROBLEMS(X)
#undef X
        },
      apis[] = {
#define X(name, status, slug, title) {status, slug, title},
          PROBLEMS(X)
#undef X
      };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        for (size_t j = 0; j < sizeof apis / sizeof *apis; j++) {
            if (strcmp(ours[i].slug, apis[j].slug) != 0)
                continue;
            assert_string_equal(ours[i].title, apis[j].title);
            assert_int_equal(ours[i].status, apis[j].status);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probes_and_metrics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_everything_else, set_up, tear_down),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_types_are_the_apis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
