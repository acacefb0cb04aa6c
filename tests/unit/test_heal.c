/* SPDX-License-Identifier: MIT */
/* The steps between a new connection and its first event, with a database and a broker whose answers are set.
 */
#include "tests/unit/unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/publisher/internal.h"
#include "fcgi-api/publisher/look.h"

static struct config config;
static struct publisher publisher;

static struct {
    bool marked, noted;
    bool lock_is_gone; /* another publisher has it */
    bool database_is_away;
    bool alarm;              /* the probe is answered by that alone */
    bool kept;               /* there are events to look for */
    enum err look;           /* what a step of that ends with */
    bool refused;            /* our account may not look */
    unsigned not_yet;        /* so often the stream cannot be read yet */
    unsigned put_back;       /* how often something went back */
    unsigned database_fails; /* so often at the last step */
    bool allowed;            /* others may emit */
    unsigned marks, notes;
    enum err comparison; /* of the stream with the journal */
    unsigned compared, looks;
    bool begins; /* a life of the broker */
} world;

enum err publisher_lost(struct publisher *self, const char *format, ...)
{
    (void)self, (void)format;
    return ERR_CLOSED;
}

enum err publisher_count_nodes(struct publisher *self)
{
    (void)self;
    return ERR_OK;
}

enum err store_lock(struct store *store, const char *name, bool *held)
{
    (void)store, (void)name;
    *held = !world.lock_is_gone;
    return world.database_is_away ? ERR_UNAVAILABLE : ERR_OK;
}

enum err store_unlock(struct store *store, const char *name)
{
    (void)store, (void)name;
    return ERR_OK;
}

enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    (void)store;
    strcpy(epoch, "k1");
    return ERR_OK;
}

enum err store_broker_life(struct store *store, bool begins, uint64_t *life)
{
    (void)store;
    world.begins = begins;
    *life = 1;
    return ERR_OK;
}

enum err publisher_decide_to_look(struct publisher *self)
{
    (void)self;
    return ERR_OK;
}

enum err publisher_compared_since(struct publisher *self, int64_t *since_s)
{
    (void)self;
    *since_s = 5;
    return ERR_OK;
}

enum err publisher_compare_with(struct publisher *self, const struct witness *witness)
{
    (void)witness;
    world.compared++;
    self->comparing.renewed = world.comparison == ERR_STALE;
    return world.comparison;
}

struct witness *look_witness(struct look *look)
{
    static struct witness any;
    (void)look;
    return &any;
}

enum err store_kept_age(struct store *store, bool *any, uint64_t *age_s)
{
    (void)store;
    *any = world.kept;
    *age_s = 0;
    return ERR_OK;
}

enum err store_outbox_refill(struct store *store, struct outbox_refill *refill, int limit)
{
    (void)store, (void)limit;
    world.put_back++;
    refill->done = true;
    return ERR_OK;
}

enum err store_moment(struct store *store, const char *name, int64_t *wall_ms)
{
    (void)store, (void)name;
    *wall_ms = world.allowed ? 1000 : -1;
    return ERR_OK;
}

enum err store_set_moment(struct store *store, const char *name, int64_t wall_ms)
{
    (void)store, (void)name, (void)wall_ms;
    if (world.database_fails > 0 && world.database_fails--)
        return ERR_UNAVAILABLE;
    assert_false(world.allowed); /* callers of carillon_emit may hold the row */
    world.allowed = true;
    return ERR_OK;
}

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, const char *body, bool *marked)
{
    (void)link, (void)type, (void)message_id, (void)body;
    assert_string_equal(epoch, "k1");
    *marked = world.marked;
    return world.alarm ? ERR_CLOSED : ERR_OK;
}

bool amqp_link_was_blocked(struct amqp_link *link)
{
    (void)link;
    return world.alarm;
}

enum err amqp_link_check_life(struct amqp_link *link, bool *noted)
{
    (void)link;
    *noted = world.noted;
    return ERR_OK;
}

enum err amqp_link_confirm(struct amqp_link *link)
{
    (void)link;
    return ERR_OK;
}

enum err amqp_link_mark(struct amqp_link *link)
{
    (void)link;
    world.marks++;
    return ERR_OK;
}

enum err amqp_link_note_life(struct amqp_link *link, bool *noted)
{
    (void)link;
    world.notes++;
    *noted = true;
    return ERR_OK;
}

const char *amqp_link_note(const struct amqp_link *link)
{
    (void)link;
    return "";
}

const char *amqp_link_why(const struct amqp_link *link)
{
    (void)link;
    return "";
}

