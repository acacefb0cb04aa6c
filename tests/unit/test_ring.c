/* SPDX-License-Identifier: MIT */
/* The ring: which events it keeps and drops, and which cursors it serves. The last test checks random
 * histories against a model that forgets nothing. */
#include "tests/unit/browser.h"

#include <stdlib.h>

#include "ws-notifier/ring.h"

#define NOW 1000000

static enum ring_verdict add(struct ring *ring, uint32_t user, uint64_t seq, int64_t time_s)
{
    char text[64];
    snprintf(text, sizeof text, "%u:%llu", user, (unsigned long long)seq);
    struct frame *frame = frame_of(text);
    enum ring_verdict verdict = ring_add(ring, user, seq, time_s, frame);
    frame_unref(&frame);
    return verdict;
}

static bool find(const struct ring *ring, uint32_t user, uint64_t seq, int64_t time_s,
                 struct ring_replay *replay)
{
    struct cursor cursor = {.epoch = "e", .seq = seq, .time_s = time_s};
    return ring_find(ring, user, &cursor, NOW, replay);
}

static void check_event(const struct ring_event *event, uint32_t user, uint64_t seq)
{
    char text[64];
    snprintf(text, sizeof text, "%u:%llu", user, (unsigned long long)seq);
    assert_non_null(event);
    assert_int_equal(ring_event_seq(event), seq);
    assert_string_equal(frame_text(ring_event_frame(event)), text);
}

/* The replay is exactly from..to, in order. */
static void check_replay(const struct ring *ring, const struct ring_replay *replay, uint32_t user,
                         uint64_t from, uint64_t to)
{
    assert_int_equal(replay->after_seq, from - 1);
    assert_int_equal(replay->last_seq, to);
    for (uint64_t seq = from; seq <= to; seq++)
        check_event(ring_after(ring, user, seq - 1), user, seq);
    assert_null(ring_after(ring, user, to));
}

static void check_nothing_missed(const struct ring_replay *replay, uint64_t seq)
{
    assert_int_equal(replay->after_seq, seq);
    assert_int_equal(replay->last_seq, seq);
}

static void test_replays_what_was_missed(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        assert_int_equal(add(ring, 1, seq, NOW), RING_NEW);
        assert_int_equal(add(ring, 2, seq + 100, NOW), RING_NEW);
    }
    assert_int_equal(ring_count(ring), 10);
    assert_int_equal(ring_users(ring), 2);
    assert_int_equal(ring_last_seq(ring, 2), 105);
    assert_int_equal(ring_last_seq(ring, 3), 0);

    assert_true(find(ring, 1, 2, 0, &replay));
    check_replay(ring, &replay, 1, 3, 5);
    assert_int_equal(replay.last_seq, 5);
    assert_true(find(ring, 1, 0, 0, &replay)); /* the oldest here is the user's first event */
    check_replay(ring, &replay, 1, 1, 5);
    assert_true(find(ring, 1, 5, 0, &replay));
    check_nothing_missed(&replay, 5);
    assert_true(find(ring, 2, 100, 0, &replay)); /* the oldest here is the next after the cursor */
    check_replay(ring, &replay, 2, 101, 105);
    assert_false(find(ring, 2, 99, 0, &replay));
    ring_free(&ring);
    ring_free(&ring);
}

/* The next event is found wherever it is: behind holes, after the circle has wrapped, grown and shrunk. */
static void test_after(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    bool here[2001] = {false};
    uint64_t oldest = 1, newest = 0;
    assert_null(ring_after(ring, 1, 0));
    srand(7);
    for (int step = 0; step < 600; step++) {
        if (rand() % 300 < step && ring_count(ring) > 1) {
            ring_drop_oldest(ring);
            while (!here[oldest])
                oldest++;
            here[oldest++] = false;
        } else {
            newest += rand() % 10 ? 1 : 3;
            add(ring, 1, newest, NOW);
            here[newest] = true;
        }
        uint64_t seq = (uint64_t)rand() % (newest + 2), next = seq + 1;
        while (next <= newest && !here[next])
            next++;
        if (next > newest)
            assert_null(ring_after(ring, 1, seq));
        else
            check_event(ring_after(ring, 1, seq), 1, next);
    }
    ring_free(&ring);
}

/* The index's memory is counted, and given back. */
static void test_index_bytes(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    add(ring, 1, 1, NOW);
    size_t first = ring_index_bytes(ring);
    for (uint64_t seq = 2; seq <= 1000; seq++)
        add(ring, 1, seq, NOW);
    assert_true(ring_index_bytes(ring) > first + 1000 * sizeof(void *));
    assert_true(ring_index_bytes(ring) < ring_bytes(ring));
    for (int i = 1; i < 1000; i++)
        ring_drop_oldest(ring);
    assert_int_equal(ring_index_bytes(ring), first);
    ring_drop_oldest(ring);
    assert_int_equal(ring_index_bytes(ring), 0);
    assert_int_equal(ring_bytes(ring), 0);
    ring_free(&ring);
}

