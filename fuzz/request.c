/* SPDX-License-Identifier: MIT */
/* Whole requests: parameters and body, gates, routing, handlers, and the answer as nginx gets it. The
 * database is a stand-in that checks its arguments. An input:
 *   o|k        open, or a service with keys
 *   a..m       what the database answers (enum err)
 *   a letter   bit 0: there are more rows, bit 1: a POST is a repeated one, bit 2: the broker is there
 *   lines NAME=value, an empty line, the body */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/origin.h"
#include "common/utf8.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/http/dispatch.h"
#include "fcgi-api/publisher/health.h"
#include "fcgi-api/task/task_json.h"
#include "fcgi-api/user/user_json.h"
#include "fuzz/answer.h"

#define PARAMETERS_MAX 64
#define MAX_BODY       2048
#define SECRET         "0123456789abcdef0123456789abcdef"

static struct http_service service;
static struct app app = {.service = &service};
static struct request request;

/* ---- the database --------------------------------------------------------------------------------- */

static struct {
    enum err err;
    bool more, repeated;
    int calls;          /* other than readiness */
    struct grant grant; /* as last asked with */
    struct task task;   /* the one row there is */
} stub;

static enum err asked(const struct grant *grant)
{
    stub.calls++;
    stub.grant = *grant;
    return stub.err;
}

/* For calls about one user. A token that may write events of any user also reads a journal, for the
 * preconditions of the write. */
static enum err asked_for(uint32_t user_id)
{
    CHECK(user_id == 0 || grant_covers(&request.identity.grant, user_id) || request.identity.writes_events);
    return asked(&request.identity.grant);
}

static void check_origin(const struct store_origin *origin)
{
    CHECK(strlen(origin->request_id) >= 1 && strlen(origin->request_id) <= EVENT_REQUEST_ID_MAX);
    CHECK(strlen(origin->traceparent) == 0 || traceparent_valid(origin->traceparent));
}

static void check_content(const char *content)
{
    CHECK(utf8_valid(content, strlen(content)) && !utf8_blank(content, strlen(content)));
    CHECK(utf8_count(content, strlen(content)) <= TASK_CONTENT_MAX);
}

void publisher_wake(struct publisher *publisher)
{
    (void)publisher;
}

enum err store_ping(struct store *store)
{
    (void)store;
    return stub.err;
}

enum err store_epoch(struct store *store, char epoch[CURSOR_EPOCH_MAX + 1])
{
    (void)store;
    CHECK(request.fault == REQUEST_SOUND && request.errors.count == 0);
    CHECK(service.token_keys == NULL || request.identity.owner_id != 0);
    strcpy(epoch, "k3");
    return stub.err; /* the epoch belongs to no user */
}

static enum err answer_write(const struct store_origin *origin, struct store_answer *answer)
{
    struct strbuf body = {0};
    check_origin(origin);
    if (origin->idempotency != NULL)
        CHECK(strlen(origin->idempotency->key) >= 1 && strlen(origin->idempotency->key) <= 255);
    *answer = (struct store_answer){.repeated = stub.repeated, .task = stub.task};
    if (asked(origin->grant) != ERR_OK)
        return stub.err;
    task_json_add(&body, &stub.task);
    answer->body = body.text;
    return ERR_OK;
}

enum err store_task_insert(struct store *store, const struct task_new *task,
                           const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    CHECK(task->user_id >= 1);
    CHECK(grant_covers(origin->grant, task->user_id));
    check_content(task->content);
    task_begin(&stub.task, task, 1704214800000);
    return answer_write(origin, answer);
}

enum err store_task_get(struct store *store, uint32_t id, const struct grant *grant,
                        const struct store_condition *condition, struct task *task)
{
    (void)store;
    CHECK(id >= 1);
    *task = stub.task;
    if (asked(grant) != ERR_OK)
        return stub.err;
    return condition == NULL || condition->holds(condition->context, task->version) ? ERR_OK : ERR_STALE;
}

