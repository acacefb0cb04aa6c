/* SPDX-License-Identifier: MIT */
/* Coming back with a cursor: the answer, the missed events, then live ones. */
#include "tests/unit/audience.h"

static void test_answer_replay_live(void **state)
{
    (void)state;
    comes_back(4, "\"k3f9a1c2:2\"");
    take_event(1, 5);
    check_hears(&one, ANSWER("k3f9a1c2:2", REPLAYED("2", "k3f9a1c2:4")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:5\"}");
    check_hears(&one, "");
}

static void test_since_null(void **state)
{
    (void)state;
    catch_up();
    subscribes(&one, "null");
    check_hears(&one, ANSWER("k3f9a1c2:0:%T", RECOVERED));
    take_event(1, 41);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:41\"}");
    subscribes(&two, "null");
    check_hears(&two, ANSWER("k3f9a1c2:41:%T", RECOVERED));
}

static void test_not_recovered(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 41);
    subscribes(&one, "\"k3f9a1c2:7\"");
    check_hears(&one, ANSWER("k3f9a1c2:7", NOT_RECOVERED("truncated")));
    subscribes(&one, "\"other:7\"");
    check_hears(&one, ANSWER("other:7", NOT_RECOVERED("epoch")));
    /* It goes on live all the same, from the cursor of the answer. */
    take_event(1, 42);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:42\"}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
}

/* The cursor of a frame; "" when it has none. */
static void read_cursor(const char *frame, char cursor[CURSOR_TEXT_SIZE])
{
    static const char key[] = "\"cursor\":\"";
    const char *found = strstr(frame, key);
    const char *start = found ? found + strlen(key) : "";
    snprintf(cursor, CURSOR_TEXT_SIZE, "%.*s", (int)strcspn(start, "\""), start);
}

/* Browser `one` keeps each cursor it is given, and is disconnected after `frames` frames. Browser `two` comes
 * back with that cursor, and hears exactly the rest of events 3 to 6. */
static void check_cut_after(int frames)
{
    char kept[CURSOR_TEXT_SIZE], since[CURSOR_TEXT_SIZE + 2], text[64];
    uint64_t last = 2;

    subscribes(&one, "\"k3f9a1c2:2:1\"");
    for (int i = 0; i < frames; i++) {
        for (int beat = 0; beat < 4; beat++)
            reception_beat(reception);
        const char *frame = browser_hears(&one);
        read_cursor(frame, kept);
        last += strstr(frame, "subscribe") == NULL;
    }
    reception_leave(reception, one.client);
    snprintf(since, sizeof since, "\"%s\"", kept);
    subscribes(&two, since);
    assert_non_null(strstr(browser_hears(&two), "\"recovered\":true"));
    while (last < 6) {
        snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)++last);
        check_hears(&two, text);
    }
    check_hears(&two, "");
    reception_leave(reception, two.client);
}

static void test_every_cursor_may_be_kept(void **state)
{
    (void)state;
    catch_up();
    for (uint64_t seq = 1; seq <= 6; seq++)
        take_event(1, seq);
    for (int frames = 1; frames <= 5; frames++)
        check_cut_after(frames);
}

/* The ring lacks the user's first events: the replay begins with the first one that it has. */
static void test_cursor_of_number_zero_may_be_kept(void **state)
{
    (void)state;
    char since[CURSOR_TEXT_SIZE + 2];
    catch_up();
    take_event(1, 5);
    take_event(1, 6);
    snprintf(since, sizeof since, "\"k3f9a1c2:0:%lld\"", (long long)now_s);
    subscribes(&one, since);
    check_hears(&one, ANSWER("k3f9a1c2:4:%T", REPLAYED("2", "k3f9a1c2:6")));
}

/* A client that comes back with the cursor of a reset is told again; here the ring has even forgotten why. */
static void test_cursor_of_a_reset_may_be_kept(void **state)
{
    (void)state;
    comes_back(3, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED));
    take_event(1, 5);
    check_hears(&one, RESET("k3f9a1c2:3", "lost"));
    subscribes(&two, "\"k3f9a1c2:3\"");
    check_hears(&two, ANSWER("k3f9a1c2:3", NOT_RECOVERED("truncated")));
    while (feed_forget_oldest(feed))
        ;
    subscribes(&two, "\"k3f9a1c2:3\"");
    check_hears(&two, ANSWER("k3f9a1c2:3", NOT_RECOVERED("truncated")));
    take_beacon("00000002");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:5\"}");
    check_hears(&one, RESET("k3f9a1c2:5", "epoch"));
    subscribes(&two, "\"k3f9a1c2:5\"");
    check_hears(&two, RESET("k3f9a1c2:3", "epoch"));
    check_hears(&two, ANSWER("k3f9a1c2:5", NOT_RECOVERED("epoch")));
}

