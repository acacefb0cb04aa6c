/* SPDX-License-Identifier: MIT */
/* Leaders, followers, and changes that are left out: with a database whose answers are set, and with as many
 * threads as a worker has. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi-api/store/batch.h"
#include "fcgi-api/store/group.h"
#include "fcgi-api/store/internal.h"

#define THREADS 16
#define TURNS   300

#define ATTEMPTS_OF_LONG 4 /* after that the lock is free */

/* The result of a change, by the remainder of its task's id. */
enum { IS_MADE, IS_REFUSED, IS_LOCKED_FOR_A_MOMENT, IS_LOCKED_FOR_LONG, KINDS };

static struct {
    atomic_int inside;       /* transactions on the leader's connection */
    atomic_int transactions; /* on any */
    atomic_int made, announced;
    atomic_int wrong;           /* a wrong result that a thread saw; 0: none */
    enum err err;               /* what every transaction on the leader's connection ends with */
    enum store_failure failure; /* and why */
    size_t largest;
} database;

static struct store leader, shared;
static struct commit_group *group;

void batch_init(struct batch *batch, size_t capacity)
{
    (void)capacity;
    *batch = (struct batch){0};
}

void batch_free(struct batch *batch)
{
    (void)batch;
}

void store_free(struct store **store)
{
    *store = NULL;
}

enum err batch_work(struct store *store, void *batch)
{
    (void)store, (void)batch;
    return ERR_OK;
}

/* What a change gets in this batch. Its event's number counts the attempts here. */
static enum err outcome_of(const struct batch *batch, struct change *change)
{
    bool alone = batch->patient && batch->count == 1;
    switch (change->task_id % KINDS) {
    case IS_REFUSED:
        return ERR_STALE;
    case IS_LOCKED_FOR_A_MOMENT:
        return batch->patient ? ERR_OK : ERR_AGAIN;
    case IS_LOCKED_FOR_LONG:
        return alone || ++change->at.seq > ATTEMPTS_OF_LONG ? ERR_OK : ERR_AGAIN;
    default:
        return ERR_OK;
    }
}

enum err store_run_until(struct store *store, enum store_mode mode, store_work *work, void *context,
                         int64_t deadline, int attempts, enum store_failure *failure)
{
    struct batch *batch = context;
    (void)mode, (void)deadline, (void)attempts;
    assert_ptr_equal(work, batch_work);
    atomic_fetch_add(&database.transactions, 1);
    if (store == &leader && atomic_fetch_add(&database.inside, 1) != 0)
        atomic_store(&database.wrong, -1); /* one at a time */
    if (store == &leader && batch->count > database.largest)
        database.largest = batch->count;
    *failure = store == &leader ? database.failure : FAILURE_NONE;
    enum err err = store == &leader ? database.err : ERR_OK;
    size_t made = 0;
    for (size_t i = 0; i < batch->count && err == ERR_OK; i++) {
        batch->changes[i]->err = outcome_of(batch, batch->changes[i]);
        made += batch->changes[i]->err == ERR_OK;
    }
    batch->refused = err == ERR_OK && made == 0;
    atomic_fetch_add(&database.made, (int)made);
    if (store == &leader)
        atomic_fetch_sub(&database.inside, 1);
    return batch->refused ? batch->changes[0]->err : err;
}

static void announce(void *context, const struct outbox_event *event)
{
    (void)context, (void)event;
    atomic_fetch_add(&database.announced, 1);
}

static enum err run(uint32_t task_id, int64_t deadline)
{
    static const struct store_origin origin = {.request_id = "test"};
    struct store_answer answer = {0};
    struct change change = {.kind = CHANGE_UPDATE,
                            .task_id = task_id,
                            .origin = &origin,
                            .answer = &answer,
                            .deadline = deadline};
    return commit_group_run(group, &shared, &change);
}

static int set_up(void **state)
{
    (void)state;
    memset(&database, 0, sizeof database);
    group = commit_group_new(&leader, announce, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    commit_group_free(&group);
    return 0;
}

static int64_t later(void)
{
    return clock_monotonic_ms() + 60000;
}

static void test_alone(void **state)
{
    (void)state;
    assert_int_equal(run(IS_MADE, later()), ERR_OK);
    assert_int_equal(database.transactions, 1);
    assert_int_equal(database.announced, 1);
    assert_int_equal(run(IS_REFUSED, later()), ERR_STALE);
    assert_int_equal(database.transactions, 2);
    assert_int_equal(database.announced, 1);
}

/* A change whose row is locked elsewhere is tried again after pauses, at last alone. */
static void test_left_out(void **state)
{
    (void)state;
    assert_int_equal(run(IS_LOCKED_FOR_A_MOMENT, later()), ERR_OK);
    assert_int_equal(database.transactions, 2);
    assert_int_equal(run(IS_LOCKED_FOR_LONG, later()), ERR_OK);
    assert_int_equal(database.transactions, 4);
    assert_int_equal(database.announced, 2);
}

static void test_too_late(void **state)
{
    (void)state;
    assert_int_equal(run(IS_MADE, clock_monotonic_ms()), ERR_UNAVAILABLE);
    assert_int_equal(database.transactions, 0);
}

/* A change that may have happened is never tried again, nor when the database is away; after any other error
 * it is. */
static void test_failures(void **state)
{
    (void)state;
    database.err = ERR_UNCERTAIN;
    database.failure = FAILURE_LOST;
    assert_int_equal(run(IS_MADE, later()), ERR_UNCERTAIN);
    database.err = ERR_UNAVAILABLE;
    assert_int_equal(run(IS_MADE, later()), ERR_UNAVAILABLE);
    assert_int_equal(database.transactions, 2);
    assert_int_equal(database.announced, 0);
    database.failure = FAILURE_CONFLICT;
    assert_int_equal(run(IS_MADE, later()), ERR_OK);
    assert_int_equal(database.announced, 1);
    database.err = ERR_INTERNAL;
    database.failure = FAILURE_BUG;
    assert_int_equal(run(IS_MADE, later()), ERR_OK);
    assert_int_equal(database.transactions, 6);
    assert_int_equal(database.announced, 2);
}

static void *many(void *context)
{
    uint32_t first = *(const uint32_t *)context;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t task_id = first + turn;
        enum err expected = task_id % KINDS == IS_REFUSED ? ERR_STALE : ERR_OK;
        enum err err = run(task_id, later());
        if (err != expected) /* an assertion here would end the process without a message */
            atomic_store(&database.wrong, 100 * (int)(task_id % KINDS) + (int)err);
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    pthread_t threads[THREADS];
    uint32_t first[THREADS];
    int accepted = THREADS * TURNS / KINDS * (KINDS - 1);

    (void)state;
    for (uint32_t i = 0; i < THREADS; i++) {
        first[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, many, &first[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(database.wrong, 0);
    assert_int_equal(database.made, accepted); /* each once */
    assert_int_equal(database.announced, accepted);
    assert_true(database.largest <= THREADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