enum err store_task_update(struct store *store, uint32_t id, const struct task_patch *patch,
                           const struct store_condition *condition, const struct store_origin *origin,
                           struct store_answer *answer)
{
    (void)store;
    CHECK(id >= 1);
    CHECK(task_patch_asks(patch));
    if (patch->content != NULL)
        check_content(patch->content);
    if (!condition->holds(condition->context, stub.task.version)) {
        *answer = (struct store_answer){0};
        return ERR_STALE;
    }
    (void)task_apply(&stub.task, patch, 1704214800000);
    return answer_write(origin, answer);
}

enum err store_task_delete(struct store *store, uint32_t id, const struct store_condition *condition,
                           const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    CHECK(id >= 1);
    (void)condition->holds(condition->context, stub.task.version);
    return answer_write(origin, answer);
}

enum err store_task_list(struct store *store, const struct store_task_filter *filter, store_task_visit *visit,
                         void *context, struct store_task_page *page)
{
    (void)store;
    CHECK(filter->limit >= 1 && filter->limit <= 200 && filter->status >= -1 && filter->status <= 1);
    CHECK(filter->text[0] == '\0' || filter->user_id != 0);
    visit(context, &stub.task);
    visit(context, &stub.task);
    *page = (struct store_task_page){.more = stub.more, .total = 2};
    if (filter->user_id != 0)
        page->cursor = (struct cursor){.epoch = "k3", .seq = 42, .time_s = 1700000000};
    CHECK(filter->user_id != 0 || request.identity.grant.everyone);
    return asked_for(filter->user_id);
}

enum err store_user_list(struct store *store, const struct grant *grant, uint32_t after, int limit,
                         store_user_visit *visit, void *context, bool *more)
{
    struct user user = {.id = 7, .name = "L\xc3\xa9 \"x\"", .name_length = 7, .created_at_ms = 1704214800000};
    (void)store;
    CHECK(limit >= 1 && limit <= 200);
    (void)after;
    visit(context, &user);
    *more = stub.more;
    return asked(grant);
}

enum err store_user_get(struct store *store, uint32_t id, const struct store_text_condition *condition,
                        struct user *user)
{
    (void)store;
    if (condition != NULL)
        (void)condition->holds(condition->context, "{}", 2);
    CHECK(id >= 1);
    *user = (struct user){.id = id, .name = "Ana", .name_length = 3, .created_at_ms = 1704214800000};
    return asked_for(id);
}

enum err store_user_find(struct store *store, const char *external_id, struct user *user)
{
    CHECK(user_external_id_fault(external_id) == NULL);
    CHECK(request.identity.grant.everyone);
    return store_user_get(store, 7, NULL, user);
}

static enum err answer_user(const struct store_origin *origin, const struct user *user,
                            struct store_answer *answer)
{
    struct strbuf body = {0};
    CHECK(origin->grant->everyone);
    check_origin(origin);
    *answer = (struct store_answer){.repeated = stub.repeated, .task.id = 7};
    if (stub.err != ERR_OK)
        return stub.err;
    user_json_add(&body, user);
    answer->body = body.text;
    return ERR_OK;
}

enum err store_user_insert(struct store *store, const struct user_new *asked,
                           const struct store_origin *origin, struct store_answer *answer)
{
    struct user user;
    (void)store;
    CHECK(user_name_fault(asked->name) == NULL);
    CHECK(asked->external_id == NULL || user_external_id_fault(asked->external_id) == NULL);
    user_begin(&user, asked, 1704214800000);
    return answer_user(origin, &user, answer);
}

enum err store_user_update(struct store *store, uint32_t id, const struct user_patch *patch,
                           const struct store_text_condition *condition, const struct store_origin *origin,
                           struct user *user, struct store_answer *answer)
{
    const struct user_new before = {"Ana", NULL};
    (void)store;
    CHECK(id >= 1 && user_patch_asks(patch));
    *answer = (struct store_answer){0};
    user_begin(user, &before, 1704214800000);
    user->id = id;
    if (!condition->holds(condition->context, "{}", 2))
        return ERR_STALE;
    if (!user_patch_fits(user, patch))
        return ERR_INVALID;
    user_apply(user, patch);
    return answer_user(origin, user, answer);
}

enum err store_sessions_end(struct store *store, uint32_t user_id, int64_t before_s,
                            const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    CHECK(user_id >= 1 && before_s > 0 && origin->grant->everyone);
    check_origin(origin);
    *answer = (struct store_answer){.repeated = stub.repeated, .task.id = user_id};
    return asked(origin->grant);
}