/* A replay takes one place in the queue, however long it is, and events of the meantime follow it. */
static void test_longer_than_the_queue(void **state)
{
    (void)state;
    struct browser small;
    char text[64];
    open_browser(&small, 3);
    catch_up();
    for (uint64_t seq = 1; seq <= 50; seq++)
        take_event(1, seq);
    subscribes(&small, "\"k3f9a1c2:10\"");
    assert_int_equal(client_waiting(small.client), 2);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 1);
    check_hears(&small, ANSWER("k3f9a1c2:10", REPLAYED("40", "k3f9a1c2:50")));
    for (uint64_t seq = 11; seq <= 60; seq++) {
        if (seq % 4 == 0)
            take_event(1, 50 + seq / 4 - 2);
        for (int i = 0; i < 4; i++)
            reception_beat(reception); /* its cursor would be wrong */
        snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)seq);
        check_hears(&small, text);
    }
    assert_int_equal(client_closing(small.client), CLOSE_NOT);
    take_event(1, 64);
    take_event(1, 65);
    for (uint64_t seq = 61; seq <= 65; seq++) {
        snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)seq);
        check_hears(&small, text);
    }
    check_hears(&small, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYED), 55);
    take_event(1, 66); /* live again */
    assert_int_equal(client_waiting(small.client), 1);
    check_hears(&small, "{\"cursor\":\"k3f9a1c2:66\"}");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 0);
    reception_leave(reception, small.client);
    client_free(&small.client);
}

/* It subscribes anew, and leaves, while it replays. */
static void test_replay_replaced(void **state)
{
    (void)state;
    comes_back(5, "\"k3f9a1c2:1\"");
    subscribes(&one, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("4", "k3f9a1c2:5")));
    check_hears(&one, ANSWER("k3f9a1c2:3", REPLAYED("2", "k3f9a1c2:5")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    says(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    check_hears(&one, "{\"type\":\"unsubscribe\",\"user_id\":1}");
    check_hears(&one, "");
    subscribes(&one, "\"k3f9a1c2:1\"");
    reception_leave(reception, one.client);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
}

/* The ring drops events that a replay still needs: that client is told, and then goes on as the others. */
static void check_given_up(const char *reset, uint64_t next)
{
    char text[64];
    check_hears(&one, reset);
    check_hears(&one, "");
    assert_int_equal(metrics_get(metrics, NOTIFIER_RESETS), 1);
    assert_int_equal(metrics_get(metrics, NOTIFIER_REPLAYING), 0);
    take_event(1, next);
    snprintf(text, sizeof text, "{\"cursor\":\"k3f9a1c2:%llu\"}", (unsigned long long)next);
    check_hears(&one, text);
}

static void test_ring_drops_a_replay(void **state)
{
    (void)state;
    comes_back(5, "\"k3f9a1c2:1\"");
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("4", "k3f9a1c2:5")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    for (int i = 0; i < 3; i++)
        assert_true(feed_forget_oldest(feed));
    check_given_up(RESET("k3f9a1c2:2", "truncated"), 6);
}

static void test_ring_drops_a_whole_replay(void **state)
{
    (void)state;
    comes_back(5, "\"k3f9a1c2:1\"");
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("4", "k3f9a1c2:5")));
    take_event(1, 6);
    while (feed_forget_oldest(feed))
        ;
    check_given_up(RESET("k3f9a1c2:1", "truncated"), 7);
}

static void test_stream_loses_during_a_replay(void **state)
{
    (void)state;
    comes_back(3, "\"k3f9a1c2:1\"");
    take_event(1, 5);
    take_event(1, 6);
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("2", "k3f9a1c2:3")));
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:2\"}");
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:3\"}");
    check_given_up(RESET("k3f9a1c2:3", "lost"), 7);
}

static void test_epoch_during_a_replay(void **state)
{
    (void)state;
    comes_back(3, "\"k3f9a1c2:1\"");
    take_beacon("00000002");
    check_hears(&one, ANSWER("k3f9a1c2:1", REPLAYED("2", "k3f9a1c2:3")));
    check_hears(&one, RESET("k3f9a1c2:1", "epoch"));
    check_hears(&one, "");
    take_event_of("00000002", 1, 1);
    check_hears(&one, "{\"cursor\":\"00000002:1\"}");
}

/* A cursor fresh from the database is ahead of the stream: late events are not delivered twice. */
static void test_cursor_ahead(void **state)
{
    (void)state;
    catch_up();
    take_event(1, 1);
    subscribes(&one, "\"k3f9a1c2:3\"");
    check_hears(&one, ANSWER("k3f9a1c2:3:%T", RECOVERED));
    for (uint64_t seq = 2; seq <= 4; seq++)
        take_event(1, seq);
    check_hears(&one, "{\"cursor\":\"k3f9a1c2:4\"}");
    check_hears(&one, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_AUDIENCE(test_answer_replay_live),
        WITH_AUDIENCE(test_since_null),
        WITH_AUDIENCE(test_not_recovered),
        WITH_AUDIENCE(test_every_cursor_may_be_kept),
        WITH_AUDIENCE(test_cursor_of_number_zero_may_be_kept),
        WITH_AUDIENCE(test_cursor_of_a_reset_may_be_kept),
        WITH_AUDIENCE(test_longer_than_the_queue),
        WITH_AUDIENCE(test_replay_replaced),
        WITH_AUDIENCE(test_ring_drops_a_replay),
        WITH_AUDIENCE(test_ring_drops_a_whole_replay),
        WITH_AUDIENCE(test_stream_loses_during_a_replay),
        WITH_AUDIENCE(test_epoch_during_a_replay),
        WITH_AUDIENCE(test_cursor_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
