/* SPDX-License-Identifier: MIT */
/* Names that are looked up beside the caller: how long a caller waits, and which answer it gets. The name
 * server is the getaddrinfo() of this file. */
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/resolve.h"

#define LONG_MS 30000 /* for what should happen at once */

typedef int look_up(const char *name, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found);

/* ---- the name server ----------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    bool silent;
    int fault;
    const char *addresses[RESOLVE_MAX + 2];
    int asked, answered; /* questions */
} server;

static look_up *real_look_up(void)
{
    look_up *found;
    *(void **)&found = dlsym(RTLD_NEXT, "getaddrinfo");
    assert_non_null(found);
    return found;
}

/* The list's end is where the next address goes. */
static int chain_addresses(const struct addrinfo *hints, struct addrinfo **found)
{
    struct addrinfo numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    for (size_t i = 0; server.addresses[i]; i++) {
        assert_int_equal(real_look_up()(server.addresses[i], NULL, &numeric, found), 0);
        found = &(*found)->ai_next;
    }
    return 0;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    if (hints->ai_flags & AI_NUMERICHOST)
        return real_look_up()(name, service, hints, found);
    pthread_mutex_lock(&mutex);
    server.asked++;
    pthread_cond_broadcast(&changed);
    while (server.silent)
        pthread_cond_wait(&changed, &mutex);
    int fault = server.fault ? server.fault : chain_addresses(hints, found);
    server.answered++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return fault;
}

static void set_server(bool silent, int fault, const char *first, const char *second)
{
    pthread_mutex_lock(&mutex);
    server.silent = silent;
    server.fault = fault;
    server.addresses[0] = first;
    server.addresses[1] = second;
    server.addresses[2] = NULL;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int count(const int *number)
{
    pthread_mutex_lock(&mutex);
    int now = *number;
    pthread_mutex_unlock(&mutex);
    return now;
}

static int setup(void **state)
{
    (void)state;
    set_server(false, 0, "192.0.2.1", NULL);
    server.asked = server.answered = 0;
    return 0;
}

/* Look-ups of a test that are still under way end before the next begins. */
static int teardown(void **state)
{
    (void)state;
    pthread_mutex_lock(&mutex);
    server.silent = false;
    pthread_cond_broadcast(&changed);
    while (server.answered < server.asked)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* ---- asking -------------------------------------------------------------------------------------- */

static _Thread_local struct resolve_answer answer;
static _Thread_local const char *why;

static enum err ask(const char *name, int64_t within_ms)
{
    return resolve_name(name, clock_monotonic_ms() + within_ms, &answer, &why);
}

static bool gives(const char *name, const char *address)
{
    return ask(name, LONG_MS) == ERR_OK && strcmp(answer.text[0], address) == 0;
}

/* Asks until the condition holds: a new look-up begins when the last one was a second ago. */
#define ASK_UNTIL(name, condition)                                                                           \
    do {                                                                                                     \
        const struct timespec pause = {.tv_nsec = 10000000};                                                 \
        int64_t end = clock_monotonic_ms() + LONG_MS;                                                        \
        enum err result;                                                                                     \
        while ((result = ask(name, LONG_MS), !(condition))) {                                                \
            assert_true(clock_monotonic_ms() < end);                                                         \
            nanosleep(&pause, NULL);                                                                         \
        }                                                                                                    \
        (void)result;                                                                                        \
    } while (0)

static void test_an_address_is_its_own_answer(void **state)
{
    (void)state;
    set_server(true, 0, NULL, NULL);
    assert_true(gives("127.0.0.1", "127.0.0.1"));
    assert_true(gives("::1", "::1"));
    assert_int_equal(answer.count, 1);
    assert_int_equal(count(&server.asked), 0);
    resolve_failed("127.0.0.1", "127.0.0.1");
}

static void test_one_look_up_is_for_many_callers(void **state)
{
    (void)state;
    int64_t began = clock_monotonic_ms();
    assert_true(gives("many.test", "192.0.2.1"));
    for (int i = 0; i < 100 && count(&server.asked) == 1; i++)
        assert_true(gives("many.test", "192.0.2.1"));
    assert_true(count(&server.asked) == 1 || clock_monotonic_ms() - began >= 1000);
}

static void test_silent_from_the_start(void **state)
{
    (void)state;
    set_server(true, 0, "192.0.2.1", NULL);
    assert_int_equal(ask("new.test", 20), ERR_UNAVAILABLE);
    assert_string_equal(why, "the name server does not answer");
    assert_int_equal(ask("new.test", 20), ERR_UNAVAILABLE);
    assert_int_equal(ask("new.test", -1000), ERR_UNAVAILABLE);
    assert_int_equal(answer.count, 0);
    set_server(false, 0, "192.0.2.1", NULL);
    assert_true(gives("new.test", "192.0.2.1"));
    assert_int_equal(count(&server.asked), 1);
}

static void *ask_beside(void *given)
{
    *(bool *)given = gives("waited.test", "192.0.2.1");
    return NULL;
}

static void test_the_first_answer_is_waited_for(void **state)
{
    (void)state;
    bool given[4] = {false};
    pthread_t threads[4];

    set_server(true, 0, "192.0.2.1", NULL);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_beside, &given[i]), 0);
    pthread_mutex_lock(&mutex);
    while (server.asked == 0)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    set_server(false, 0, "192.0.2.1", NULL);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(given[i]);
    }
}

