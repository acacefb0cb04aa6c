/* SPDX-License-Identifier: MIT */
/* When the database is compared with what was published, and what comes of it, with a database whose answers
 * are set. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"

static struct publisher publisher;

static struct {
    unsigned connections;
    char epoch[CURSOR_EPOCH_MAX + 1];
    uint64_t last_seq; /* every user's */
    int64_t noted_ms, now_ms;
    struct store_server server;
    uint64_t compared_server; /* as the pool has it */
    enum err err;             /* of each question */
    unsigned compared;        /* how often it was asked what the journal says */
    bool beaten;              /* another publisher makes the new epoch a moment before */
} world;

unsigned store_connections(const struct store *store)
{
    (void)store;
    return world.connections;
}

enum err store_journal_at(struct store *store, const struct published_event *events, size_t count,
                          struct journal_entry *entries, char epoch[CURSOR_EPOCH_MAX + 1])
{
    (void)store, (void)events;
    world.compared++;
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct journal_entry){world.last_seq, CLOCK_NEVER};
    strcpy(epoch, world.epoch);
    return world.err;
}

enum err store_epoch_renew(struct store *store, const char *of, char epoch[CURSOR_EPOCH_MAX + 1], bool *made)
{
    (void)store;
    assert_string_equal(of, "k1");
    strcpy(world.epoch, "k2");
    strcpy(epoch, world.epoch);
    *made = !world.beaten;
    return world.err;
}

enum err store_server(struct store *store, struct store_server *server)
{
    (void)store;
    *server = world.server;
    return world.err;
}

void pool_note_server(struct pool *pool, uint64_t server)
{
    (void)pool;
    world.compared_server = server;
}

uint64_t pool_server(const struct pool *pool)
{
    (void)pool;
    return world.compared_server;
}

enum err store_moment(struct store *store, const char *name, int64_t *wall_ms)
{
    (void)store;
    assert_string_equal(name, "compared_at");
    *wall_ms = world.noted_ms;
    return world.err;
}

enum err store_set_moment(struct store *store, const char *name, int64_t wall_ms)
{
    (void)store, (void)name;
    world.noted_ms = wall_ms;
    return world.err;
}

enum err store_clock(struct store *store, int64_t *wall_ms)
{
    (void)store;
    *wall_ms = world.now_ms;
    return world.err;
}

enum err publisher_lost(struct publisher *self, const char *format, ...)
{
    (void)self, (void)format;
    return ERR_CLOSED;
}

static void publish(uint64_t seq)
{
    const struct event_meta meta = {.user_id = 7, .seq = seq, .epoch = "k1", .created_at_ms = 1000};
    witness_note(&publisher.comparing.witness, &meta, 1);
}

static int begin(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    memset(&world, 0, sizeof world);
    strcpy(world.epoch, "k1");
    world.connections = 1;
    world.last_seq = 5;
    world.noted_ms = -1;
    world.now_ms = 100000;
    memset(&publisher, 0, sizeof publisher);
    publish(5);
    return metrics_open("", api_metric_defs, API_METRIC_COUNT, &publisher.metrics) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    metrics_close(&publisher.metrics);
    return 0;
}

static int64_t renewed(void)
{
    return metrics_get(publisher.metrics, API_EPOCHS_RENEWED);
}

/* Once for each connection of the database. */
static void test_a_database_that_has_all(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(world.compared, 1);
    assert_true(publisher_compare_time(&publisher) == INT64_MAX);
    world.connections++;
    assert_true(publisher_compare_time(&publisher) <= clock_monotonic_ms());
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(world.compared, 2);
    assert_true(renewed() == 0 && !publisher.comparing.renewed);
}

static void test_a_database_that_has_lost_some(void **state)
{
    (void)state;
    world.last_seq = 4;
    assert_int_equal(publisher_compare(&publisher), ERR_CLOSED);
    assert_string_equal(world.epoch, "k2");
    assert_true(renewed() == 1 && publisher.comparing.renewed);
    world.connections++; /* in the new epoch, nothing was published yet */
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(renewed(), 1);
}

/* Of several publishers one makes the epoch, and each gives up its connection. */
static void test_another_publisher_was_first(void **state)
{
    (void)state;
    world.last_seq = 4;
    world.beaten = true;
    assert_int_equal(publisher_compare(&publisher), ERR_CLOSED);
    assert_true(renewed() == 0 && publisher.comparing.renewed);
    (void)end(state);
    (void)begin(state);
    strcpy(world.epoch, "k2");
    assert_int_equal(publisher_compare(&publisher), ERR_CLOSED);
    assert_true(renewed() == 0 && publisher.comparing.renewed);
}