enum err look_begin(const struct config *settings, int64_t since_s, const char *until_id, const char *epoch,
                    struct look **out, char *why, size_t why_size)
{
    static char any;
    (void)settings, (void)since_s, (void)until_id, (void)epoch, (void)why, (void)why_size;
    world.looks++;
    if (world.refused)
        return ERR_UNAVAILABLE;
    *out = world.not_yet > 0 ? NULL : (struct look *)(void *)&any;
    return world.not_yet > 0 && world.not_yet-- ? ERR_AGAIN : ERR_OK;
}

void look_end(struct look **look)
{
    *look = NULL;
}

enum err look_step(struct look *look)
{
    (void)look;
    return world.look;
}

const char *look_why(const struct look *look)
{
    (void)look;
    return "";
}

uint64_t look_messages(const struct look *look, int64_t *taken_ms)
{
    (void)look;
    *taken_ms = 0;
    return 0;
}

bool look_found(const struct look *look, uint32_t user_id, uint64_t first_seq, uint64_t last_seq)
{
    (void)look, (void)user_id, (void)first_seq, (void)last_seq;
    return false;
}

static int begin(void **state)
{
    (void)state;
    log_init("test", LOG_TEXT, LOG_ERROR);
    memset(&world, 0, sizeof world);
    publisher = (struct publisher){.config = &config};
    publisher_heal_begin(&publisher);
    return metrics_open("", api_metric_defs, API_METRIC_COUNT, &publisher.metrics) == ERR_OK ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    metrics_close(&publisher.metrics);
    return 0;
}

static void heal(void)
{
    enum heal_state state;
    while ((state = publisher_heal_step(&publisher)) == HEAL_WAITS)
        publisher.healing.next_at = 0; /* it has come */
    assert_int_equal(state, HEAL_DONE);
}

/* The database goes away after the marks were left. */
static void test_marks_are_left_once(void **state)
{
    (void)state;
    world.marked = true;
    world.database_fails = 5;
    heal();
    assert_true(world.marks == 1 && world.notes == 1);
}

/* The probe is a beacon, but not in a stream that has not got it. */
static void test_which_epoch_was_announced(void **state)
{
    (void)state;
    world.marked = world.noted = true;
    heal();
    assert_string_equal(publisher.sending.epoch, "k1");
    (void)end(state);
    (void)begin(state);
    heal();
    assert_string_equal(publisher.sending.epoch, "");
}

static void reconnect(void)
{
    assert_true(world.put_back == 0 && world.marks == 0);
    publisher_heal_abandon(&publisher);
    publisher_heal_begin(&publisher);
    world.marked = world.kept = true;
}

/* A broker that has just started may begin its stream more than once: what was sent to one is not in the
 * next, so the next attempt is made on a new connection, with a new probe. */
static void test_a_look_that_fails(void **state)
{
    (void)state;
    reconnect();
    world.not_yet = 1;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST); /* it cannot even begin */
    reconnect();
    world.look = ERR_UNAVAILABLE;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS); /* begins */
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);  /* fails */
    reconnect();
    world.look = ERR_OK;
    heal();
    assert_true(world.looks == 3 && world.compared > 0 && world.put_back == 1);
    assert_int_equal(publisher.healing.failed_looks.since, 0);
}

static void test_a_look_that_fails_for_long(void **state)
{
    (void)state;
    reconnect();
    world.not_yet = 1;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    publisher.healing.failed_looks.since -= 10000;
    reconnect();
    world.look = ERR_UNAVAILABLE;
    heal(); /* all goes back */
    assert_true(world.looks == 2 && world.put_back == 1);
}

/* A broker that was away since then has just started again. */
static void test_looks_that_failed_long_ago(void **state)
{
    (void)state;
    reconnect();
    world.not_yet = 2;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    publisher.healing.failed_looks.since -= 60000;
    publisher.healing.failed_looks.last_at -= 60000;
    reconnect();
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    reconnect();
    heal();
    assert_true(world.looks == 3 && world.compared > 0 && world.put_back == 1);
}

/* Another publisher, which fails likewise, has the lock meanwhile. */
static void test_looks_that_wait_for_the_lock(void **state)
{
    (void)state;
    reconnect();
    world.not_yet = 1;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    reconnect();
    publisher.healing.failed_looks.since -= 11000;
    publisher.healing.failed_looks.last_at -= 11000;
    world.look = ERR_UNAVAILABLE;
    heal(); /* all goes back */
    assert_true(world.looks == 2 && world.put_back == 1);
}

