/* SPDX-License-Identifier: MIT */
/* Published events against the journal: when it has lost commits, and when it has not. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/clock.h"
#include "fcgi-api/publisher/witness.h"

#define AT 1700000000123

static struct witness witness;

static int set_up(void **state)
{
    (void)state;
    witness = (struct witness){0};
    return 0;
}

static void note(const char *epoch, uint32_t user_id, uint64_t seq, int64_t created_at_ms, int64_t unit_ms)
{
    struct event_meta meta = {.user_id = user_id, .seq = seq, .created_at_ms = created_at_ms};
    strcpy(meta.epoch, epoch);
    witness_note(&witness, &meta, unit_ms);
}

static bool denied(uint64_t last_seq, int64_t created_at_ms)
{
    const struct journal_entry entry = {last_seq, created_at_ms};
    return witness_denied(&witness, &entry) != NULL;
}

static void test_a_journal_that_has_it(void **state)
{
    (void)state;
    note("k1", 7, 5, AT, 1);
    assert_false(denied(5, AT));
    assert_false(denied(9, AT));
    assert_false(denied(9, CLOCK_NEVER)); /* purged */
}

static void test_a_journal_that_ends_before_it(void **state)
{
    (void)state;
    note("k1", 7, 5, AT, 1);
    assert_true(denied(4, CLOCK_NEVER));
    assert_true(denied(0, CLOCK_NEVER)); /* the user is not there, either */
}

static void test_a_number_that_was_given_again(void **state)
{
    (void)state;
    note("k1", 7, 5, AT, 1);
    assert_true(denied(5, AT + 1));
    assert_true(denied(9, AT + 60000));
    assert_false(denied(9, AT - 1)); /* not by a commit after it */
}

/* A message tells the second. */
static void test_a_time_in_seconds(void **state)
{
    (void)state;
    note("k1", 7, 5, AT / 1000 * 1000, 1000);
    assert_false(denied(5, AT));
    assert_false(denied(5, AT / 1000 * 1000 + 999));
    assert_true(denied(5, AT / 1000 * 1000 + 1000));
}

static void test_each_has_its_entry(void **state)
{
    (void)state;
    const struct journal_entry entries[] = {{5, AT}, {2, CLOCK_NEVER}, {1, AT}};
    note("k1", 7, 5, AT, 1);
    note("k1", 8, 3, AT, 1);
    note("k1", 9, 1, AT, 1);
    assert_ptr_equal(witness_denied(&witness, entries), &witness.events[1]);
    assert_int_equal(witness.events[1].user_id, 8);
}

static void test_another_epoch_begins_anew(void **state)
{
    (void)state;
    note("k1", 7, 5, AT, 1);
    note("k1", 7, 6, AT, 1);
    note("k2", 7, 1, AT, 1);
    assert_int_equal(witness.count, 1);
    assert_string_equal(witness.epoch, "k2");
    assert_false(denied(1, AT));
}

static void test_the_newest_are_kept(void **state)
{
    (void)state;
    for (unsigned seq = 1; seq <= WITNESS_MAX + 10; seq++)
        note("k1", 7, seq, AT, 1);
    assert_int_equal(witness.count, WITNESS_MAX);
    for (size_t i = 0; i < witness.count; i++)
        assert_true(witness.events[i].seq > 10);
    witness_clear(&witness);
    assert_null(witness_denied(&witness, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_journal_that_has_it, set_up),
        cmocka_unit_test_setup(test_a_journal_that_ends_before_it, set_up),
        cmocka_unit_test_setup(test_a_number_that_was_given_again, set_up),
        cmocka_unit_test_setup(test_a_time_in_seconds, set_up),
        cmocka_unit_test_setup(test_each_has_its_entry, set_up),
        cmocka_unit_test_setup(test_another_epoch_begins_anew, set_up),
        cmocka_unit_test_setup(test_the_newest_are_kept, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
