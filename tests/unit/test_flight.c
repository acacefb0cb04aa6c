/* SPDX-License-Identifier: MIT */
/* Events between the outbox and the broker's confirm: tags, room, and where the next read begins. */
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/publisher/flight.h"

struct seen {
    size_t count;
    uint64_t last_seq;
};

static void see(void *context, const struct flight_event *event)
{
    struct seen *seen = context;
    seen->count++;
    seen->last_seq = event->meta.seq;
}

static void send(struct flight *flight, uint64_t tag, uint32_t user_id, uint64_t seq)
{
    struct event_meta meta = {.user_id = user_id, .seq = seq};
    flight_sent(flight, tag, &meta, 0, 100);
}

static void test_single_confirms_in_any_order(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    send(&flight, 1, 7, 41);
    send(&flight, 2, 8, 5);
    send(&flight, 3, 7, 42);
    assert_int_equal(flight_unconfirmed(&flight), 3);
    assert_int_equal(flight.bytes, 300);

    flight_confirm(&flight, 3, false, see, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last_seq, 42);
    assert_int_equal(flight.bytes, 200);
    flight_confirm(&flight, 1, false, see, &seen);
    flight_confirm(&flight, 2, false, see, &seen);
    assert_int_equal(flight_unconfirmed(&flight), 0);
    assert_int_equal(flight.landed_count, 3);
    assert_int_equal(flight.bytes, 0);
    flight_free(&flight);
}

static void test_a_traced_message(void **state)
{
    (void)state;
    struct flight flight;

    flight_init(&flight);
    send(&flight, 1, 7, 41);
    send(&flight, 2, 7, 42);
    flight_trace(&flight, "0123456789abcdef-01");
    assert_string_equal(flight.events[1].span_id, "");
    assert_string_equal(flight.events[2].span_id, "0123456789abcdef");
    flight_clear(&flight);
    for (uint64_t tag = 1; tag <= 2; tag++)
        send(&flight, tag, 7, 40 + tag);
    assert_string_equal(flight.events[2].span_id, "");
    flight_free(&flight);
}

static void test_multiple_confirms_each_once(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    for (uint64_t tag = 1; tag <= 10; tag++)
        send(&flight, tag, 7, 100 + tag);
    flight_confirm(&flight, 4, false, see, &seen);
    flight_confirm(&flight, 6, true, see, &seen);
    assert_int_equal(seen.count, 6);
    flight_confirm(&flight, 6, true, see, &seen);  /* again */
    flight_confirm(&flight, 99, true, see, &seen); /* never sent */
    flight_confirm(&flight, 0, false, see, &seen);
    assert_int_equal(seen.count, 6);
    assert_int_equal(flight_unconfirmed(&flight), 4);
    flight_free(&flight);
}

static void test_highest_until_the_last_is_deleted(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    assert_int_equal(flight_highest(&flight, 7), 0);
    send(&flight, 1, 7, 41);
    send(&flight, 2, 7, 42);
    flight_confirm(&flight, 1, false, see, &seen);
    flight_deleted(&flight, flight.landed_count);
    assert_int_equal(flight_highest(&flight, 7), 42);
    flight_confirm(&flight, 2, false, see, &seen);
    flight_deleted(&flight, 0);
    assert_int_equal(flight_highest(&flight, 7), 42); /* its row is still there */
    flight_deleted(&flight, flight.landed_count);
    assert_int_equal(flight_highest(&flight, 7), 0);
    flight_free(&flight);
}

static void test_deleted_in_parts(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    send(&flight, 1, 7, 41);
    send(&flight, 2, 8, 5);
    send(&flight, 3, 7, 42);
    flight_confirm(&flight, 3, true, see, &seen);
    flight_deleted(&flight, 2);
    assert_int_equal(flight.landed_count, 1);
    assert_int_equal(flight.landed[0].seq, 42);
    assert_int_equal(flight_highest(&flight, 8), 0);
    assert_int_equal(flight_highest(&flight, 7), 42);
    flight_deleted(&flight, 1);
    assert_int_equal(flight_highest(&flight, 7), 0);
    flight_free(&flight);
}

static void test_passed_over(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    assert_false(flight_passed_over(&flight));
    for (uint64_t tag = 1; tag <= 4; tag++)
        send(&flight, tag, 7, tag);
    flight_confirm(&flight, 1, false, see, &seen);
    assert_false(flight_passed_over(&flight)); /* the others are later */
    flight_confirm(&flight, 3, false, see, &seen);
    assert_true(flight_passed_over(&flight));
    flight_confirm(&flight, 2, false, see, &seen);
    assert_false(flight_passed_over(&flight));
    flight_confirm(&flight, 4, false, see, &seen);
    assert_false(flight_passed_over(&flight)); /* nothing is left */
    flight_clear(&flight);
    assert_false(flight_passed_over(&flight));
    flight_free(&flight);
}

static void test_control_messages_are_not_deleted(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    send(&flight, 1, 0, 0);
    flight_confirm(&flight, 1, false, see, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(flight.landed_count, 0);
    flight_free(&flight);
}

static void test_room(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};
    struct event_meta meta = {.user_id = 7};

    flight_init(&flight);
    assert_true(flight_has_room(&flight, FLIGHT_BYTES_MAX * 2)); /* a single message is always sent */
    for (uint64_t tag = 1; tag <= FLIGHT_EVENTS_MAX; tag++) {
        assert_true(flight_has_room(&flight, 1));
        meta.seq = tag;
        flight_sent(&flight, tag, &meta, 0, 1);
    }
    assert_false(flight_has_room(&flight, 1));
    flight_confirm(&flight, FLIGHT_EVENTS_MAX, true, see, &seen);
    assert_false(flight_has_room(&flight, 1)); /* nothing has been deleted yet */
    flight_deleted(&flight, flight.landed_count);
    assert_true(flight_has_room(&flight, FLIGHT_BYTES_MAX));
    meta.seq++;
    flight_sent(&flight, FLIGHT_EVENTS_MAX + 1, &meta, 0, FLIGHT_BYTES_MAX - 10);
    assert_true(flight_has_room(&flight, 10));
    assert_false(flight_has_room(&flight, 11));

    flight_clear(&flight);
    assert_int_equal(flight_highest(&flight, 7), 0);
    assert_int_equal(flight_unconfirmed(&flight), 0);
    meta.seq = 1;
    flight_sent(&flight, 1, &meta, 0, 1);
    flight_free(&flight);
}

