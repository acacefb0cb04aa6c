/* SPDX-License-Identifier: MIT */
/* What the workers share: the turn to publish, and the pipe of hints. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi-api/publisher/pool.h"

static char folder[] = "/tmp/pool-test-XXXXXX";
static char stats_file[64], pipe_name[128];

#define TARGET "one database and broker"

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(stats_file, sizeof stats_file, "%s/stats", folder);
    return 0;
}

/* The name of the pipe, and how many there are. */
static size_t find_pipe(void)
{
    glob_t found;
    char pattern[80];
    snprintf(pattern, sizeof pattern, "%s.events-*", stats_file);
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    if (count > 0)
        snprintf(pipe_name, sizeof pipe_name, "%s", found.gl_pathv[0]);
    globfree(&found);
    return count;
}

static void remove_files(void)
{
    glob_t found;
    char pattern[80];
    snprintf(pattern, sizeof pattern, "%s*", stats_file);
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            unlink(found.gl_pathv[i]);
    globfree(&found);
}

static int remove_folder(void **state)
{
    (void)state;
    remove_files();
    return rmdir(folder);
}

static struct pool *open_pool(const char *file)
{
    struct pool *pool = NULL;
    assert_int_equal(pool_open(file, TARGET, &pool), ERR_OK);
    return pool;
}

static bool put(struct pool *pool, uint32_t user_id, uint64_t seq, size_t length)
{
    static const char payload[POOL_PAYLOAD_MAX + 1] = "{\"type\":\"notification\"}";
    struct event_meta meta = {.epoch = "k3", .user_id = user_id, .seq = seq, .type = "task.created"};
    return pool_hint(pool, &meta, 1700000000123, payload, length);
}

static void check_hints(struct pool *from, struct pool *to)
{
    struct pool_hint hints[4];
    assert_int_equal(pool_take_hints(to, hints, 4), 0);
    for (uint32_t user = 1; user <= 5; user++)
        assert_true(put(from, user, user * UINT64_C(5000000000), 23));
    assert_int_equal(pool_take_hints(to, hints, 4), 4);
    assert_int_equal(hints[3].meta.user_id, 4);
    assert_true(hints[3].meta.seq == 4 * UINT64_C(5000000000));
    assert_string_equal(hints[3].meta.epoch, "k3");
    assert_string_equal(hints[3].meta.type, "task.created");
    assert_true(hints[3].queued_at_ms == 1700000000123);
    assert_int_equal(hints[3].length, 23);
    assert_memory_equal(hints[3].payload, "{\"type\":\"notification\"}", 23);
    assert_int_equal(pool_take_hints(to, hints, 4), 1);
    assert_int_equal(hints[0].meta.user_id, 5);
}

static void test_an_event_too_long_comes_without(void **state)
{
    (void)state;
    struct pool *pool = open_pool("");
    struct pool_hint hints[3];
    assert_true(put(pool, 1, 1, POOL_PAYLOAD_MAX));
    assert_true(put(pool, 1, 2, POOL_PAYLOAD_MAX + 1));
    assert_true(pool_wake(pool));
    assert_int_equal(pool_take_hints(pool, hints, 3), 3);
    assert_int_equal(hints[0].length, POOL_PAYLOAD_MAX);
    assert_int_equal(hints[1].length, 0);
    assert_int_equal(hints[1].meta.seq, 2);
    assert_int_equal(hints[2].meta.user_id, 0);
    pool_close(&pool);
}

static void test_a_pool_of_one(void **state)
{
    (void)state;
    struct pool *pool = open_pool("");
    assert_int_equal(pool_take_turn(pool), ERR_OK);
    check_hints(pool, pool);
    pool_close(&pool);
    assert_null(pool);
    pool_close(&pool);
}

static void test_hints_outlive_their_reader(void **state)
{
    (void)state;
    struct pool *writer = open_pool(stats_file), *first = open_pool(stats_file);
    check_hints(writer, first);
    assert_true(put(writer, 9, 1, 23));
    pool_close(&first);
    struct pool_hint hint;
    struct pool *second = open_pool(stats_file);
    assert_int_equal(pool_take_hints(second, &hint, 1), 1);
    assert_int_equal(hint.meta.user_id, 9);
    pool_close(&second);
    pool_close(&writer);
}

static void test_a_full_pipe_waits_for_nobody(void **state)
{
    (void)state;
    struct pool *pool = open_pool(stats_file);
    struct pool_hint hints[64];
    size_t written = 0, taken = 0, count;
    while (put(pool, 1, written + 1, 400))
        written++;
    assert_true(written >= 64);
    while ((count = pool_take_hints(pool, hints, 64)) > 0)
        for (size_t i = 0; i < count; i++)
            assert_true(hints[i].meta.seq == ++taken);
    assert_true(taken == written);
    pool_close(&pool);
}

