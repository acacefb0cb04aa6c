/* SPDX-License-Identifier: MIT */
/* How far the stream has been read: markers, the place to go on from, and what silence means. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "ws-notifier/progress.h"

#define INTERVAL 10000
#define PROOF    3000
#define SILENCE  20000

static struct progress progress;
static char marker[PROGRESS_MARKER_SIZE];
static int64_t now_ms;

static int set_up(void **state)
{
    (void)state;
    now_ms = 5000;
    progress_init(&progress, INTERVAL, PROOF, SILENCE);
    progress_begin(&progress, now_ms);
    return 0;
}

static void send_marker(void)
{
    progress_next_marker(&progress, marker);
    progress_marker_sent(&progress, now_ms, now_ms / 1000);
}

static enum progress_due check(bool caught_up)
{
    return progress_check(&progress, caught_up, now_ms);
}

static void test_caught_up_by_a_marker(void **state)
{
    (void)state;
    assert_int_equal(progress.place, -1);
    assert_int_equal(check(false), PROGRESS_NOTHING); /* history is coming in */
    assert_false(progress_take(&progress, 7, NULL, now_ms).all_read);
    now_ms += 99;
    assert_int_equal(check(false), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(false), PROGRESS_MARKER);
    send_marker();
    assert_int_equal(check(false), PROGRESS_NOTHING);
    assert_false(progress_take(&progress, 8, NULL, now_ms).all_read);
    assert_false(progress_take(&progress, 9, "another:1", now_ms).all_read);
    now_ms += 5;
    struct progress_step step = progress_take(&progress, 10, marker, now_ms);
    assert_true(step.all_read);
    assert_false(step.known);
    assert_int_equal(step.marker_ms, 5);
    now_ms += INTERVAL - 6;
    assert_int_equal(check(true), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(true), PROGRESS_MARKER);
}

/* Under a steady load there is no quiet moment, and browsers wait. */
static void test_asks_when_history_is_over(void **state)
{
    (void)state;
    progress_take(&progress, 7, NULL, now_ms);
    assert_int_equal(check(false), PROGRESS_NOTHING);
    progress_is_fresh(&progress);
    assert_int_equal(check(false), PROGRESS_MARKER);
    send_marker();
    progress_take(&progress, 8, marker, now_ms);
    progress_begin(&progress, now_ms); /* nothing is known of the next link yet */
    progress_take(&progress, 8, marker, now_ms);
    assert_int_equal(check(false), PROGRESS_NOTHING);
}

static void test_asks_though_it_is_never_quiet(void **state)
{
    (void)state;
    int64_t offset = 0;
    while (check(false) == PROGRESS_NOTHING) {
        progress_take(&progress, offset++, NULL, now_ms);
        now_ms += 50;
        assert_true(now_ms <= 8000);
    }
    assert_int_equal(check(false), PROGRESS_MARKER);
    assert_true(now_ms >= 7000);
}

static void test_markers_of_others(void **state)
{
    (void)state;
    char id[64];
    send_marker();
    snprintf(id, sizeof id, "%s:1", progress.instance); /* as far as it can be guessed */
    assert_false(progress_take(&progress, 1, id, now_ms).all_read);
    snprintf(id, sizeof id, "%s:1:000000000000", progress.instance);
    assert_false(progress_take(&progress, 2, id, now_ms).all_read);
    snprintf(id, sizeof id, "%sx", marker);
    assert_false(progress_take(&progress, 3, id, now_ms).all_read);
    snprintf(id, sizeof id, "%s", progress.instance);
    assert_false(progress_take(&progress, 4, id, now_ms).all_read);
    assert_false(progress_take(&progress, 5, "", now_ms).all_read);
    assert_int_equal(progress.place, -1);
    assert_true(progress_take(&progress, 6, marker, now_ms).all_read);
    assert_int_equal(progress.place, 6);
}

/* On a new link: the marker of the link before does not prove that this one has read everything. */
static void test_goes_on_at_its_place(void **state)
{
    (void)state;
    send_marker();
    progress_take(&progress, 10, marker, now_ms);
    progress_take(&progress, 11, NULL, now_ms);
    progress_take(&progress, 12, NULL, now_ms);
    now_ms += 60000;
    progress_begin(&progress, now_ms);
    assert_int_equal(progress.place, 10);
    assert_true(progress.proving);
    assert_int_equal(check(false), PROGRESS_NOTHING);

    struct progress_step step = progress_take(&progress, 10, marker, now_ms);
    assert_true(step.proved);
    assert_true(step.known);
    assert_false(step.all_read);
    assert_true(progress_take(&progress, 11, NULL, now_ms).known);
    assert_true(progress_take(&progress, 12, NULL, now_ms).known);
    assert_false(progress_take(&progress, 13, NULL, now_ms).known);
    now_ms += 100;
    assert_int_equal(check(false), PROGRESS_MARKER);
    send_marker();
    assert_true(progress_take(&progress, 14, marker, now_ms).all_read);
}

/* The messages after our place are others than before. A marker of this link proves that what follows is new.
 */
static void test_a_stream_that_has_lost_its_end(void **state)
{
    (void)state;
    send_marker();
    progress_take(&progress, 10, marker, now_ms);
    for (int64_t offset = 11; offset <= 200; offset++)
        progress_take(&progress, offset, NULL, now_ms);
    progress_begin(&progress, now_ms);
    assert_true(progress_take(&progress, 10, marker, now_ms).proved);
    assert_true(progress_take(&progress, 11, NULL, now_ms).known);
    send_marker();
    assert_true(progress_take(&progress, 12, NULL, now_ms).known);
    assert_true(progress_take(&progress, 13, marker, now_ms).all_read);
    assert_int_equal(progress.place, 13);
    assert_false(progress_take(&progress, 14, NULL, now_ms).known);
}

