/* SPDX-License-Identifier: MIT */
/* Metrics: shared by all processes that open the file, and written as Prometheus reads them. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/metrics.h"

static const struct metric_def defs[] = {
    {METRIC_COUNTER, "x_total", "code=\"2xx\"", "Answers"},
    {METRIC_COUNTER, "x_total", "code=\"4xx\"", "Answers"},
    {METRIC_HISTOGRAM, "x_seconds", "", "Time"},
    {METRIC_GAUGE, "x_depth", "", "Depth"},
};

static void test_units(void **state)
{
    (void)state;
    static const struct metric_def units[] = {
        {METRIC_SECONDS, "x_age_seconds", "", "Age"},
        {METRIC_INFO, "x_build_info", "version=\"1\"", "Version"},
    };
    struct metrics *metrics = NULL;
    struct strbuf text = {0};
    assert_int_equal(metrics_open("", units, 2, &metrics), ERR_OK);
    metrics_set(metrics, 0, 61005);
    metrics_render(metrics, &text);
    assert_string_equal(text.text,
                        "# HELP x_age_seconds Age\n# TYPE x_age_seconds gauge\nx_age_seconds 61.005\n"
                        "# HELP x_build_info Version\n# TYPE x_build_info gauge\n"
                        "x_build_info{version=\"1\"} 1\n");
    strbuf_free(&text);
    metrics_close(&metrics);
}

static char directory[] = "/tmp/carillon-metrics-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    strcpy(path, directory);
    strcat(path, "/stats");
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static struct metrics *open_or_fail(const char *where, size_t count)
{
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_open(where, defs, count, &metrics), ERR_OK);
    return metrics;
}

static void test_text(void **state)
{
    (void)state;
    struct metrics *metrics = open_or_fail("", 4);
    struct strbuf text = {0};
    metrics_add(metrics, 0, 3);
    metrics_add(metrics, 1, 1);
    metrics_set(metrics, 3, -2);
    metrics_observe_us(metrics, 2, 250);      /* first bucket: le="0.00025" */
    metrics_observe_us(metrics, 2, 251);      /* second */
    metrics_observe_us(metrics, 2, 60000000); /* a minute: only +Inf */
    metrics_render(metrics, &text);
    assert_non_null(strstr(text.text, "# HELP x_total Answers\n# TYPE x_total counter\n"
                                      "x_total{code=\"2xx\"} 3\nx_total{code=\"4xx\"} 1\n"));
    assert_non_null(strstr(text.text, "x_seconds_bucket{le=\"0.00025\"} 1\n"
                                      "x_seconds_bucket{le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text.text, "x_seconds_bucket{le=\"16.384\"} 2\nx_seconds_bucket{le=\"+Inf\"} 3\n"
                                      "x_seconds_sum 60.000501\nx_seconds_count 3\n"));
    assert_non_null(strstr(text.text, "# TYPE x_depth gauge\nx_depth -2\n"));
    strbuf_free(&text);
    metrics_close(&metrics);
    assert_null(metrics);
}

static void test_shared_by_processes(void **state)
{
    (void)state;
    struct metrics *metrics = open_or_fail(path, 4);
    pid_t child = fork();
    if (child == 0) {
        struct metrics *own = NULL;
        if (metrics_open(path, defs, 4, &own) != ERR_OK)
            _exit(1);
        for (int i = 0; i < 1000; i++)
            metrics_add(own, 0, 1);
        _exit(0);
    }
    for (int i = 0; i < 1000; i++)
        metrics_add(metrics, 0, 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(metrics_get(metrics, 0), 2000);
    metrics_close(&metrics);
    metrics = open_or_fail(path, 4); /* counts outlive the process */
    assert_int_equal(metrics_get(metrics, 0), 2000);
    metrics_close(&metrics);
}

static void test_other_shape_starts_anew(void **state)
{
    (void)state;
    struct metrics *metrics = open_or_fail(path, 4);
    metrics_add(metrics, 0, 5);
    struct metrics *other = open_or_fail(path, 2);
    assert_int_equal(metrics_get(other, 0), 0);
    metrics_add(metrics, 1, 5); /* the old mapping is still whole */
    metrics_close(&metrics);
    metrics_close(&other);
}

/* All processes that start beside a file of another table agree on the new one. */
static void test_many_start_beside_an_older_file(void **state)
{
    (void)state;
    enum { MANY = 200 };
    struct metrics *older = open_or_fail(path, 2);
    int older_file = open(path, O_RDWR);
    assert_int_equal(flock(older_file, LOCK_EX), 0); /* so that they wait for each other at it */
    for (int i = 0; i < MANY; i++) {
        if (fork() == 0) {
            struct metrics *mine = NULL;
            if (metrics_open(path, defs, 4, &mine) == ERR_OK)
                metrics_add(mine, 0, 1);
            _exit(0);
        }
    }
    usleep(100000); /* most are there; the more, the harder */
    assert_int_equal(flock(older_file, LOCK_UN), 0);
    close(older_file);
    for (int i = 0; i < MANY; i++)
        assert_true(wait(NULL) > 0);
    struct metrics *newer = open_or_fail(path, 4);
    assert_int_equal(metrics_get(newer, 0), MANY);
    metrics_close(&older);
    metrics_close(&newer);
}

static void test_unusable_path(void **state)
{
    (void)state;
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_open("/nonexistent/stats", defs, 4, &metrics), ERR_SYSTEM);
    assert_null(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_shared_by_processes),
        cmocka_unit_test(test_other_shape_starts_anew),
        cmocka_unit_test(test_many_start_beside_an_older_file),
        cmocka_unit_test(test_unusable_path),
    };
    return cmocka_run_group_tests_name("metrics", tests, make_directory, remove_directory);
}
