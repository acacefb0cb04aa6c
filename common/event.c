/* SPDX-License-Identifier: MIT */
/* The event contract's texts. */
#include "common/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/strbuf.h"

static const struct {
    const char *key;
    const char *verb;
} event_types[] = {
#define X(name, key, verb) {key, verb},
    EVENT_TYPES(X)
#undef X
};

#define X(name, key, verb) _Static_assert(sizeof(key) - 1 <= EVENT_TYPE_KEY_MAX, key " is too long");
EVENT_TYPES(X)
#undef X

#define EVENT_TYPE_COUNT (sizeof event_types / sizeof event_types[0])

const char *event_type_key(enum event_type type)
{
    return event_types[type].key;
}

enum err event_type_parse(const char *key, enum event_type *type)
{
    for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
        if (strcmp(event_types[i].key, key) == 0) {
            *type = (enum event_type)i;
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

bool event_type_valid(const char *key)
{
    size_t length = 0;
    for (unsigned names = 1;; names++) {
        size_t name = strspn(key + length, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        length += name;
        if (name == 0 || length > EVENT_TYPE_KEY_MAX)
            return false;
        if (key[length] == '\0')
            return names > 1;
        if (key[length++] != '.')
            return false;
    }
}

bool event_type_reserved(const char *key)
{
    return strncmp(key, "task.", strlen("task.")) == 0 || strncmp(key, "carillon.", strlen("carillon.")) == 0;
}

void event_format_id(const struct event_meta *meta, char id[EVENT_ID_SIZE])
{
    snprintf(id, EVENT_ID_SIZE, "%s:%" PRIu32 ":%" PRIu64, meta->epoch, meta->user_id, meta->seq);
}

char *event_format_body(enum event_type type, const struct cursor *cursor, uint32_t task_id, int64_t at_ms,
                        const char *task_json, size_t *length)
{
    struct strbuf body = {0};
    struct cursor short_form = *cursor;
    char cursor_text[CURSOR_TEXT_SIZE], at[CLOCK_JS_SIZE];

    short_form.time_s = 0; /* an event's bytes never change */
    cursor_format(&short_form, cursor_text);
    clock_format_js(at_ms, at);
    strbuf_printf(&body, "{\"type\":\"notification\",\"event\":\"%s\",\"cursor\":\"%s\",",
                  event_types[type].key, cursor_text);
    strbuf_printf(&body, "\"message\":\"task %" PRIu32 " has been %s at %s\",\"task\":", task_id,
                  event_types[type].verb, at);
    strbuf_add_text(&body, task_json);
    strbuf_add(&body, "}", 1);
    *length = body.length;
    return body.text;
}

/* As emit_event() in sql/routines.sql makes it. */
char *event_format_other(const struct event_new *event, const char *cursor, size_t *length)
{
    struct strbuf body = {0};

    strbuf_printf(&body,
                  "{\"type\":\"notification\",\"event\":\"%s\",\"cursor\":\"%s\",\"user_id\":%u,\"message\":",
                  event->type, cursor, event->user_id);
    if (event->message)
        strbuf_add_json_string(&body, event->message, strlen(event->message));
    else
        strbuf_add_text(&body, "null");
    strbuf_add_text(&body, ",\"data\":");
    strbuf_add(&body, event->data ? event->data : "null", event->data ? event->data_length : strlen("null"));
    strbuf_add(&body, "}", 1);
    *length = body.length;
    return body.text;
}

char *event_with_trace(char *body, size_t *length, const char *traceparent)
{
    char member[EVENT_TRACEPARENT_MAX + 24];
    if (traceparent[0] == '\0')
        return body;
    int size = snprintf(member, sizeof member, ",\"traceparent\":\"%s\"}", traceparent);
    body = realloc(body, *length + (size_t)size);
    if (!body)
        abort();
    memcpy(body + *length - 1, member, (size_t)size + 1); /* in place of the closing brace */
    *length += (size_t)size - 1;
    return body;
}

/* Where the epoch of a body's cursor is. */
static bool find_epoch(const char *body, size_t length, size_t *at, size_t *size)
{
    static const char head[] = "{\"type\":\"notification\",\"event\":\"", middle[] = "\",\"cursor\":\"";
    const char *p = body, *end = body + length;

    if (length < sizeof head - 1 || memcmp(p, head, sizeof head - 1) != 0)
        return false;
    p = memchr(p + sizeof head - 1, '"', length - (sizeof head - 1));
    if (!p || (size_t)(end - p) < sizeof middle - 1 || memcmp(p, middle, sizeof middle - 1) != 0)
        return false;
    p += sizeof middle - 1;
    const char *colon = memchr(p, ':', (size_t)(end - p));
    if (!colon || colon - p > CURSOR_EPOCH_MAX)
        return false;
    *at = (size_t)(p - body);
    *size = (size_t)(colon - p);
    return true;
}

char *event_in_epoch(const char *body, size_t *length, const char *epoch)
{
    struct strbuf copy = {0};
    size_t at = 0, size = 0;
    bool found = find_epoch(body, *length, &at, &size);

    strbuf_add(&copy, body, at);
    if (found)
        strbuf_add_text(&copy, epoch);
    strbuf_add(&copy, body + at + size, *length - at - size);
    *length = copy.length;
    return copy.text;
}
