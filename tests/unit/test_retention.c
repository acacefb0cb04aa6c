/* SPDX-License-Identifier: MIT */
/* The purge's clock: neither a single clock nor a jump of all of them deletes young rows. */
#include "fcgi-api/publisher/retention.h"
#include "tests/unit/unit.h"

#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define NOW    (20000 * DAY)

/* A publisher that checks each minute, on a machine whose clocks are `ahead` of the true time. */
struct machine {
    struct retention retention;
    int64_t truth, up; /* wall and monotonic */
    int64_t worker_ahead, database_ahead;
    int64_t noted, newest;
};

static int64_t look(struct machine *machine)
{
    const struct retention_clocks clocks = {.worker = machine->truth + machine->worker_ahead,
                                            .database = machine->truth + machine->database_ahead,
                                            .monotonic = machine->up,
                                            .noted = machine->noted,
                                            .newest = machine->newest};
    machine->noted = retention_now(&machine->retention, &clocks);
    return machine->noted;
}

static void pass(struct machine *machine, int64_t passed)
{
    for (int64_t end = machine->up + passed; machine->up < end;) {
        machine->up += MINUTE;
        machine->truth += MINUTE;
        look(machine);
    }
}

static struct machine running(void)
{
    struct machine machine = {.truth = NOW, .up = HOUR, .noted = -1, .newest = -1};
    look(&machine);
    return machine;
}

static void test_right_clocks(void **state)
{
    (void)state;
    struct machine machine = running();
    assert_int_equal(machine.noted, NOW);
    pass(&machine, DAY);
    assert_int_equal(machine.noted, NOW + DAY);
}

static void test_one_clock_ahead(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.worker_ahead = 8 * DAY;
    pass(&machine, HOUR);
    assert_int_equal(machine.noted, machine.truth);
    machine.worker_ahead = 0;
    machine.database_ahead = 8 * DAY;
    pass(&machine, HOUR);
    assert_int_equal(machine.noted, machine.truth);
}

/* The report: eight days for 68 seconds. */
static void test_all_clocks_ahead_for_a_moment(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.worker_ahead = machine.database_ahead = 8 * DAY;
    pass(&machine, 2 * MINUTE);
    assert_true(machine.noted <= machine.truth + HOUR);
    machine.worker_ahead = machine.database_ahead = 0;
    pass(&machine, MINUTE);
    assert_int_equal(machine.noted, machine.truth);
}

/* The next publisher: one that has just begun knows of no time that has passed. */
static void test_publishers_that_begin_in_a_jump(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.worker_ahead = machine.database_ahead = 8 * DAY;
    for (int i = 0; i < 100; i++) {
        machine.retention = (struct retention){0};
        assert_int_equal(look(&machine), NOW);
    }
}

static void test_clocks_behind(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.worker_ahead = -8 * DAY;
    pass(&machine, MINUTE);
    assert_int_equal(machine.noted, machine.truth - 8 * DAY);
    machine.worker_ahead = 0;
    pass(&machine, MINUTE);
    assert_true(machine.noted < machine.truth);
    pass(&machine, 9 * HOUR);
    assert_int_equal(machine.noted, machine.truth);
}

/* A service that was off for a week catches up within hours. */
static void test_after_a_pause(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.truth += 7 * DAY;
    machine.up = MINUTE;
    machine.retention = (struct retention){0};
    assert_int_equal(look(&machine), NOW);
    pass(&machine, HOUR);
    assert_true(machine.noted <= NOW + DAY + HOUR);
    pass(&machine, 7 * HOUR);
    assert_int_equal(machine.noted, machine.truth);
}

/* A note of 1970 is not caught up with for two years. */
static void test_a_wrong_note(void **state)
{
    (void)state;
    struct machine machine = running();
    machine.noted = DAY;
    pass(&machine, 11 * HOUR);
    assert_true(machine.noted < 30 * DAY);
    pass(&machine, 2 * HOUR);
    assert_int_equal(machine.noted, machine.truth);
}

/* A database from before there was a note: its newest row was written by a clock that was right then. */
static void test_the_first_note(void **state)
{
    (void)state;
    struct machine machine = {.truth = NOW, .up = HOUR, .noted = -1, .newest = NOW - 3 * DAY};
    machine.worker_ahead = machine.database_ahead = 8 * DAY;
    assert_int_equal(look(&machine), NOW - 3 * DAY);
    machine = (struct machine){.truth = NOW, .up = HOUR, .noted = -1, .newest = NOW + DAY};
    assert_int_equal(look(&machine), NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_clocks),
        cmocka_unit_test(test_one_clock_ahead),
        cmocka_unit_test(test_all_clocks_ahead_for_a_moment),
        cmocka_unit_test(test_publishers_that_begin_in_a_jump),
        cmocka_unit_test(test_clocks_behind),
        cmocka_unit_test(test_after_a_pause),
        cmocka_unit_test(test_a_wrong_note),
        cmocka_unit_test(test_the_first_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