enum err store_event_list(struct store *store, uint32_t user_id, const struct cursor *since, int limit,
                          store_event_visit *visit, void *context, bool *more, struct cursor *last)
{
    (void)store;
    CHECK(limit >= 1 && limit <= 200 && user_id >= 1);
    CHECK(since->seq <= CURSOR_SEQ_MAX);
    visit(context, 1, "{\"a\":1}", 7);
    *more = stub.more;
    *last = (struct cursor){.epoch = "k3", .seq = 2};
    return asked_for(user_id);
}

enum err store_event_emit(struct store *store, const struct event_new *event,
                          const struct store_origin *origin, struct store_answer *answer)
{
    (void)store;
    CHECK(event->user_id >= 1 && event->type != NULL && strlen(event->type) <= EVENT_TYPE_KEY_MAX);
    CHECK(event->message == NULL || utf8_count(event->message, strlen(event->message)) <= EVENT_MESSAGE_MAX);
    CHECK(event->data_length <= EVENT_DATA_MAX);
    check_origin(origin);
    *answer = (struct store_answer){.repeated = stub.repeated};
    if (stub.err != ERR_OK)
        return stub.err;
    answer->body = strdup("{\"cursor\":\"k3:1\"}");
    CHECK(answer->body != NULL);
    return ERR_OK;
}

/* ---- one exchange --------------------------------------------------------------------------------- */

static struct config config = {.max_body_bytes = MAX_BODY,
                               .request_max_age_ms = 10000,
                               .db_timeout_ms = 1500,
                               .jwt_secret = SECRET,
                               .jwt_public_key_file = "",
                               .jwt_kid = "",
                               .jwt_secret_2 = "",
                               .jwt_public_key_2_file = "",
                               .jwt_kid_2 = "",
                               .jwt_audience = "",
                               .jwt_issuer = ""};
static struct token_keys *keys;
static struct response response;
static struct strbuf wire;

static void start(void)
{
    char why[256];
    service.config = &config;
    service.calls = api_calls;
    log_init("fuzz", LOG_TEXT, LOG_ERROR);
    CHECK(token_keys_new(&config, &keys, why, sizeof why) == ERR_OK);
    CHECK(metrics_open("", api_metric_defs, API_METRIC_COUNT, &service.metrics) == ERR_OK);
}

struct body {
    const char *text;
    size_t left;
};

/* As libfcgi does it: fewer than asked for only at the end. */
static int give(void *context, char *buffer, int size)
{
    struct body *body = context;
    size_t length = body->left < (size_t)size ? body->left : (size_t)size;
    if (length == 0)
        return 0;
    memcpy(buffer, body->text, length);
    body->text += length;
    body->left -= length;
    return (int)length;
}

/* A call that reached the database had a valid token, and asked only for what that token allows. */
static void check_identity(void)
{
    struct token token;
    const char *why = NULL, *text = token_in_header(request.authorization);
    if (service.token_keys == NULL || stub.calls == 0)
        return;
    CHECK(text != NULL && token_verify(keys, text, clock_wall_ms() / 1000, &token, &why) == ERR_OK);
    CHECK(memcmp(&stub.grant, &token.grant, sizeof token.grant) == 0);
}

/* It waited too long for a worker. */
static bool is_late(int status)
{
    return status == 503 || status == 504;
}

static void check_exchange(struct answer *answer)
{
    CHECK(answer_read(wire.text, wire.length, request.method == METHOD_HEAD, answer));
    CHECK(answer->request_ids == 1);
    if (request.fault != REQUEST_SOUND)
        CHECK(stub.calls == 0 &&
              ((answer->status >= 400 && answer->status < 500) || is_late(answer->status)));
    if (answer->status >= 500)
        CHECK(stub.err != ERR_OK || (is_late(answer->status) && request.start_text != NULL));
    if (answer->status == 503)
        CHECK(answer->retry_after);
    if (answer->status == 401)
        CHECK(answer->authenticate && stub.calls == 0);
    if (answer->status == 405)
        CHECK(answer->allow);
    check_identity();
}

