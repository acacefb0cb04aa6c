/* SPDX-License-Identifier: MIT */
/* Events that count as found in the stream: one run of each user's numbers, without repeats, and none after a
 * hole. */
#include "tests/unit/unit.h"

#include "common/amqp/link.h"
#include "fcgi-api/publisher/look.h"

static struct look *look;

/* A stream in which a message comes every so many ms, on a connection that waits for it when told to. */
static struct {
    int every_ms, waited_ms;
    unsigned messages;
} stream;

enum err amqp_link_poll(struct amqp_link *link, int timeout_ms, struct amqp_event *event)
{
    (void)link;
    *event = (struct amqp_event){.kind = AMQP_DELIVERY};
    event->delivery = (struct amqp_delivery){.type = "", .message_id = "", .account = ""};
    stream.waited_ms += timeout_ms < stream.every_ms ? timeout_ms : stream.every_ms;
    if (timeout_ms < stream.every_ms)
        return ERR_AGAIN;
    stream.messages++;
    return ERR_OK;
}

enum err amqp_link_open(const struct config *config, enum amqp_side side, const char *name,
                        struct amqp_link **out, char *why, size_t why_size)
{
    (void)config, (void)side, (void)name, (void)out, (void)why, (void)why_size;
    return ERR_UNAVAILABLE;
}

enum err amqp_link_consume(struct amqp_link *link, int64_t since_s, int64_t from_offset, int prefetch)
{
    (void)link, (void)since_s, (void)from_offset, (void)prefetch;
    return ERR_OK;
}

enum err amqp_link_ack(struct amqp_link *link, uint64_t tag)
{
    (void)link, (void)tag;
    return ERR_OK;
}

const char *amqp_link_why(const struct amqp_link *link)
{
    (void)link;
    return "";
}

void amqp_link_close(struct amqp_link **link)
{
    *link = NULL;
}

static int before(void **state)
{
    (void)state;
    look = look_new("k3f9a1c2:probe:1", "k3f9a1c2");
    return 0;
}

static int after(void **state)
{
    (void)state;
    look_end(&look);
    return 0;
}

static void hear(uint32_t user_id, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        look_hear(look, user_id, seq);
}

static void test_nothing_is_found_in_silence(void **state)
{
    (void)state;
    assert_false(look_found(look, 7, 1, 1));
}

static void test_a_run(void **state)
{
    (void)state;
    hear(7, 5, 9);
    assert_true(look_found(look, 7, 5, 9));
    assert_true(look_found(look, 7, 6, 6));
    assert_false(look_found(look, 7, 4, 6)); /* begins before the first that was read */
    assert_false(look_found(look, 7, 4, 4));
    assert_false(look_found(look, 7, 8, 10)); /* ends after it */
    assert_false(look_found(look, 7, 10, 10));
    assert_false(look_found(look, 8, 5, 9));
}

static void test_repeats_change_nothing(void **state)
{
    (void)state;
    hear(7, 5, 9);
    hear(7, 6, 10);
    assert_true(look_found(look, 7, 5, 10));
    assert_false(look_found(look, 7, 4, 10));
}

/* What was put back is there twice, and what is read begins between the two. */
static void test_earlier_ones_that_come_after(void **state)
{
    (void)state;
    hear(7, 80, 100);
    hear(7, 1, 50); /* then the publisher was killed, and another began anew */
    assert_true(look_found(look, 7, 80, 100));
    assert_false(look_found(look, 7, 1, 50));
    hear(7, 1, 79);
    assert_true(look_found(look, 7, 1, 100));
    hear(7, 101, 102);
    assert_true(look_found(look, 7, 1, 102));
    assert_false(look_found(look, 7, 1, 103));
}

static void test_a_hole_among_earlier_ones(void **state)
{
    (void)state;
    hear(7, 80, 100);
    hear(7, 50, 60);
    hear(7, 70, 79);
    assert_true(look_found(look, 7, 70, 100));
    assert_false(look_found(look, 7, 60, 70));
    assert_false(look_found(look, 7, 50, 60));
}

static void test_a_hole_ends_it(void **state)
{
    (void)state;
    hear(7, 5, 6);
    hear(7, 8, 9);
    assert_true(look_found(look, 7, 5, 6));
    assert_false(look_found(look, 7, 7, 7));
    assert_false(look_found(look, 7, 8, 9));
    hear(7, 7, 9); /* repeated: now they are there in order */
    assert_true(look_found(look, 7, 5, 9));
}

static void test_more_users_than_there_is_room_for(void **state)
{
    (void)state;
    for (uint32_t user_id = 1; user_id <= LOOK_USERS_MAX + 1; user_id++)
        look_hear(look, user_id, 1);
    assert_true(look_found(look, LOOK_USERS_MAX, 1, 1));
    assert_false(look_found(look, LOOK_USERS_MAX + 1, 1, 1));
}

/* The publisher's own connection has heartbeats to send, and its process is to be seen. */
static void test_a_step_waits_for_one_message_only(void **state)
{
    (void)state;
    for (stream.every_ms = 0; stream.every_ms <= 60; stream.every_ms += 20) {
        stream.waited_ms = 0;
        stream.messages = 0;
        assert_int_equal(look_step(look), ERR_AGAIN);
        assert_in_range(stream.waited_ms, 0, 50);
        assert_int_equal(stream.messages > 0, stream.every_ms <= 50);
    }
    stream.every_ms = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_found_in_silence, before, after),
        cmocka_unit_test_setup_teardown(test_a_run, before, after),
        cmocka_unit_test_setup_teardown(test_repeats_change_nothing, before, after),
        cmocka_unit_test_setup_teardown(test_earlier_ones_that_come_after, before, after),
        cmocka_unit_test_setup_teardown(test_a_hole_among_earlier_ones, before, after),
        cmocka_unit_test_setup_teardown(test_a_hole_ends_it, before, after),
        cmocka_unit_test_setup_teardown(test_more_users_than_there_is_room_for, before, after),
        cmocka_unit_test_setup_teardown(test_a_step_waits_for_one_message_only, before, after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