static void test_silent_after_an_answer(void **state)
{
    (void)state;
    assert_true(gives("silent.test", "192.0.2.1"));
    set_server(true, 0, "192.0.2.2", NULL);
    ASK_UNTIL("silent.test", count(&server.asked) == 2);
    int64_t began = clock_monotonic_ms();
    for (int i = 0; i < 3; i++)
        assert_true(gives("silent.test", "192.0.2.1"));
    assert_true(clock_monotonic_ms() - began < LONG_MS / 2);
    assert_int_equal(count(&server.asked), 2);
    set_server(false, 0, "192.0.2.2", NULL);
    ASK_UNTIL("silent.test", strcmp(answer.text[0], "192.0.2.2") == 0);
}

static void test_a_name_server_that_cannot_tell(void **state)
{
    (void)state;
    static const int faults[] = {EAI_AGAIN, EAI_FAIL, EAI_SYSTEM, EAI_MEMORY};
    assert_true(gives("again.test", "192.0.2.1"));
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int before = count(&server.answered);
        set_server(false, faults[i], NULL, NULL);
        ASK_UNTIL("again.test", count(&server.answered) > before + 1);
        assert_int_equal(ask("again.test", LONG_MS), ERR_OK);
        assert_string_equal(answer.text[0], "192.0.2.1");
    }
    assert_int_equal(ask("unknown.test", LONG_MS), ERR_UNAVAILABLE);
    assert_string_equal(why, gai_strerror(EAI_MEMORY));
}

static void test_a_name_that_is_no_more(void **state)
{
    (void)state;
    assert_true(gives("gone.test", "192.0.2.1"));
    set_server(false, EAI_NONAME, NULL, NULL);
    ASK_UNTIL("gone.test", result == ERR_UNAVAILABLE);
    assert_string_equal(why, gai_strerror(EAI_NONAME));
    set_server(false, 0, "192.0.2.2", NULL);
    assert_true(gives("gone.test", "192.0.2.2"));
}

static void test_the_next_address_after_a_failure(void **state)
{
    (void)state;
    set_server(false, 0, "192.0.2.1", "192.0.2.2");
    assert_true(gives("two.test", "192.0.2.1"));
    assert_int_equal(answer.count, 2);
    assert_string_equal(answer.text[1], "192.0.2.2");
    resolve_failed("two.test", "192.0.2.2"); /* which was not the first */
    assert_true(gives("two.test", "192.0.2.1"));
    resolve_failed("two.test", "192.0.2.1");
    resolve_failed("two.test", "192.0.2.1"); /* another thread met the same */
    assert_true(gives("two.test", "192.0.2.2"));
    assert_string_equal(answer.text[1], "192.0.2.1");
    resolve_failed("two.test", "192.0.2.2");
    assert_true(gives("two.test", "192.0.2.1"));
    resolve_failed("never.test", "192.0.2.1");
}

static void test_more_addresses_than_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < RESOLVE_MAX + 1; i++)
        server.addresses[i] = i % 2 ? "192.0.2.1" : "2001:db8::1";
    server.addresses[RESOLVE_MAX + 1] = NULL;
    assert_true(gives("crowd.test", "2001:db8::1"));
    assert_int_equal(answer.count, RESOLVE_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_address_is_its_own_answer), TEST(test_one_look_up_is_for_many_callers),
        TEST(test_silent_from_the_start),        TEST(test_the_first_answer_is_waited_for),
        TEST(test_silent_after_an_answer),       TEST(test_a_name_server_that_cannot_tell),
        TEST(test_a_name_that_is_no_more),       TEST(test_the_next_address_after_a_failure),
        TEST(test_more_addresses_than_are_kept),
    };
    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
