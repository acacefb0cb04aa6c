/* SPDX-License-Identifier: MIT */
/* The timing wheel: each entry is visited when it is due, and not before. */
#include "tests/unit/unit.h"

#include <string.h>

#include "ws-notifier/wheel.h"

#define COUNT 200

static struct wheel wheel;
static struct wheel_entry entries[COUNT];
static int64_t due_ms[COUNT], looked_ms[COUNT];
static int looks[COUNT];

static int number_of(const struct wheel_entry *entry)
{
    return (int)(entry - entries);
}

/* Once its time has come: again a minute later; before: at its time. */
static int64_t look(void *context, struct wheel_entry *entry, int64_t now_ms)
{
    int n = number_of(entry);
    assert_ptr_equal(context, &wheel);
    looks[n]++;
    if (now_ms >= due_ms[n]) {
        looked_ms[n] = now_ms;
        due_ms[n] += 60000;
    }
    return due_ms[n];
}

static int set_up(void **state)
{
    (void)state;
    memset(looks, 0, sizeof looks);
    memset(looked_ms, 0, sizeof looked_ms);
    wheel_init(&wheel, 1000, look, &wheel);
    for (int n = 0; n < COUNT; n++)
        wheel_entry_init(&entries[n]);
    return 0;
}

static void put(int n, int64_t time_ms)
{
    due_ms[n] = time_ms;
    wheel_put(&wheel, &entries[n], time_ms);
}

static void turn_until(int64_t end_ms)
{
    for (int64_t now_ms = wheel.turned_ms; now_ms <= end_ms; now_ms += 50)
        wheel_turn(&wheel, now_ms);
}

static void test_each_at_its_time(void **state)
{
    (void)state;
    for (int n = 0; n < COUNT; n++)
        put(n, 1000 + n * 97);
    turn_until(30000);
    for (int n = 0; n < COUNT; n++) {
        int64_t wanted = 1000 + n * 97;
        assert_in_range(looked_ms[n], wanted, wanted + WHEEL_TICK_MS + 50);
        assert_int_equal(looks[n], 1);
    }
}

/* Beyond the wheel's end: visited earlier, and not too late. */
static void test_beyond_the_end(void **state)
{
    (void)state;
    put(0, 100000);
    turn_until(99900);
    assert_int_equal(looked_ms[0], 0);
    assert_in_range(looks[0], 2, 4);
    turn_until(100500);
    assert_in_range(looked_ms[0], 100000, 100300);
}

static void test_in_the_past(void **state)
{
    (void)state;
    put(0, -5000);
    wheel_turn(&wheel, 1249);
    assert_int_equal(looks[0], 0);
    wheel_turn(&wheel, 1250);
    assert_int_equal(looks[0], 1);
}

static void test_put_again_and_taken(void **state)
{
    (void)state;
    put(0, 2000);
    put(0, 9000); /* in place of before */
    put(1, 2000);
    wheel_take(&entries[1]);
    wheel_take(&entries[1]); /* has no effect */
    wheel_take(&entries[2]);
    turn_until(8900);
    assert_int_equal(looks[0] + looks[1] + looks[2], 0);
    turn_until(9500);
    assert_int_equal(looks[0], 1);
}

/* Ticks that did not come are made up for at once. */
static void test_late(void **state)
{
    (void)state;
    for (int n = 0; n < COUNT; n++)
        put(n, 1000 + n * 97);
    wheel_turn(&wheel, 200000);
    for (int n = 0; n < COUNT; n++)
        assert_int_equal(looked_ms[n], 200000);
}

static int64_t look_and_put(void *context, struct wheel_entry *entry, int64_t now_ms)
{
    looks[number_of(entry)]++;
    wheel_put(context, entry, now_ms + 20000);
    return now_ms + 500;
}

static void test_what_a_look_returns_counts(void **state)
{
    (void)state;
    wheel_init(&wheel, 1000, look_and_put, &wheel);
    wheel_put(&wheel, &entries[0], 1250);
    turn_until(3250);
    assert_int_equal(looks[0], 5);
    wheel_take(&entries[0]);
}

/* Those that came together, which have numbers one after the other. */
static void test_spread(void **state)
{
    (void)state;
    int parts[10] = {0};
    for (uint32_t n = 7; n < 4007; n++) {
        int64_t after_ms = wheel_spread(n, 20000);
        assert_in_range(after_ms, 15001, 20000);
        parts[(after_ms - 15001) / 500]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(parts[i], 300, 500);
}

static int visits;

static _Bool move_it(void *context, struct wheel_entry *entry)
{
    if (looks[number_of(entry)]++ == 0) {
        visits++;
        wheel_put(context, entry, 11000);
    }
    return visits < 150;
}

static void test_each(void **state)
{
    (void)state;
    visits = 0;
    for (int n = 0; n < COUNT; n++)
        put(n, 1000 + n * 97);
    wheel_each(&wheel, move_it, &wheel);
    assert_int_equal(visits, 150);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_each_at_its_time),
        TEST(test_beyond_the_end),
        TEST(test_in_the_past),
        TEST(test_put_again_and_taken),
        TEST(test_late),
        TEST(test_what_a_look_returns_counts),
        TEST(test_spread),
        TEST(test_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