static void test_a_database_that_does_not_tell(void **state)
{
    (void)state;
    world.err = ERR_UNAVAILABLE;
    world.last_seq = 4;
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(world.compared, 1); /* there is a pause */
    publisher.comparing.retry_at = 0;
    world.err = ERR_OK;
    assert_int_equal(publisher_compare(&publisher), ERR_CLOSED);
}

/* Nothing that this process published is lost, or it has published nothing: the note tells. */
static void test_an_older_note(void **state)
{
    (void)state;
    assert_int_equal(publisher_note_compared(&publisher), ERR_OK);
    assert_int_equal(world.noted_ms, -1); /* the database is not compared yet */
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(publisher_note_compared(&publisher), ERR_OK);
    assert_int_equal(world.noted_ms, 100000);
    world.noted_ms = 40000;
    assert_false(publisher.comparing.look);
    assert_int_equal(publisher_note_compared(&publisher), ERR_CLOSED);
    assert_true(publisher.comparing.look);
    assert_int_equal(world.noted_ms, 40000); /* until the stream was read */
    assert_int_equal(publisher_note_compared(&publisher), ERR_OK);
    assert_int_equal(world.noted_ms, 100000);
    world.noted_ms = 40000;
    world.connections++;
    assert_int_equal(publisher_compare(&publisher), ERR_CLOSED);
    assert_int_equal(renewed(), 0);
}

/* After another publisher: that one has compared a server which has run for long, and perhaps no other. */
static void test_whether_to_look(void **state)
{
    struct comparing *comparing = &publisher.comparing;
    (void)state;
    world.err = ERR_UNAVAILABLE;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK); /* it follows none: it does not ask */
    assert_false(comparing->look);
    comparing->succeeds = true;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_UNAVAILABLE);
    world.err = ERR_OK;
    world.server = (struct store_server){.name = 7, .up_s = 60};
    world.compared_server = 7;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK);
    assert_false(comparing->look);
    comparing->succeeds = true;
    world.server.up_s = 59;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK);
    assert_true(comparing->look && !comparing->succeeds);
    comparing->succeeds = true;
    world.server.up_s = 60; /* and there is another reason to look */
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK);
    assert_true(comparing->look);
}

/* The publisher before it has compared another one. */
static void test_a_server_that_takes_the_place_of_another(void **state)
{
    struct comparing *comparing = &publisher.comparing;
    (void)state;
    world.server = (struct store_server){.name = 7, .up_s = 9000};
    assert_int_equal(publisher_note_compared(&publisher), ERR_OK);
    assert_int_equal(world.compared_server, 0); /* not yet */
    assert_int_equal(publisher_compare(&publisher), ERR_OK);
    assert_int_equal(publisher_note_compared(&publisher), ERR_OK);
    assert_int_equal(world.compared_server, 7);
    comparing->succeeds = true;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK);
    assert_false(comparing->look);
    comparing->succeeds = true;
    world.server.name = 8;
    assert_int_equal(publisher_decide_to_look(&publisher), ERR_OK);
    assert_true(comparing->look);
}

static void test_how_far_back(void **state)
{
    int64_t since_s;
    (void)state;
    assert_int_equal(publisher_compared_since(&publisher, &since_s), ERR_OK);
    assert_int_equal(since_s, 5); /* there is no note */
    world.noted_ms = 40000;
    assert_int_equal(publisher_compared_since(&publisher, &since_s), ERR_OK);
    assert_int_equal(since_s, 65);
    world.noted_ms = 200000; /* a clock was set back */
    assert_int_equal(publisher_compared_since(&publisher, &since_s), ERR_OK);
    assert_int_equal(since_s, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_database_that_has_all, begin, end),
        cmocka_unit_test_setup_teardown(test_a_database_that_has_lost_some, begin, end),
        cmocka_unit_test_setup_teardown(test_another_publisher_was_first, begin, end),
        cmocka_unit_test_setup_teardown(test_a_database_that_does_not_tell, begin, end),
        cmocka_unit_test_setup_teardown(test_an_older_note, begin, end),
        cmocka_unit_test_setup_teardown(test_whether_to_look, begin, end),
        cmocka_unit_test_setup_teardown(test_a_server_that_takes_the_place_of_another, begin, end),
        cmocka_unit_test_setup_teardown(test_how_far_back, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