static void test_ahead(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 7, NOW);
    assert_true(find(ring, 1, 9, 0, &replay));
    check_nothing_missed(&replay, 9); /* so that 8 and 9 will be dropped when they come */
    ring_free(&ring);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    assert_int_equal(add(ring, 1, 41, NOW), RING_NEW);
    assert_int_equal(add(ring, 1, 42, NOW), RING_NEW);
    assert_int_equal(add(ring, 1, 41, NOW), RING_DUPLICATE);
    assert_int_equal(add(ring, 1, 42, NOW), RING_DUPLICATE);
    assert_int_equal(add(ring, 1, 7, NOW), RING_DUPLICATE);
    assert_int_equal(add(ring, 1, 43, NOW), RING_NEW);
    assert_true(find(ring, 1, 40, 0, &replay));
    check_replay(ring, &replay, 1, 41, 43);
    ring_free(&ring);
}

static void test_hole(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 1, NOW);
    add(ring, 1, 2, NOW);
    assert_int_equal(add(ring, 1, 4, NOW), RING_AFTER_HOLE);
    assert_int_equal(add(ring, 1, 5, NOW), RING_NEW);
    /* Whatever time the cursor has: 3 is not here. */
    assert_false(find(ring, 1, 2, NOW - 10, &replay));
    assert_false(find(ring, 1, 1, NOW - 10, &replay));
    assert_false(find(ring, 1, 0, NOW - 10, &replay));
    assert_true(find(ring, 1, 3, 0, &replay));
    check_replay(ring, &replay, 1, 4, 5);
    ring_free(&ring);
}

static void test_idle_user_by_time(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    assert_false(find(ring, 1, 41, 0, &replay)); /* the short form says no time */
    assert_true(find(ring, 1, 41, NOW - 10, &replay));
    check_nothing_missed(&replay, 41);
    assert_true(find(ring, 1, 41, NOW - 900 + RING_CLOCK_MARGIN_S, &replay));
    assert_false(find(ring, 1, 41, NOW - 900 + RING_CLOCK_MARGIN_S - 1, &replay));
    /* A time in the future proves nothing. */
    assert_true(find(ring, 1, 41, NOW + RING_CLOCK_MARGIN_S, &replay));
    assert_false(find(ring, 1, 41, NOW + RING_CLOCK_MARGIN_S + 1, &replay));
    /* A new `begin`: older cursors are no longer served. */
    ring_begin(ring, NOW - 20);
    assert_false(find(ring, 1, 41, NOW - 20, &replay));
    assert_true(find(ring, 1, 41, NOW - 10, &replay));
    ring_begin(ring, NOW - 500);
    assert_int_equal(ring_begin_s(ring), NOW - 20);
    ring_free(&ring);
}

/* A cursor made for a user of whom nothing was known. */
static void test_unknown_seq(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 42, NOW);
    add(ring, 1, 43, NOW);
    assert_true(find(ring, 1, 0, NOW - 100, &replay));
    check_replay(ring, &replay, 1, 42, 43);
    assert_false(find(ring, 1, 0, 0, &replay));
    /* But a cursor with a number is judged by the number. */
    assert_false(find(ring, 1, 40, NOW - 100, &replay));
    ring_free(&ring);
}

static void test_age(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 1, NOW);
    add(ring, 2, 1, NOW + 50);
    add(ring, 1, 2, NOW + 100);
    ring_age(ring, NOW + 900);
    assert_int_equal(ring_count(ring), 3);
    ring_age(ring, NOW + 960);
    assert_int_equal(ring_count(ring), 1);
    assert_int_equal(ring_users(ring), 1);
    assert_int_equal(ring_begin_s(ring), NOW + 51); /* the second of what was dropped is not whole */
    assert_false(find(ring, 1, 0, 0, &replay));
    assert_true(find(ring, 1, 1, 0, &replay));
    check_replay(ring, &replay, 1, 2, 2);
    ring_age(ring, NOW + 2000);
    assert_int_equal(ring_count(ring), 0);
    assert_int_equal(ring_bytes(ring), 0);
    ring_free(&ring);
}

/* The cursor is older than the event, by a clock that is ahead; both are of the same second. */
static void test_dropped_in_the_second_of_the_cursor(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 1, NOW - 1);
    ring_drop_oldest(ring);
    assert_false(find(ring, 1, 0, NOW - 1 + RING_CLOCK_MARGIN_S, &replay));
    assert_true(find(ring, 1, 0, NOW + RING_CLOCK_MARGIN_S, &replay));
    ring_free(&ring);
}

