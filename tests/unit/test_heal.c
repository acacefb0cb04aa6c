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
    bool kept;               /* there are events to look for */
    enum err look;           /* what a step of that ends with */
    unsigned put_back;       /* how often something went back */
    unsigned database_fails; /* so often at the last step */
    unsigned marks, notes;
} world;

enum err publisher_lost(struct publisher *self, const char *format, ...)
{
    (void)self, (void)format;
    return ERR_CLOSED;
}

enum err store_lock(struct store *store, const char *name, int timeout_s, bool *held)
{
    (void)store, (void)name, (void)timeout_s;
    *held = true;
    return ERR_OK;
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
    (void)store, (void)begins;
    *life = 1;
    return ERR_OK;
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

enum err store_set_moment(struct store *store, const char *name, int64_t wall_ms)
{
    (void)store, (void)name, (void)wall_ms;
    return world.database_fails > 0 && world.database_fails-- ? ERR_UNAVAILABLE : ERR_OK;
}

enum err amqp_link_check_mark(struct amqp_link *link, const char *type, const char *message_id,
                              const char *epoch, const char *body, bool *marked)
{
    (void)link, (void)type, (void)message_id, (void)body;
    assert_string_equal(epoch, "k1");
    *marked = world.marked;
    return ERR_OK;
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
    *out = (struct look *)(void *)&any;
    return ERR_OK;
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
    (void)begin(state);
    heal();
    assert_string_equal(publisher.sending.epoch, "");
}

/* A broker that dies while it is read back: its other connection shows that before anything goes back. */
static void test_a_look_that_fails(void **state)
{
    (void)state;
    world.marked = world.kept = true;
    world.look = ERR_UNAVAILABLE;
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS); /* begins */
    assert_int_equal(publisher_heal_step(&publisher), HEAL_WAITS); /* fails */
    assert_true(world.put_back == 0 && world.marks == 0);
    heal();
    assert_true(world.put_back == 1 && world.marks == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_marks_are_left_once, begin),
        cmocka_unit_test_setup(test_which_epoch_was_announced, begin),
        cmocka_unit_test_setup(test_a_look_that_fails, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
