/* SPDX-License-Identifier: MIT */
/* Which ends of sessions the publisher tells, and when: with a table and a broker whose answers are set. */
#include "tests/unit/still_clock.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi-api/publisher/internal.h"

#define ROWS_MAX    50000
#define ENDS_A_WORD 4000

static struct config config;
static struct publisher publisher;

static struct {
    struct session_end rows[ROWS_MAX];
    size_t count;
    unsigned room; /* for so many words; then there is none */
    unsigned words, firsts, lasts;
    char list[SESSION_LIST_MAX + 1]; /* the whole list's name, since its first word */
    unsigned strangers;              /* words of a whole list with another name */
    struct session_ends heard;
} world;

enum err store_session_ends(struct store *store, uint64_t *last_id, store_end_visit *visit, void *context)
{
    (void)store;
    for (size_t i = *last_id > STORE_ENDS_OVERLAP ? *last_id - STORE_ENDS_OVERLAP : 0; i < world.count; i++)
        visit(context, world.rows[i].user_id, world.rows[i].before_s);
    *last_id = world.count;
    return ERR_OK;
}

enum err publisher_send_word(struct publisher *self, const char *body, size_t length)
{
    struct session_ends_message message;
    bool changed;
    (void)self;
    if (world.room == 0)
        return ERR_AGAIN;
    world.room--;
    world.words++;
    assert_int_equal(session_ends_read(body, length, &world.heard, &message, &changed), ERR_OK);
    if (message.first)
        memcpy(world.list, message.list, sizeof world.list);
    world.strangers += message.list[0] && strcmp(world.list, message.list) != 0;
    world.firsts += message.first;
    world.lasts += message.last;
    return ERR_OK;
}

static int begin(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.room = 100;
    publisher = (struct publisher){.config = &config, .link.state = LINK_READY};
    config = (struct config){.jwt_max_life_s = 900, .jwt_leeway_s = 60};
    wall_s = START_S;
    monotonic_ms = 1000000;
    assert_int_equal(metrics_open("", api_metric_defs, API_METRIC_COUNT, &publisher.metrics), ERR_OK);
    publisher_ends_begin(&publisher);
    return 0;
}

static int end(void **state)
{
    (void)state;
    publisher_ends_free(&publisher);
    session_ends_free(&world.heard);
    metrics_close(&publisher.metrics);
    return 0;
}

static void add_row(uint32_t user_id, int64_t before_s)
{
    world.rows[world.count++] = (struct session_end){user_id, before_s};
}

/* Returns how many words were said meanwhile. */
static unsigned later_by(int64_t ms)
{
    unsigned before = world.words;
    for (int64_t passed = 0; passed < ms; passed += 100) {
        monotonic_ms += 100;
        wall_s = START_S + (monotonic_ms - 1000000) / 1000;
        (void)!publisher_tell_ends(&publisher);
    }
    return world.words - before;
}

static void test_all_at_first_and_then_news(void **state)
{
    (void)state;
    add_row(7, START_S - 10);
    assert_int_equal(publisher_tell_ends(&publisher), ERR_OK);
    assert_true(world.words == 1 && world.firsts == 1 && world.lasts == 1);
    assert_int_equal(later_by(5000), 0);
    add_row(8, START_S);
    assert_int_equal(later_by(600), 1);
    assert_true(world.firsts == 1 && session_ends_cover(&world.heard, 8, START_S - 1));
    assert_int_equal(later_by(60000), 1); /* all of them again */
    assert_true(world.firsts == 2 && world.lasts == 2);
}

/* The wait for the broker must not end at the time of a look that does not come. */
static void test_when_to_look(void **state)
{
    (void)state;
    assert_int_equal(publisher_tell_ends(&publisher), ERR_OK);
    assert_int_equal(publisher_ends_time(&publisher), monotonic_ms + 500);
    publisher.link.blocked = true;
    assert_int_equal(later_by(2000), 0);
    assert_true(publisher_ends_time(&publisher) == INT64_MAX);
    publisher.link.blocked = false;
    publisher.link.state = LINK_UNHEALED;
    assert_true(publisher_ends_time(&publisher) == INT64_MAX);
}

/* A row stays in the table until the purge comes; it is no news each time that it is read. */
static void test_what_no_longer_matters_is_not_told(void **state)
{
    (void)state;
    add_row(7, START_S - 930); /* a token of before, with the longest life, is good for 30 s more */
    assert_int_equal(publisher_tell_ends(&publisher), ERR_OK);
    assert_true(session_ends_cover(&world.heard, 7, START_S - 931));
    session_ends_free(&world.heard);
    assert_int_equal(later_by(40000), 0);
    publisher_ends_begin(&publisher);
    assert_int_equal(later_by(40000), 1);
    assert_int_equal(session_ends_count(&world.heard), 0);
}

/* More than the broker takes at a time without having confirmed some. */
static void test_a_long_list_goes_in_pieces(void **state)
{
    (void)state;
    for (uint32_t user = 1; user <= ROWS_MAX - 10; user++)
        add_row(user, START_S);
    world.room = 5;
    assert_int_equal(publisher_tell_ends(&publisher), ERR_AGAIN);
    add_row(3, START_S + 2); /* in what was told already */
    add_row(ROWS_MAX, START_S + 2);
    for (int turn = 0; turn < 3 && world.lasts == 0; turn++) {
        world.room = 5;
        (void)later_by(600);
    }
    assert_true(world.firsts == 1 && world.lasts == 1);
    assert_int_equal(world.words, (ROWS_MAX - 10 + ENDS_A_WORD - 1) / ENDS_A_WORD + 1);
    assert_int_equal(session_ends_count(&world.heard), ROWS_MAX - 10 + 1);
    assert_true(session_ends_cover(&world.heard, 3, START_S + 1));
    world.room = 100;
    assert_int_equal(later_by(60000), 0);
    publisher_ends_begin(&publisher); /* another connection: from the beginning */
    assert_int_equal(later_by(600), (ROWS_MAX - 10 + ENDS_A_WORD) / ENDS_A_WORD);
    assert_true(world.firsts == 2 && world.lasts == 2);
    assert_int_equal(world.strangers, 0);
}

/* What is new may come between the words of a whole list, and belongs to none. */
static void test_each_whole_list_has_a_name(void **state)
{
    char before[sizeof world.list];
    (void)state;
    add_row(7, START_S - 10);
    assert_int_equal(publisher_tell_ends(&publisher), ERR_OK);
    assert_int_equal(strlen(world.list), SESSION_LIST_MAX);
    memcpy(before, world.list, sizeof before);
    world.list[0] = '\0';
    add_row(8, START_S);
    assert_int_equal(later_by(600), 1);
    assert_int_equal(world.strangers, 0);
    publisher_ends_begin(&publisher);
    assert_int_equal(later_by(600), 1);
    assert_int_equal(strlen(world.list), SESSION_LIST_MAX);
    assert_string_not_equal(world.list, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_at_first_and_then_news, begin, end),
        cmocka_unit_test_setup_teardown(test_when_to_look, begin, end),
        cmocka_unit_test_setup_teardown(test_what_no_longer_matters_is_not_told, begin, end),
        cmocka_unit_test_setup_teardown(test_a_long_list_goes_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(test_each_whole_list_has_a_name, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