static void check_other_stream(int64_t offset, const char *id)
{
    send_marker();
    progress_take(&progress, 10, marker, now_ms);
    progress_begin(&progress, now_ms);
    struct progress_step step = progress_take(&progress, offset, id, now_ms);
    assert_true(step.other_stream);
    assert_false(step.proved);
    progress_forget(&progress);
    progress_begin(&progress, now_ms);
    assert_false(progress.proving);
    assert_false(progress_take(&progress, 3, NULL, now_ms).known); /* offsets of the other mean nothing */
}

static void test_other_message_at_its_place(void **state)
{
    (void)state;
    check_other_stream(10, NULL);
    check_other_stream(10, "another:1");
    check_other_stream(11, marker); /* retention took it, or it moved */
}

static void test_nothing_at_its_place(void **state)
{
    (void)state;
    send_marker();
    progress_take(&progress, 10, marker, now_ms);
    progress_begin(&progress, now_ms);
    now_ms += PROOF - 1;
    assert_int_equal(check(false), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(false), PROGRESS_OTHER_STREAM);
}

static void expect_silence_after(int64_t limit_ms)
{
    progress_take(&progress, 1, NULL, now_ms); /* much history, but it moves */
    for (now_ms += limit_ms - 1; check(false) == PROGRESS_REPEAT;)
        progress_marker_repeated(&progress, now_ms);
    assert_int_equal(check(false), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(false), PROGRESS_SILENT);
    progress_forget(&progress);
    progress_begin(&progress, now_ms);
    send_marker();
}

static void test_silence(void **state)
{
    (void)state;
    send_marker();
    now_ms += PROOF - 1;
    expect_silence_after(PROOF); /* nothing was ever heard on this link: the next one may be better */
    expect_silence_after(2 * PROOF);
    expect_silence_after(4 * PROOF);
    expect_silence_after(SILENCE);
    progress_take(&progress, 1, marker, now_ms);
    send_marker();
    expect_silence_after(SILENCE);
    expect_silence_after(PROOF); /* the link before that one was good */
}

/* Other messages come, the marker does not: it is lost, or behind them. */
static void test_a_marker_that_does_not_come_back(void **state)
{
    int64_t sent_at = now_ms;
    unsigned repeats = 0;
    (void)state;
    send_marker();
    for (int64_t offset = 1; now_ms < sent_at + 15000; now_ms += 100) {
        progress_take(&progress, offset++, NULL, now_ms);
        if (check(false) != PROGRESS_REPEAT)
            continue;
        progress_marker_repeated(&progress, now_ms);
        repeats++;
        assert_int_equal(now_ms - sent_at, 1000 << repeats); /* after 2, 4 and 8 s */
    }
    assert_int_equal(repeats, 3);
    /* Whichever copy it is: everything before the first one has been read. */
    struct progress_step step = progress_take(&progress, 1000, marker, now_ms);
    assert_true(step.all_read && step.marker_ms == 15000);
    assert_int_equal(progress.sent_wall_s, sent_at / 1000);
    step = progress_take(&progress, 1001, marker, now_ms);
    assert_true(!step.all_read && step.marker_ms < 0 && progress.place == 1001);
}

static void test_alarm(void **state)
{
    (void)state;
    progress_take(&progress, 1, NULL, now_ms);
    send_marker();
    assert_true(progress_alarm(&progress, true, false)); /* perhaps there is more of history */

    progress_begin(&progress, now_ms);
    progress_take(&progress, 1, NULL, now_ms);
    now_ms += 999;
    assert_int_equal(check(false), PROGRESS_NOTHING);
    progress_take(&progress, 2, NULL, now_ms); /* there was */
    now_ms += 999;
    assert_int_equal(check(false), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(false), PROGRESS_MARKER);
    send_marker();
    assert_false(progress_alarm(&progress, true, false)); /* now it is the end */
    now_ms += 999;
    assert_int_equal(check(false), PROGRESS_NOTHING);
    now_ms += 1;
    assert_int_equal(check(false), PROGRESS_ALL_READ);
    now_ms += SILENCE;
    assert_int_equal(check(true), PROGRESS_NOTHING); /* silent for a reason */
    assert_false(progress_alarm(&progress, false, true));
    progress_take(&progress, 3, marker, now_ms);
    assert_int_equal(check(true), PROGRESS_MARKER);
    assert_false(progress_alarm(&progress, true, true)); /* later, another one: nothing is held back */
}

/* A broker without offsets: every message is news, and no place is remembered. */
static void test_without_offsets(void **state)
{
    (void)state;
    send_marker();
    assert_false(progress_take(&progress, -1, NULL, now_ms).known);
    assert_true(progress_take(&progress, -1, marker, now_ms).all_read);
    assert_int_equal(progress.place, -1);
    progress_begin(&progress, now_ms);
    assert_false(progress.proving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_caught_up_by_a_marker, set_up),
        cmocka_unit_test_setup(test_asks_when_history_is_over, set_up),
        cmocka_unit_test_setup(test_asks_though_it_is_never_quiet, set_up),
        cmocka_unit_test_setup(test_markers_of_others, set_up),
        cmocka_unit_test_setup(test_goes_on_at_its_place, set_up),
        cmocka_unit_test_setup(test_a_stream_that_has_lost_its_end, set_up),
        cmocka_unit_test_setup(test_other_message_at_its_place, set_up),
        cmocka_unit_test_setup(test_nothing_at_its_place, set_up),
        cmocka_unit_test_setup(test_silence, set_up),
        cmocka_unit_test_setup(test_a_marker_that_does_not_come_back, set_up),
        cmocka_unit_test_setup(test_alarm, set_up),
        cmocka_unit_test_setup(test_without_offsets, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