static void test_a_stream_that_may_not_be_read(void **state)
{
    (void)state;
    reconnect();
    world.refused = true;
    heal();
    assert_true(world.looks == 1 && world.put_back == 1);
}

/* The lock goes with the database's connection. Another publisher may have taken it then, and healed: what
 * this one has found is dropped. */
static void test_a_lock_that_is_lost(void **state)
{
    (void)state;
    world.marked = world.kept = true;
    world.look = ERR_AGAIN;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS); /* begins to look */
    world.database_is_away = true;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS);
    publisher.healing.next_at = 0;
    world.database_is_away = false; /* no other publisher has taken the lock meanwhile */
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS);
    assert_non_null(publisher.healing.look);
    world.lock_is_gone = true;
    world.look = ERR_OK;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    assert_true(world.put_back == 0 && world.marks == 0 && !publisher.healing.locked);
    publisher_heal_abandon(&publisher);
    publisher_heal_begin(&publisher);
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS); /* for the other one */
    assert_true(world.put_back == 0 && world.marks == 0);
    world.lock_is_gone = false;
    world.noted = true; /* that one has healed */
    heal();
    assert_true(world.put_back == 0 && world.marks == 1 && world.notes == 0);
}

/* When it is wanted, also on a broker that has lost nothing; what was read last is compared, too. */
static void test_the_stream_is_compared(void **state)
{
    (void)state;
    world.marked = world.noted = true;
    heal();
    assert_int_equal(world.looks, 0);
    publisher_heal_begin(&publisher);
    publisher.comparing.look = true;
    heal();
    assert_false(publisher.comparing.look);
    assert_true(world.looks == 1 && world.compared >= 2 && world.put_back == 0);
}

/* Nothing more happens on this connection; the next one publishes what is kept again. */
static void test_commits_are_lost(void **state)
{
    enum heal_state healed;
    (void)state;
    world.marked = world.noted = true;
    world.comparison = ERR_STALE;
    publisher.comparing.look = true;
    while ((healed = publisher_heal_step(&publisher)) == HEAL_WAITS)
        publisher.healing.next_at = 0;
    assert_int_equal(healed, HEAL_LOST);
    assert_true(world.marks == 0 && world.put_back == 0);
    publisher_heal_abandon(&publisher);
    publisher_heal_begin(&publisher);
    heal();
    assert_true(world.looks == 1 && world.put_back == 1 && world.begins);
    assert_false(publisher.comparing.renewed);
}

/* The look is for what the database has now, so it begins again when that does not answer. */
static void test_no_answer_while_comparing(void **state)
{
    (void)state;
    world.marked = world.noted = true;
    world.comparison = ERR_UNAVAILABLE;
    publisher.comparing.look = true;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS);
        publisher.healing.next_at = 0;
    }
    assert_int_equal(world.looks, 2);
    world.comparison = ERR_OK;
    heal();
    assert_int_equal(world.marks, 1);
}

/* Such a broker takes the connection and then answers nothing: it is not down. */
static void test_a_broker_with_an_alarm(void **state)
{
    (void)state;
    world.alarm = true;
    health_connected(publisher.metrics, false, 0);
    assert_int_equal(publisher_heal_step(&publisher), HEAL_LOST);
    assert_int_equal(health_broker(publisher.metrics, 1), BROKER_BLOCKED);
    world.alarm = false;
    publisher_heal_begin(&publisher);
    heal();
    health_blocked(publisher.metrics, false);
    assert_int_equal(health_broker(publisher.metrics, 1), BROKER_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_marks_are_left_once, begin, end),
        cmocka_unit_test_setup_teardown(test_which_epoch_was_announced, begin, end),
        cmocka_unit_test_setup_teardown(test_a_look_that_fails, begin, end),
        cmocka_unit_test_setup_teardown(test_a_look_that_fails_for_long, begin, end),
        cmocka_unit_test_setup_teardown(test_looks_that_failed_long_ago, begin, end),
        cmocka_unit_test_setup_teardown(test_looks_that_wait_for_the_lock, begin, end),
        cmocka_unit_test_setup_teardown(test_a_stream_that_may_not_be_read, begin, end),
        cmocka_unit_test_setup_teardown(test_a_lock_that_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(test_the_stream_is_compared, begin, end),
        cmocka_unit_test_setup_teardown(test_commits_are_lost, begin, end),
        cmocka_unit_test_setup_teardown(test_no_answer_while_comparing, begin, end),
        cmocka_unit_test_setup_teardown(test_a_broker_with_an_alarm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
