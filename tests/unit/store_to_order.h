/* SPDX-License-Identifier: MIT */
/* A store and a publisher with set answers, in place of those with a database and a broker: one task, one
 * user and two events. For one test's main file. */
#ifndef CARILLON_TESTS_STORE_TO_ORDER_H
#define CARILLON_TESTS_STORE_TO_ORDER_H

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi-api/publisher/publisher.h"
#include "fcgi-api/store/store.h"
#include "fcgi-api/task/task_json.h"
#include "fcgi-api/user/user_json.h"

static struct {
    enum err err; /* what every function returns */
    bool more;
    bool repeated;
    int changes; /* changes made: each makes an event */
    int woken;   /* how often the publisher was woken */
    struct store_task_filter filter;
    char text[64]; /* of the filter */
    uint64_t total, happened;
    struct cursor since;
    char key[256];
    uint32_t owner_id, only_user; /* of the last call */
} fake;

static const struct task the_task = {.id = 1,
                                     .user_id = 1,
                                     .status = TASK_COMPLETED,
                                     .content = "Acheter du pain",
                                     .content_length = 15,
                                     .created_at_ms = 1704214800000,
                                     .completed_at_ms = 1706907263000,
                                     .version = 3};

/* The task as JSON text. test_task.c checks that text to the byte. */
static inline const char *task_text(void)
{
    static struct strbuf text;
    strbuf_clear(&text);
    task_json_add(&text, &the_task);
    return text.text;
}

void publisher_wake(struct publisher *publisher)
{
    (void)publisher;
    fake.woken++;
}

enum err store_ping(struct store *store)
{
    (void)store;
    return fake.err;
}

enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    (void)store;
    strcpy(epoch, "k3");
    return fake.err;
}

static enum err fake_write(const struct store_condition *condition, const struct store_origin *origin,
                           bool has_body, struct store_answer *answer)
{
    struct strbuf body = {0};
    fake.only_user = origin->grant->everyone ? 0 : origin->grant->user_id;
    if (origin->idempotency != NULL) {
        strcpy(fake.key, origin->idempotency->key);
        fake.owner_id = origin->idempotency->owner_id;
    }
    *answer = (struct store_answer){.repeated = fake.repeated, .task = the_task};
    if (fake.err != ERR_OK)
        return fake.err;
    if (condition != NULL && !condition->holds(condition->context, the_task.version))
        return ERR_STALE;
    if (has_body)
        task_json_add(&body, &the_task);
    answer->body = body.text;
    fake.changes += !fake.repeated;
    return ERR_OK;
}

enum err store_task_insert(struct store *store, const struct task_new *task,
                           const struct store_origin *origin, struct store_answer *answer)
{
    (void)store, (void)task;
    return fake_write(NULL, origin, true, answer);
}

enum err store_task_get(struct store *store, uint32_t id, const struct grant *grant,
                        const struct store_condition *condition, struct task *task)
{
    (void)store, (void)id;
    fake.only_user = grant->everyone ? 0 : grant->user_id;
    *task = the_task;
    if (fake.err == ERR_OK && condition != NULL && !condition->holds(condition->context, task->version))
        return ERR_STALE;
    return fake.err;
}

enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                           const struct store_condition *condition, const struct store_origin *origin,
                           struct store_answer *answer)
{
    (void)store, (void)id;
    enum err err = fake_write(condition, origin, true, answer);
    if (err != ERR_OK || task_differs(&the_task, &patch->expected) == 0)
        return err;
    free(answer->body);
    answer->body = NULL;
    fake.changes--;
    return ERR_INVALID;
}

enum err store_task_delete(struct store *store, uint32_t id, const struct store_condition *condition,
                           const struct store_origin *origin, struct store_answer *answer)
{
    (void)store, (void)id;
    return fake_write(condition, origin, false, answer);
}

enum err store_task_list(struct store *store, const struct store_task_filter *filter, store_task_visit *visit,
                         void *context, struct store_task_page *page)
{
    (void)store;
    fake.filter = *filter;
    snprintf(fake.text, sizeof fake.text, "%s", filter->text);
    visit(context, &the_task);
    visit(context, &the_task);
    *page = (struct store_task_page){.more = fake.more, .total = fake.total};
    if (filter->user_id != 0)
        page->cursor = (struct cursor){.epoch = "k3", .seq = 42 + fake.happened, .time_s = 1700000000};
    return fake.err;
}

