/* Frames are our own texts, so what is needed of them is found without parsing: the type is the first member,
 * and where there is a cursor, it is the third. */
#include "ws-notifier/sse.h"

#include <string.h>

#include "common/utf8.h"

#define TYPE   "{\"type\":\""
#define CURSOR ",\"cursor\":\""

enum err sse_make_subscribe(struct strbuf *out, const char *user_id, const char *since)
{
    size_t digits = strspn(user_id, "0123456789");
    if (digits == 0 || digits > 10 || user_id[digits] != '\0' || user_id[0] == '0' ||
        !utf8_valid(since, strlen(since)))
        return ERR_INVALID;
    strbuf_printf(out, "{\"type\":\"subscribe\",\"user_id\":%s,\"since\":", user_id);
    if (since[0])
        strbuf_add_json_string(out, since, strlen(since));
    else
        strbuf_add_text(out, "null");
    strbuf_add(out, "}", 1);
    return ERR_OK;
}

static void add_field(struct strbuf *out, const char *name, const char *value, size_t length)
{
    strbuf_add_text(out, name);
    strbuf_add(out, value, length);
    strbuf_add(out, "\n", 1);
}

/* Only at its place: further on the same letters may be anybody's. */
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
    add_field(out, "data: ", text, strlen(text));
    strbuf_add(out, "\n", 1);
}
