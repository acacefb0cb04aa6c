/* SPDX-License-Identifier: MIT */
/* An event of an epoch that has not been announced: its beacon goes first, and takes a place in flight, too.
 */
#include "tests/unit/unit.h"

#include <string.h>

#include "fcgi-api/api_metrics.h"
#include "fcgi-api/publisher/internal.h"

static struct publisher publisher;
static uint64_t tags;
static unsigned beacons, events;

enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    (void)store;
    strcpy(epoch, "k2");
    return ERR_OK;
}

enum err amqp_link_publish_beacon(struct amqp_link *link, const char *type, const char *message_id,
                                  const char *epoch, const char *body, size_t length, uint64_t *tag)
{
    (void)link, (void)type, (void)message_id, (void)epoch, (void)body, (void)length;
    beacons++;
    *tag = ++tags;
    return ERR_OK;
}

enum err amqp_link_publish(struct amqp_link *link, const struct event_meta *meta, const char *body,
                           size_t length, uint64_t *tag)
{
    (void)link, (void)meta, (void)body, (void)length;
    events++;
    *tag = ++tags;
    return ERR_OK;
}

enum err amqp_link_publish_straight(struct amqp_link *link, const struct event_meta *meta, const char *body,
                                    size_t length, uint64_t *tag)
{
    return amqp_link_publish(link, meta, body, length, tag);
}

void amqp_link_gather(struct amqp_link *link)
{
    (void)link;
}

const char *amqp_link_why(const struct amqp_link *link)
{
    (void)link;
    return "";
}

static void fill(size_t places)
{
    static const struct event_meta control = {.user_id = 0};
    while (flight_unconfirmed(&publisher.sending.flight) < places)
        flight_sent(&publisher.sending.flight, ++tags, &control, 0, 1);
}

static void check(size_t places, enum err err, unsigned expected_events)
{
    static char body[] = "{}";
    struct outbox_event event = {
        .meta = {.epoch = "k2", .user_id = 7, .seq = 1}, .payload = body, .length = 2};
    tags = 0;
    beacons = events = 0;
    publisher = (struct publisher){.sending.epoch = "k1"};
    assert_int_equal(metrics_open("", api_metric_defs, API_METRIC_COUNT, &publisher.metrics), ERR_OK);
    flight_init(&publisher.sending.flight);
    fill(places);
    assert_int_equal(publisher_send_event(&publisher, &event), err);
    assert_int_equal(beacons, 1);
    assert_int_equal(events, expected_events);
    assert_in_range(flight_unconfirmed(&publisher.sending.flight), places + 1, FLIGHT_EVENTS_MAX);
    flight_free(&publisher.sending.flight);
    metrics_close(&publisher.metrics);
}

static void test_a_new_epoch(void **state)
{
    (void)state;
    check(0, ERR_OK, 1);
    check(FLIGHT_EVENTS_MAX - 2, ERR_OK, 1);
}

static void test_no_place_behind_the_beacon(void **state)
{
    (void)state;
    check(FLIGHT_EVENTS_MAX - 1, ERR_AGAIN, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_epoch),
        cmocka_unit_test(test_no_place_behind_the_beacon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
