/* SPDX-License-Identifier: MIT */
/* Usually there are few: sorted lists are enough. When very many users end their sessions at a time, in
 * whatever order, each insertion moves what comes after it; so new ones go into a list of their own, which is
 * short, and which is merged into the long one when it has grown. */
#include "common/session_ends.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/json.h"

#define FIRST_CAPACITY 16
#define RECENT_LEAST   64
#define SECONDS_MAX    32503680000 /* the year 3000 */

/* ---- one run ------------------------------------------------------------------------------------- */

/* Where the user is, or would be. */
static size_t place_of(const struct session_run *run, uint32_t user_id)
{
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->list[middle].user_id < user_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: the user is not in it. */
static struct session_end *find_in(const struct session_run *run, uint32_t user_id)
{
    size_t place = place_of(run, user_id);
    return place < run->count && run->list[place].user_id == user_id ? run->list + place : NULL;
}

static void reserve(struct session_run *run, size_t count)
{
    if (count <= run->capacity)
        return;
    size_t doubled = run->capacity > 0 ? run->capacity * 2 : FIRST_CAPACITY;
    run->capacity = count > doubled ? count : doubled;
    run->list = realloc(run->list, run->capacity * sizeof *run->list);
    if (run->list == NULL)
        abort();
}

static void insert(struct session_run *run, struct session_end end)
{
    reserve(run, run->count + 1);
    size_t place = place_of(run, end.user_id);
    memmove(run->list + place + 1, run->list + place, (run->count - place) * sizeof *run->list);
    run->list[place] = end;
    run->count++;
}

static void forget_in(struct session_run *run, int64_t before_s)
{
    size_t kept = 0;
    for (size_t i = 0; i < run->count; i++)
        if (run->list[i].before_s >= before_s)
            run->list[kept++] = run->list[i];
    run->count = kept;
}

/* ---- both ---------------------------------------------------------------------------------------- */

void session_ends_free(struct session_ends *ends)
{
    free(ends->settled.list);
    free(ends->recent.list);
    *ends = (struct session_ends){0};
}

static struct session_end *find(const struct session_ends *ends, uint32_t user_id)
{
    struct session_end *end = find_in(&ends->settled, user_id);
    return end ? end : find_in(&ends->recent, user_id);
}

/* From the end, so that nothing is overwritten before it has been moved. */
static void settle(struct session_ends *ends)
{
    struct session_run *settled = &ends->settled, *recent = &ends->recent;
    size_t old = settled->count;

    if (recent->count == 0)
        return;
    reserve(settled, old + recent->count);
    settled->count += recent->count;
    for (size_t to = settled->count; recent->count > 0;) {
        bool old_is_next =
            old > 0 && settled->list[old - 1].user_id > recent->list[recent->count - 1].user_id;
        settled->list[--to] = old_is_next ? settled->list[--old] : recent->list[--recent->count];
    }
}

/* Its share grows as the square root of the whole: insertion and merging then cost about the same. */
static bool is_crowded(const struct session_ends *ends)
{
    size_t recent = ends->recent.count;
    return recent >= RECENT_LEAST && recent * recent >= ends->settled.count;
}

bool session_ends_add(struct session_ends *ends, uint32_t user_id, int64_t before_s)
{
    struct session_end *end = find(ends, user_id);
    if (end && end->before_s >= before_s)
        return false;
    if (end) {
        end->before_s = before_s;
        return true;
    }
    insert(&ends->recent, (struct session_end){user_id, before_s});
    if (is_crowded(ends))
        settle(ends);
    return true;
}

size_t session_ends_count(const struct session_ends *ends)
{
    return ends->settled.count + ends->recent.count;
}

const struct session_end *session_ends_list(struct session_ends *ends)
{
    settle(ends);
    return ends->settled.list;
}

void session_ends_forget(struct session_ends *ends, int64_t before_s)
{
    forget_in(&ends->settled, before_s);
    forget_in(&ends->recent, before_s);
}

bool session_ends_cover(const struct session_ends *ends, uint32_t user_id, int64_t issued_s)
{
    const struct session_end *end = find(ends, user_id);
    return end && issued_s < end->before_s;
}

/* ---- in messages --------------------------------------------------------------------------------- */

void session_ends_write(const struct session_end *ends, size_t count,
                        const struct session_ends_message *message, struct strbuf *out)
{
    strbuf_add_text(out, "{\"ended\":[");
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, "%s[%" PRIu32 ",%" PRId64 "]", i > 0 ? "," : "", ends[i].user_id,
                      ends[i].before_s);
    strbuf_add_text(out, "]");
    if (message->list[0] != '\0')
        strbuf_printf(out, ",\"list\":\"%s\"", message->list);
    strbuf_printf(out, "%s%s}", message->first ? ",\"first\":true" : "",
                  message->last ? ",\"last\":true" : "");
}

static bool read_end(const cJSON *item, struct session_end *end)
{
    int64_t user = 0;
    bool good = cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2 &&
                json_whole_number(cJSON_GetArrayItem(item, 0), 1, EVENT_ID_MAX, &user) == ERR_OK &&
                json_whole_number(cJSON_GetArrayItem(item, 1), 0, SECONDS_MAX, &end->before_s) == ERR_OK;
    end->user_id = (uint32_t)user;
    return good;
}

static bool all_are_ends(const cJSON *list)
{
    const cJSON *item = NULL;
    struct session_end end;
    cJSON_ArrayForEach(item, list)
    {
        if (!read_end(item, &end))
            return false;
    }
    return true;
}

static void take(const cJSON *object, struct session_ends *ends, struct session_ends_message *message,
                 bool *changed)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "ended"), *item = NULL;
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "list");
    struct session_end end;

    message->told = list != NULL;
    if (cJSON_IsString(name))
        snprintf(message->list, sizeof message->list, "%s", name->valuestring);
    message->first = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "first"));
    message->last = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "last"));
    cJSON_ArrayForEach(item, list)
    {
        if (read_end(item, &end) && session_ends_add(ends, end.user_id, end.before_s))
            *changed = true;
    }
}

enum err session_ends_read(const char *text, size_t length, struct session_ends *ends,
                           struct session_ends_message *message, bool *changed)
{
    cJSON *object = NULL;
    const char *why = NULL;

    *message = (struct session_ends_message){0};
    *changed = false;
    if (json_parse_object(text, length, &object, &why) != ERR_OK)
        return ERR_INVALID;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "ended");
    bool good = list == NULL || (cJSON_IsArray(list) && all_are_ends(list));
    if (good)
        take(object, ends, message, changed);
    cJSON_Delete(object);
    return good ? ERR_OK : ERR_INVALID;
}
