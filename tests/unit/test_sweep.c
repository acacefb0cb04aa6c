/* SPDX-License-Identifier: MIT */
/* What a publisher does now and then, with the sweeper's lock and without it: with a database and a broker
 * whose answers are set. */
#include "tests/unit/still_clock.h"
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/publisher/internal.h"

static struct config config = {.sweep_interval_ms = 1000};
static struct publisher publisher;

static struct {
    bool held; /* the lock: no other publisher has it */
    unsigned nodes;
    int64_t told; /* what beacons say of how complete the stream is */
    unsigned beacons, sweeps;
} world;

enum err store_lock(struct store *store, const char *name, bool *held)
{
    (void)store, (void)name;
    *held = world.held;
    return ERR_OK;
}

enum err store_unlock(struct store *store, const char *name)
{
    (void)store, (void)name;
    return ERR_OK;
}

enum err store_nodes(struct store *store, unsigned *count)
{
    (void)store;
    *count = world.nodes;
    return ERR_OK;
}

enum err store_barrier(struct store *store)
{
    (void)store;
    return ERR_OK;
}

enum err store_clock(struct store *store, int64_t *wall_ms)
{
    (void)store;
    *wall_ms = clock_wall_ms();
    return ERR_OK;
}

enum err store_outbox_users(struct store *store, int64_t min_age_ms, struct outbox_key *users, size_t limit,
                            size_t *count)
{
    (void)store, (void)min_age_ms, (void)users, (void)limit;
    *count = 0;
    return ERR_OK;
}

enum err store_outbox_keys(struct store *store, struct outbox_key *events, size_t limit, size_t *count)
{
    (void)store, (void)events, (void)limit;
    *count = 0;
    return ERR_OK;
}

enum err publisher_send_beacon(struct publisher *self)
{
    (void)self;
    world.beacons++;
    return ERR_OK;
}

void amqp_link_say_complete(struct amqp_link *link, int64_t complete_ms)
{
    (void)link;
    world.told = complete_ms;
}

void publisher_set_gauges(struct publisher *self)
{
    (void)self;
    world.sweeps++;
}

void publisher_purge(struct publisher *self)
{
    (void)self;
}

void publisher_forget_kept(struct publisher *self)
{
    (void)self;
}

enum err publisher_note_compared(struct publisher *self)
{
    (void)self;
    return ERR_OK;
}

static int begin(void **state)
{
    static char any;
    (void)state;
    memset(&world, 0, sizeof world);
    world.nodes = 1;
    world.told = -1;
    monotonic_ms = 1000000;
    wall_s = START_S;
    publisher = (struct publisher){.config = &config,
                                   .link = {.state = LINK_READY, .amqp = (struct amqp_link *)(void *)&any}};
    worklist_init(&publisher.outgoing.todo, 16);
    return metrics_open("", api_metric_defs, API_METRIC_COUNT, &publisher.metrics) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    watermark_reset(&publisher.upkeep.watermark);
    worklist_free(&publisher.outgoing.todo);
    metrics_close(&publisher.metrics);
    return 0;
}

static void later_by(int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 100) {
        monotonic_ms += 100;
        wall_s = START_S + (monotonic_ms - 1000000) / 1000;
        assert_int_equal(publisher_sweep(&publisher), ERR_OK);
        assert_int_equal(publisher_say_complete(&publisher), ERR_OK);
    }
}

/* Otherwise its broker would count as silent most of the time, when nothing is written. */
static void test_beacons_without_the_lock(void **state)
{
    (void)state;
    later_by(HEALTH_SILENT_MS);
    assert_in_range(world.beacons, 3, 4);
    assert_int_equal(world.sweeps, 0);
    publisher.link.state = LINK_DOWN;
    world.beacons = 0;
    later_by(HEALTH_SILENT_MS);
    assert_int_equal(world.beacons, 0);
}

static void test_with_the_lock(void **state)
{
    (void)state;
    world.held = true;
    later_by(30000);
    assert_in_range(world.beacons, 3, 4);
    assert_in_range(world.sweeps, 29, 31);
}

/* A time that another publisher's beacons have gone beyond would make the notifier believe that it lags. */
static void test_only_the_sweeper_tells_a_time(void **state)
{
    (void)state;
    world.held = true;
    world.nodes = 2;
    later_by(5000);
    assert_true(world.told >= (START_S + 3) * INT64_C(1000));
    world.held = false;
    later_by(2000);
    assert_int_equal(world.told, 0);
    later_by(20000);
    assert_int_equal(world.told, 0);
    world.held = true;
    later_by(3000);
    assert_true(world.told >= (START_S + 27) * INT64_C(1000));
}

static void test_a_second_node_is_noticed_without_the_lock(void **state)
{
    (void)state;
    later_by(2000);
    assert_int_equal(world.told, -1);
    world.nodes = 2;
    later_by(2000);
    assert_int_equal(world.told, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_beacons_without_the_lock, begin, end),
        cmocka_unit_test_setup_teardown(test_with_the_lock, begin, end),
        cmocka_unit_test_setup_teardown(test_only_the_sweeper_tells_a_time, begin, end),
        cmocka_unit_test_setup_teardown(test_a_second_node_is_noticed_without_the_lock, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