static void exchange(char *const *parameters, struct body body, struct answer *answer)
{
    stub.calls = 0;
    request_begin(&request, parameters);
    request_read_body(&request, MAX_BODY, give, &body);
    dispatch(&service, &app, &request, &response);
    strbuf_clear(&wire);
    response_render(&response, request.method == METHOD_HEAD, &wire);
    check_exchange(answer);
    request_end(&request);
}

static const char *parameter(char *const *parameters, const char *name)
{
    size_t length = strlen(name);
    for (; *parameters != NULL; parameters++)
        if (strncmp(*parameters, name, length) == 0 && (*parameters)[length] == '=')
            return *parameters + length + 1;
    return "";
}

/* The rule about origins, as far as it can be expressed in another way than in common/origin.c. */
static void check_page(const char *origin, const char *host)
{
    const char *list = config.allowed_origins != NULL ? config.allowed_origins : "";
    const struct origin_rules rules = {list, "", service.token_keys == NULL};
    bool everybody = strcmp(list, "*") == 0,
         is_own = strstr(origin, "://") != NULL && host[0] != '\0' && strcasestr(origin, host) != NULL;

    switch (origin_judge(&rules, origin, host)) {
    case ORIGIN_FOREIGN_HOST:
        CHECK(rules.open && !everybody && strchr(host, '.') != NULL);
        break;
    case ORIGIN_FOREIGN_PAGE:
        CHECK(origin[0] != '\0' && !everybody && strcasecmp(origin, list) != 0);
        break;
    case ORIGIN_WELCOME:
        CHECK(everybody || strcasestr(origin, "evil.example") == NULL || (is_own && !rules.open) ||
              strcasestr(origin, "localhost") != NULL || strcasestr(host, "evil.example") != NULL);
        CHECK(everybody || !rules.open || strcasecmp(host, "evil.example") != 0);
        break;
    }
}

/* A link of an answer is a valid request. */
static void follow(char **parameters, const char *link)
{
    static char entry[sizeof "REQUEST_URI=" + ANSWER_LINK_MAX];
    struct answer answer;
    size_t count = 0;

    snprintf(entry, sizeof entry, "REQUEST_URI=%s", link);
    while (parameters[count] != NULL)
        count++;
    if (strlen(link) > URI_MAX || count == PARAMETERS_MAX)
        return;
    parameters[count] = entry;
    parameters[count + 1] = NULL;
    exchange(parameters, (struct body){NULL, 0}, &answer);
    CHECK(answer.status == 200 || answer.status == 400 || is_late(answer.status));
    if (answer.status == 400)
        CHECK(request.fault == REQUEST_BODY_CUT); /* the body's length is still announced */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *parameters[PARAMETERS_MAX + 2] = {NULL};
    struct answer answer;
    size_t count = 0, length = 0;
    char *line;

    if (size < 3)
        return 0;
    if (keys == NULL)
        start();
    memset(&stub, 0, sizeof stub);
    stub.task = (struct task){.id = 1,
                              .user_id = 1,
                              .content = "Acheter",
                              .content_length = 7,
                              .completed_at_ms = CLOCK_NEVER,
                              .version = 3};
    stub.err = (enum err)((data[1] - 'a') & 15) % (ERR_INTERNAL + 1);
    stub.more = data[2] & 1;
    stub.repeated = data[2] & 2;
    health_connected(service.metrics, data[2] & 4, clock_monotonic_ms());
    service.token_keys = data[0] == 'k' ? keys : NULL;
    config.allowed_origins = data[2] & 8    ? "https://a.example, http://b.example:81"
                             : data[2] & 16 ? "*"
                                            : NULL;

    struct fuzz_input input = {data + 3, size - 3};
    (void)fuzz_next(&input, '\n', NULL);
    while ((line = fuzz_next(&input, '\n', &length)) != NULL && length > 0 && count < PARAMETERS_MAX)
        parameters[count++] = line;
    exchange(parameters, (struct body){(const char *)input.at, input.left}, &answer);
    check_page(parameter(parameters, "HTTP_ORIGIN"), parameter(parameters, "HTTP_HOST"));
    if (answer.link[0] != '\0')
        follow(parameters, answer.link);
    fuzz_free_texts();
    return 0;
}