/* Another process, which reports its turn and then does nothing. */
static pid_t start_holder(void)
{
    int said[2];
    char byte = 0;
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct pool *pool = NULL;
        if (pool_open(stats_file, TARGET, &pool) != ERR_OK || pool_take_turn(pool) != ERR_OK)
            _exit(1);
        (void)!write(said[1], &byte, 1);
        for (;;)
            pause();
    }
    close(said[1]);
    assert_int_equal(read(said[0], &byte, 1), 1);
    close(said[0]);
    return pid;
}

static void test_one_at_a_time_until_it_dies(void **state)
{
    (void)state;
    struct pool *pool = open_pool(stats_file);
    pid_t holder = start_holder();

    assert_int_equal(pool_take_turn(pool), ERR_AGAIN);
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_int_equal(pool_take_turn(pool), ERR_OK);
    pool_close(&pool);
    holder = start_holder(); /* closing lets the next one publish */
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
}

static void test_two_targets_of_one_stats_file(void **state)
{
    (void)state;
    struct pool *one = open_pool(stats_file), *other = NULL;
    struct pool_hint hint;
    assert_int_equal(pool_open(stats_file, "another database", &other), ERR_OK);
    assert_int_equal(pool_take_turn(one), ERR_OK);
    assert_int_equal(pool_take_turn(other), ERR_OK);
    assert_true(put(one, 7, 1, 23));
    assert_int_equal(pool_take_hints(other, &hint, 1), 0);
    assert_int_equal(pool_take_hints(one, &hint, 1), 1);
    pool_show_up(one, POOL_HOLDER, 5);
    pool_note_server(one, 7);
    assert_true(pool_seen(other, POOL_HOLDER) == 0 && pool_server(other) == 0);
    pool_close(&one);
    assert_int_equal(find_pipe(), 2);
    /* Seen by the next of the same pool, and kept apart from its stand-in's. */
    one = open_pool(stats_file);
    assert_int_equal(pool_seen(one, POOL_HOLDER), 5);
    assert_int_equal(pool_seen(one, POOL_STAND_IN), 0);
    assert_int_equal(pool_server(one), 7);
    pool_close(&one);
    pool_close(&other);
    remove_files();
}

static void write_raw(const struct pool_hint *hint)
{
    assert_int_equal(find_pipe(), 1);
    int fd = open(pipe_name, O_WRONLY);
    assert_int_equal(write(fd, hint, sizeof *hint), sizeof *hint);
    close(fd);
}

static void test_a_hint_that_makes_no_sense_only_wakes(void **state)
{
    (void)state;
    struct pool *pool = open_pool(stats_file);
    struct pool_hint hint,
        wrong = {.meta = {.epoch = "k3", .user_id = 7, .seq = 1}, .length = POOL_PAYLOAD_MAX + 1};
    write_raw(&wrong);
    assert_int_equal(pool_take_hints(pool, &hint, 1), 1);
    assert_int_equal(hint.meta.user_id, 0);
    wrong.length = 0;
    memset(wrong.meta.request_id, 'x', sizeof wrong.meta.request_id);
    write_raw(&wrong);
    assert_int_equal(pool_take_hints(pool, &hint, 1), 1);
    assert_int_equal(hint.meta.user_id, 0);
    pool_close(&pool);
}

static void test_another_file_of_that_name(void **state)
{
    (void)state;
    struct pool *pool = NULL;
    assert_int_equal(find_pipe(), 1);
    unlink(pipe_name);
    close(open(pipe_name, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(pool_open(stats_file, TARGET, &pool), ERR_SYSTEM);
    assert_int_equal(errno, EEXIST);
    unlink(pipe_name);
    assert_int_equal(pool_open("/nowhere/at/all", TARGET, &pool), ERR_SYSTEM);
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pool_of_one),
        cmocka_unit_test(test_an_event_too_long_comes_without),
        cmocka_unit_test(test_hints_outlive_their_reader),
        cmocka_unit_test(test_a_full_pipe_waits_for_nobody),
        cmocka_unit_test(test_one_at_a_time_until_it_dies),
        cmocka_unit_test(test_two_targets_of_one_stats_file),
        cmocka_unit_test(test_a_hint_that_makes_no_sense_only_wakes),
        cmocka_unit_test(test_another_file_of_that_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