enum err store_user_list(struct store *store, const struct grant *grant, uint32_t after, int limit,
                         store_user_visit *visit, void *context, bool *more)
{
    struct user user = {.id = 7,
                        .name = "L\xc3\xa9"
                                "a \"x\"",
                        .name_length = 8,
                        .created_at_ms = 1704214800000};
    (void)store, (void)after, (void)limit;
    fake.only_user = grant->everyone ? 0 : grant->user_id;
    visit(context, &user);
    *more = fake.more;
    return fake.err;
}

enum err store_user_get(struct store *store, uint32_t id, const struct store_text_condition *condition,
                        struct user *user)
{
    (void)store, (void)condition;
    *user = (struct user){.id = id, .name = "Ana", .name_length = 3, .created_at_ms = 1704214800000};
    return fake.err;
}

enum err store_user_find(struct store *store, const char *external_id, struct user *user)
{
    snprintf(fake.text, sizeof fake.text, "%s", external_id);
    return store_user_get(store, 7, NULL, user);
}

static const struct user the_user = {.id = 7,
                                     .name = "Ana",
                                     .name_length = 3,
                                     .external_id = "e-7",
                                     .external_id_length = 3,
                                     .created_at_ms = 1704214800000};

static enum err fake_user(const struct store_text_condition *condition, const struct store_origin *origin,
                          struct store_answer *answer)
{
    struct strbuf body = {0};
    *answer = (struct store_answer){.repeated = fake.repeated, .task.id = the_user.id};
    fake.owner_id = origin->idempotency != NULL ? origin->idempotency->owner_id : 0;
    if (fake.err != ERR_OK)
        return fake.err;
    user_json_add(&body, &the_user);
    if (condition != NULL && !condition->holds(condition->context, body.text, body.length)) {
        strbuf_free(&body);
        return ERR_STALE;
    }
    answer->body = body.text;
    fake.changes += !fake.repeated;
    return ERR_OK;
}

enum err store_user_insert(struct store *store, const struct user_new *user,
                           const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    snprintf(fake.text, sizeof fake.text, "%s|%s", user->name,
             user->external_id != NULL ? user->external_id : "NULL");
    return fake_user(NULL, origin, answer);
}

enum err store_user_update(struct store *store, uint32_t id, const struct user_patch *patch,
                           const struct store_text_condition *condition, const struct store_origin *origin,
                           struct user *user, struct store_answer *answer)
{
    (void)store, (void)id;
    *user = the_user;
    *answer = (struct store_answer){0};
    if (!user_patch_fits(&the_user, patch))
        return ERR_INVALID;
    return fake_user(condition, origin, answer);
}

/* Returns the length of the event's data in the answer. */
enum err store_event_emit(struct store *store, const struct event_new *event,
                          const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    enum err err = fake_write(NULL, origin, false, answer);
    if (!err) {
        struct strbuf body = {0};
        strbuf_printf(&body, "{\"cursor\":\"k3:%d\"}", (int)event->data_length);
        answer->body = body.text;
    }
    return err;
}

enum err store_sessions_end(struct store *store, uint32_t user_id, int64_t before_s,
                            const struct store_origin *origin, struct store_answer *answer)
{
    (void)store, (void)before_s;
    *answer = (struct store_answer){.repeated = fake.repeated, .task.id = user_id};
    fake.owner_id = origin->idempotency != NULL ? origin->idempotency->owner_id : 0;
    fake.changes += fake.err == ERR_OK && !fake.repeated;
    return fake.err;
}

enum err store_event_list(struct store *store, uint32_t user_id, const struct cursor *since, int limit,
                          store_event_visit *visit, void *context, bool *more, struct cursor *last)
{
    (void)store, (void)user_id, (void)limit;
    fake.since = *since;
    visit(context, 1, "{\"a\":1}", 7);
    visit(context, 2, "{\"b\":2}", 7);
    *more = fake.more;
    *last = (struct cursor){.epoch = "k3", .seq = 2};
    return fake.err;
}

#endif
