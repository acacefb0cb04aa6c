/* SPDX-License-Identifier: MIT */
/* Frames are our own texts, so what is needed of them is found without parsing: the type is the first member,
 * and where there is a cursor, it is the third. */
#include "ws-notifier/sse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/utf8.h"
#include "ws-notifier/protocol.h"

#define TYPE     "{\"type\":\""
#define CURSOR   ",\"cursor\":\""
#define NAME_MAX 64 /* of a stranger's argument, in what is said about it */

/* An id that is no cursor of ours counts as one of another epoch: no epoch has this name. */
static const struct cursor nowhere = {.epoch = "unknown"};

/* ---- requests ------------------------------------------------------------------------------------ */

static void complain(struct sse_request *request, const char *field, const char *message)
{
    struct strbuf *out = &request->errors;
    strbuf_add_text(out, request->wrong++ > 0 ? ",{\"field\":" : "{\"field\":");
    strbuf_add_json_string(out, field, strlen(field));
    strbuf_add_text(out, ",\"message\":");
    strbuf_add_json_string(out, message, strlen(message));
    strbuf_add(out, "}", 1);
}

static bool read_cursor(const char *value, struct cursor *cursor)
{
    return cursor_parse(value, strlen(value), cursor) == ERR_OK;
}

static void take_user_id(struct sse_request *request, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    unsigned long number = digits > 0 && digits <= 10 ? strtoul(value, NULL, 10) : 0;
    if (value[digits] != '\0' || value[0] == '0' || number < 1 || number > EVENT_ID_MAX)
        complain(request, "user_id", "must be a whole number from 1 to " EVENT_ID_MAX_TEXT);
    else
        request->user_id = (uint32_t)number;
}

static void take_since(struct sse_request *request, const char *value)
{
    if (value[0] != '\0' && !read_cursor(value, &request->since[SSE_SINCE]))
        complain(request, "since", "must be a cursor as Event-Cursor and events hold it");
}

/* No complaint: it would be the end of an EventSource, and is not shown to a person. */
static void take_id(struct sse_request *request, const char *value)
{
    if (value[0] != '\0' && !read_cursor(value, &request->since[SSE_LAST_EVENT_ID]))
        request->since[SSE_LAST_EVENT_ID] = nowhere;
}

static const struct {
    const char *name;
    void (*take)(struct sse_request *request, const char *value);
} arguments[SSE_ARGUMENTS] = {[SSE_USER_ID] = {"user_id", take_user_id},
                              [SSE_SINCE] = {"since", take_since},
                              [SSE_LAST_EVENT_ID] = {"lastEventId", take_id}};

/* As far as it can be shown: complaints are JSON, and have bounds. */
static void complain_of_stranger(struct sse_request *request, const char *name, size_t length)
{
    char shown[NAME_MAX + 1];
    bool whole = length <= NAME_MAX && utf8_valid(name, length);
    memcpy(shown, whole ? name : "query", whole ? length : sizeof "query");
    if (whole)
        shown[length] = '\0';
    complain(request, shown, "is not a parameter of this call (known: user_id, since, lastEventId)");
}

void sse_take_argument(struct sse_request *request, const char *text)
{
    size_t length = strcspn(text, "=");
    const char *value = text[length] == '=' ? text + length + 1 : "";

    if (text[0] == '\0')
        return;
    for (unsigned i = 0; i < SSE_ARGUMENTS; i++) {
        if (strlen(arguments[i].name) != length || memcmp(arguments[i].name, text, length) != 0)
            continue;
        if (request->seen & 1u << i)
            complain(request, arguments[i].name, "is given more than once");
        else
            arguments[i].take(request, value);
        request->seen |= 1u << i;
        return;
    }
    complain_of_stranger(request, text, length);
}

void sse_take_last_event_id(struct sse_request *request, const char *value)
{
    if (value[0] != '\0')
        take_id(request, value);
}

enum err sse_make_subscribe(struct sse_request *request, struct strbuf *out)
{
    const struct cursor *since = request->since[SSE_LAST_EVENT_ID].epoch[0] != '\0'
                                     ? &request->since[SSE_LAST_EVENT_ID]
                                     : &request->since[SSE_SINCE];
    char text[CURSOR_TEXT_SIZE];

    if (!(request->seen & 1u << SSE_USER_ID))
        complain(request, "user_id", "is missing: whose events are wanted?");
    if (request->wrong > 0)
        return ERR_INVALID;
    strbuf_printf(out, TYPE "subscribe\",\"user_id\":%u,\"since\":", (unsigned)request->user_id);
    if (since->epoch[0] != '\0') {
        cursor_format(since, text);
        strbuf_printf(out, "\"%s\"}", text);
    } else {
        strbuf_add_text(out, "null}");
    }
    return ERR_OK;
}

/* ---- events -------------------------------------------------------------------------------------- */

static void add_field(struct strbuf *out, const char *name, const char *value, size_t length)
{
    strbuf_add_text(out, name);
    strbuf_add(out, value, length);
    strbuf_add(out, "\n", 1);
}

/* A line each: where a line ends (CR, LF, or both), the reader looks for the next field's name. Between the
 * values of JSON, where they come from another program, such ends are allowed; in a string they are escaped.
 */
static void add_data(struct strbuf *out, const char *text)
{
    size_t length = strcspn(text, "\r\n");
    add_field(out, "data: ", text, length);
    while (text[length] != '\0') {
        text += length + (strncmp(text + length, "\r\n", 2) == 0 ? 2 : 1);
        length = strcspn(text, "\r\n");
        add_field(out, "data: ", text, length);
    }
}

/* Only at its place: further on the same letters may be part of a text. */
static const char *find_cursor(const char *text)
{
    const char *second = strchr(text, ',');
    const char *third = second ? strchr(second + 1, ',') : NULL;
    return third && strncmp(third, CURSOR, strlen(CURSOR)) == 0 ? third + strlen(CURSOR) : NULL;
}

void sse_add_event(struct strbuf *out, const char *text)
{
    const char *type = strncmp(text, TYPE, strlen(TYPE)) == 0 ? text + strlen(TYPE) : "";
    const char *cursor = find_cursor(text);
    size_t type_length = strcspn(type, "\"");

    if (type_length > 0 && strncmp(type, "notification\"", strlen("notification\"")) != 0)
        add_field(out, "event: ", type, type_length);
    if (cursor)
        add_field(out, "id: ", cursor, strcspn(cursor, "\""));
    add_data(out, text);
    strbuf_add(out, "\n", 1);
}

void sse_add_retry(struct strbuf *out, unsigned typical_ms, uint32_t random)
{
    strbuf_printf(out, "retry: %u\n", typical_ms / 2 + random % (typical_ms + 1));
}

void sse_add_wait(struct strbuf *out, const char *code, const char *message, unsigned wait_s, uint32_t random)
{
    struct strbuf text = {0};

    strbuf_printf(out, "retry: %u\n", wait_s * 1000 + random % (wait_s * 1000 + 1));
    protocol_error(&text, code, message);
    sse_add_event(out, text.text);
    strbuf_free(&text);
}