static enum flight_place place(const struct flight *flight, const char *epoch, uint32_t user_id, uint64_t seq)
{
    struct event_meta meta = {.user_id = user_id, .seq = seq};
    strcpy(meta.epoch, epoch);
    return flight_place(flight, &meta);
}

static void test_the_next_of_a_user_is_known(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    assert_int_equal(place(&flight, "", 7, 1), FLIGHT_UNKNOWN);
    send(&flight, 1, 7, 41);
    assert_int_equal(place(&flight, "", 7, 40), FLIGHT_SENT);
    assert_int_equal(place(&flight, "", 7, 41), FLIGHT_SENT);
    assert_int_equal(place(&flight, "", 7, 42), FLIGHT_NEXT);
    assert_int_equal(place(&flight, "", 7, 43), FLIGHT_UNKNOWN);
    assert_int_equal(place(&flight, "", 8, 42), FLIGHT_UNKNOWN);
    assert_int_equal(place(&flight, "k3", 7, 42), FLIGHT_UNKNOWN);
    flight_confirm(&flight, 1, false, see, &seen);
    flight_deleted(&flight, 1);
    assert_int_equal(place(&flight, "", 7, 42), FLIGHT_NEXT);
    send(&flight, 2, 7, 30); /* a heal had put it back */
    assert_int_equal(place(&flight, "", 7, 31), FLIGHT_SENT);
    assert_int_equal(place(&flight, "", 7, 42), FLIGHT_NEXT);
    flight_clear(&flight);
    assert_int_equal(place(&flight, "", 7, 42), FLIGHT_UNKNOWN);
    flight_free(&flight);
}

static void test_another_epoch_begins_anew(void **state)
{
    (void)state;
    struct flight flight;
    struct event_meta meta = {.epoch = "k4", .user_id = 8, .seq = 5};

    flight_init(&flight);
    send(&flight, 1, 7, 41);
    flight_sent(&flight, 2, &meta, 0, 100);
    assert_int_equal(place(&flight, "k4", 8, 6), FLIGHT_NEXT);
    assert_int_equal(place(&flight, "k4", 7, 42), FLIGHT_UNKNOWN);
    assert_int_equal(place(&flight, "", 7, 42), FLIGHT_UNKNOWN);
    flight_free(&flight);
}

static void test_too_many_users_are_forgotten(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};

    flight_init(&flight);
    for (uint32_t user = 1; user <= FLIGHT_USERS_MAX + 1; user++) {
        send(&flight, user, user, 1);
        flight_confirm(&flight, user, false, see, &seen);
        flight_deleted(&flight, 1);
    }
    assert_int_equal(place(&flight, "", 1, 2), FLIGHT_UNKNOWN);
    assert_int_equal(place(&flight, "", FLIGHT_USERS_MAX + 1, 2), FLIGHT_NEXT);
    flight_free(&flight);
}

/* A message that another service's queue refuses is sent again once, and counts when that is confirmed. */
static void test_refused(void **state)
{
    (void)state;
    struct flight flight;
    struct seen seen = {0};
    struct event_meta meta = {.user_id = 7, .seq = 41}, control = {.user_id = 0};

    flight_init(&flight);
    send(&flight, 1, 7, 41);
    send(&flight, 2, 7, 42);
    send(&flight, 3, 8, 1);
    assert_true(flight_refuse(&flight, 2, true));
    assert_int_equal(flight.refused_count, 2);
    assert_int_equal(flight_unconfirmed(&flight), 1);
    assert_int_equal(flight.bytes, 100);
    assert_int_equal(flight_highest(&flight, 7), 42); /* no read begins before them */

    flight_sent_again(&flight, 4, &meta, 0, 100);
    flight_land(&flight, &flight.refused[1]); /* gone meanwhile */
    flight_unrefuse(&flight, 2);
    flight_confirm(&flight, 4, true, see, &seen);
    assert_int_equal(seen.count, 2);
    assert_int_equal(flight.landed_count, 3);
    flight_deleted(&flight, 3);
    assert_int_equal(flight_highest(&flight, 7), 0);

    flight_sent_again(&flight, 5, &meta, 0, 100);
    assert_false(flight_refuse(&flight, 5, false)); /* twice: by the stream itself */
    flight_sent(&flight, 6, &control, 0, 100);
    assert_false(flight_refuse(&flight, 6, false));
    flight_free(&flight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_confirms_in_any_order),
        cmocka_unit_test(test_a_traced_message),
        cmocka_unit_test(test_multiple_confirms_each_once),
        cmocka_unit_test(test_highest_until_the_last_is_deleted),
        cmocka_unit_test(test_deleted_in_parts),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_control_messages_are_not_deleted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_the_next_of_a_user_is_known),
        cmocka_unit_test(test_another_epoch_begins_anew),
        cmocka_unit_test(test_too_many_users_are_forgotten),
    };
    return cmocka_run_group_tests_name("flight", tests, NULL, NULL);
}