static void test_bytes(void **state)
{
    (void)state;
    const size_t most = 10000;
    struct ring *ring = ring_new(most, 900, NOW - 900);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        assert_int_equal(add(ring, (uint32_t)(seq % 3) + 1, seq, NOW + (int64_t)seq),
                         seq <= 3 ? RING_NEW : RING_AFTER_HOLE);
        assert_true(ring_bytes(ring) <= most);
    }
    assert_true(ring_count(ring) > 10);
    assert_true(ring_begin_s(ring) > NOW + 500);
    /* An event larger than the ring: the ring is empty then, and serves no older cursor. */
    char *text = malloc(2 * most);
    memset(text, 'x', 2 * most);
    struct frame *frame = frame_new(text, 2 * most);
    free(text);
    ring_add(ring, 9, 1, NOW + 2000, frame);
    frame_unref(&frame);
    assert_int_equal(ring_count(ring), 0);
    assert_int_equal(ring_begin_s(ring), NOW + 2001);
    ring_free(&ring);
}

static void test_clear(void **state)
{
    (void)state;
    struct ring *ring = ring_new(1000000, 900, NOW - 900);
    struct ring_replay replay;
    add(ring, 1, 41, NOW);
    ring_clear(ring);
    assert_int_equal(ring_count(ring), 0);
    assert_int_equal(ring_begin_s(ring), NOW - 900);
    assert_int_equal(add(ring, 1, 1, NOW), RING_NEW);
    assert_true(find(ring, 1, 0, 0, &replay));
    check_replay(ring, &replay, 1, 1, 1);
    ring_free(&ring);
}

/* ---- random histories ---------------------------------------------------------------------------- */

#define USERS  4
#define EVENTS 400

/* All events, and when they reached the stream; `lost` ones never did. */
struct history {
    struct {
        int64_t time_s;
        bool lost;
    } events[USERS][EVENTS + 1];
    uint64_t last[USERS];
};

/* A browser that has everything up to seq and everything from before time_s comes back. If the ring says that
 * it can serve the cursor, the browser must get every later event, or be able to see that one is missing. */
static void check_promise(const struct ring *ring, const struct history *history, unsigned user, uint64_t seq,
                          int64_t time_s, int64_t now_s)
{
    struct cursor cursor = {.epoch = "e", .seq = seq, .time_s = time_s};
    struct ring_replay replay;
    if (!ring_find(ring, user, &cursor, now_s, &replay))
        return;

    const struct ring_event *event = ring_after(ring, user, replay.after_seq);
    bool any = false;
    for (uint64_t next = seq + 1; next <= history->last[user]; next++) {
        char text[64];
        bool lost = history->events[user][next].lost;
        if (lost && next > replay.last_seq)
            continue; /* seen when the next one comes */
        if (lost && seq == 0 && !any)
            continue; /* without a number the first missing event cannot be seen */
        assert_false(lost);
        any = true;
        snprintf(text, sizeof text, "%u:%llu", user, (unsigned long long)next);
        assert_non_null(event);
        assert_string_equal(frame_text(ring_event_frame(event)), text);
        event = ring_after(ring, user, next);
    }
    assert_null(event);
}

static void random_history(unsigned seed)
{
    struct history *history = calloc(1, sizeof *history);
    srand(seed);
    int64_t now_s = NOW;
    struct ring *ring = ring_new(2000 + (size_t)rand() % 20000, 10 + rand() % 200, NOW - 50);

    for (int step = 0; step < 600; step++) {
        unsigned user = (unsigned)rand() % USERS;
        int what = rand() % 10;
        if (what < 5 && history->last[user] < EVENTS) {
            uint64_t seq = ++history->last[user];
            history->events[user][seq].time_s = now_s;
            history->events[user][seq].lost = rand() % 40 == 0;
            if (!history->events[user][seq].lost)
                add(ring, user, seq, now_s);
        } else if (what == 5 && history->last[user] > 0) {
            /* Published again: all recent events, in order. */
            uint64_t from = history->last[user] - (uint64_t)rand() % history->last[user];
            for (uint64_t seq = from; seq <= history->last[user]; seq++)
                if (ring_last_seq(ring, user) >= seq)
                    assert_int_equal(add(ring, user, seq, now_s), RING_DUPLICATE);
        } else if (what == 6) {
            now_s += rand() % 20;
            ring_age(ring, now_s);
        } else {
            uint64_t seq = history->last[user] ? (uint64_t)rand() % (history->last[user] + 1) : 0;
            /* The latest time that a correct cursor can have: that of the first event it lacks. */
            int64_t time_s = seq < history->last[user] ? history->events[user][seq + 1].time_s : now_s;
            check_promise(ring, history, user, seq, rand() % 4 ? time_s : 0, now_s);
        }
    }
    ring_free(&ring);
    free(history);
}

static void test_random_histories(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++)
        random_history(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replays_what_was_missed),
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_index_bytes),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_hole),
        cmocka_unit_test(test_idle_user_by_time),
        cmocka_unit_test(test_unknown_seq),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_dropped_in_the_second_of_the_cursor),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
