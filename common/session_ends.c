/* SPDX-License-Identifier: MIT */
/* Few users end their sessions at a time: a sorted list is enough. */
#include "common/session_ends.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/json.h"

#define FIRST_CAPACITY 16
#define SECONDS_MAX    32503680000 /* the year 3000 */

/* Where the user is, or would be. */
static size_t place_of(const struct session_ends *ends, uint32_t user_id)
{
    size_t low = 0, high = ends->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ends->list[middle].user_id < user_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct session_ends *ends, size_t place, uint32_t user_id)
{
    return place < ends->count && ends->list[place].user_id == user_id;
}

void session_ends_free(struct session_ends *ends)
{
    free(ends->list);
    *ends = (struct session_ends){0};
}

static void insert(struct session_ends *ends, size_t place, struct session_end end)
{
    if (ends->count == ends->capacity) {
        ends->capacity = ends->capacity > 0 ? ends->capacity * 2 : FIRST_CAPACITY;
        ends->list = realloc(ends->list, ends->capacity * sizeof *ends->list);
        if (ends->list == NULL)
            abort();
    }
    memmove(ends->list + place + 1, ends->list + place, (ends->count - place) * sizeof *ends->list);
    ends->list[place] = end;
    ends->count++;
}

bool session_ends_add(struct session_ends *ends, uint32_t user_id, int64_t before_s)
{
    size_t place = place_of(ends, user_id);
    if (!is_at(ends, place, user_id))
        insert(ends, place, (struct session_end){user_id, before_s});
    else if (ends->list[place].before_s < before_s)
        ends->list[place].before_s = before_s;
    else
        return false;
    return true;
}

void session_ends_forget(struct session_ends *ends, int64_t before_s)
{
    size_t kept = 0;
    for (size_t i = 0; i < ends->count; i++)
        if (ends->list[i].before_s >= before_s)
            ends->list[kept++] = ends->list[i];
    ends->count = kept;
}

bool session_ends_cover(const struct session_ends *ends, uint32_t user_id, int64_t issued_s)
{
    size_t place = place_of(ends, user_id);
    return is_at(ends, place, user_id) && issued_s < ends->list[place].before_s;
}

/* ---- in messages --------------------------------------------------------------------------------- */

void session_ends_write(const struct session_end *list, size_t count, bool first, bool last,
                        struct strbuf *out)
{
    strbuf_add_text(out, "{\"ended\":[");
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, "%s[%" PRIu32 ",%" PRId64 "]", i > 0 ? "," : "", list[i].user_id,
                      list[i].before_s);
    strbuf_printf(out, "]%s%s}", first ? ",\"first\":true" : "", last ? ",\"last\":true" : "");
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
    struct session_end end;

    message->told = list != NULL;
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
