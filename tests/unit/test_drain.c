/* SPDX-License-Identifier: MIT */
/* Whether the publisher could send now: where it could not it waits for confirms, and must not ask the
 * database meanwhile, nor at once again. */
#include "tests/unit/unit.h"

#include "fcgi-api/publisher/internal.h"

#define LENGTH 50000

static struct publisher publisher;
static struct outbox_event event = {.meta = {.user_id = 7, .seq = 1}, .length = LENGTH};

static int begin(void **state)
{
    (void)state;
    publisher = (struct publisher){.link.state = LINK_READY};
    flight_init(&publisher.sending.flight);
    worklist_init(&publisher.outgoing.todo, 16);
    return 0;
}

static int end(void **state)
{
    (void)state;
    flight_free(&publisher.sending.flight);
    worklist_free(&publisher.outgoing.todo);
    return 0;
}

static void see(void *context, const struct flight_event *seen)
{
    (void)context, (void)seen;
}

/* A message that leaves so many bytes free, until it is confirmed. */
static void leave_free(uint64_t tag, size_t bytes)
{
    static const struct event_meta control = {.user_id = 0};
    flight_sent(&publisher.sending.flight, tag, &control, 0, FLIGHT_BYTES_MAX - bytes);
}

static void confirm(uint64_t tag)
{
    flight_confirm(&publisher.sending.flight, tag, false, see, NULL);
}

static void test_nothing_to_send(void **state)
{
    (void)state;
    assert_false(publisher_may_send(&publisher));
    assert_true(worklist_add(&publisher.outgoing.todo, 7, 1));
    assert_true(publisher_may_send(&publisher));
    publisher.link.blocked = true;
    assert_false(publisher_may_send(&publisher));
}

static void test_room_for_the_next_event(void **state)
{
    (void)state;
    publisher.outgoing.batch = (struct outbox_batch){.events = &event, .count = 1};
    assert_true(publisher_may_send(&publisher));
    leave_free(1, LENGTH);
    assert_false(publisher_may_send(&publisher)); /* a message is longer than its body */
    confirm(1);
    assert_true(publisher_may_send(&publisher));
    leave_free(2, LENGTH + PUBLISHER_MESSAGE_EXTRA);
    assert_true(publisher_may_send(&publisher));
}

static void test_room_for_a_refused_event(void **state)
{
    struct flight *flight = &publisher.sending.flight;
    (void)state;
    flight_sent(flight, 1, &event.meta, 0, LENGTH);
    assert_true(flight_refuse(flight, 1, false));
    assert_true(publisher_may_send(&publisher));
    leave_free(2, LENGTH);
    assert_false(publisher_may_send(&publisher)); /* it could be a large one */
    confirm(2);
    assert_true(publisher_may_send(&publisher));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_to_send, begin, end),
        cmocka_unit_test_setup_teardown(test_room_for_the_next_event, begin, end),
        cmocka_unit_test_setup_teardown(test_room_for_a_refused_event, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
