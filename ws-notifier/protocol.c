/* SPDX-License-Identifier: MIT */
/* The dialogue with a browser. Everything that is not exactly what the contract
 * knows is refused: a client's author should find a misspelt field at once. */
#include "ws-notifier/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/event.h"
#include "common/json.h"

/* ---- in ------------------------------------------------------------------------------------------ */

static const char *const kinds[] = {
    [PROTOCOL_SUBSCRIBE] = "subscribe", [PROTOCOL_UNSUBSCRIBE] = "unsubscribe", [PROTOCOL_PING] = "ping"};

static const char *parse_kind(const cJSON *item, struct protocol_message *message)
{
    if (!cJSON_IsString(item))
        return "\"type\" must be a string";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(item->valuestring, kinds[i]) != 0)
            continue;
        message->kind = (enum protocol_kind)i;
        return NULL;
    }
    return "\"type\" must be \"subscribe\", \"unsubscribe\" or \"ping\"";
}

static const char *parse_user_id(const cJSON *item, struct protocol_message *message)
{
    int64_t number;
    if (json_whole_number(item, 1, EVENT_ID_MAX, &number) != ERR_OK)
        return "\"user_id\" must be a whole number from 1 to " EVENT_ID_MAX_TEXT;
    message->user_id = (uint32_t)number;
    return NULL;
}

static const char *parse_since(const cJSON *item, struct protocol_message *message)
{
    if (cJSON_IsNull(item)) {
        message->since_kind = SINCE_NULL;
        return NULL;
    }
    if (!cJSON_IsString(item) ||
        cursor_parse(item->valuestring, strlen(item->valuestring), &message->since) != ERR_OK)
        return "\"since\" must be null or a cursor";
    message->since_kind = SINCE_CURSOR;
    return NULL;
}

static const char *parse_token(const cJSON *item, struct protocol_message *message)
{
    if (!cJSON_IsString(item))
        return "\"token\" must be a string";
    message->token = strdup(item->valuestring);
    if (!message->token)
        abort();
    return NULL;
}

#define IN(kind) (1u << (kind))

/* Which kinds of messages need a field, and which take it. */
static const struct {
    const char *name;
    unsigned needed, taken;
    const char *(*parse)(const cJSON *item, struct protocol_message *message);
} fields[] = {
    {"type", ~0u, ~0u, parse_kind}, /* first: the others depend on it */
    {"user_id", IN(PROTOCOL_SUBSCRIBE) | IN(PROTOCOL_UNSUBSCRIBE),
     IN(PROTOCOL_SUBSCRIBE) | IN(PROTOCOL_UNSUBSCRIBE), parse_user_id},
    {"since", 0, IN(PROTOCOL_SUBSCRIBE), parse_since},
    {"token", 0, IN(PROTOCOL_SUBSCRIBE), parse_token},
};
#define FIELDS (sizeof fields / sizeof *fields)

static enum err check_known(const cJSON *object, char why[PROTOCOL_WHY_SIZE])
{
    for (const cJSON *item = object->child; item; item = item->next) {
        size_t i = 0;
        while (i < FIELDS && strcmp(fields[i].name, item->string) != 0)
            i++;
        if (i == FIELDS) {
            snprintf(why, PROTOCOL_WHY_SIZE, "there is a field that is not known here");
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static enum err parse_fields(const cJSON *object, struct protocol_message *message,
                             char why[PROTOCOL_WHY_SIZE])
{
    for (size_t i = 0; i < FIELDS; i++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, fields[i].name);
        const char *wrong = NULL;
        if (!item && (fields[i].needed & IN(message->kind)))
            snprintf(why, PROTOCOL_WHY_SIZE, "\"%s\" is missing", fields[i].name);
        else if (item && !(fields[i].taken & IN(message->kind)))
            snprintf(why, PROTOCOL_WHY_SIZE, "\"%s\" takes no \"%s\"", kinds[message->kind], fields[i].name);
        else if (item && (wrong = fields[i].parse(item, message)) != NULL)
            snprintf(why, PROTOCOL_WHY_SIZE, "%s", wrong);
        else
            continue;
        return ERR_INVALID;
    }
    return check_known(object, why);
}

enum err protocol_parse(const char *text, size_t length, struct protocol_message *message,
                        char why[PROTOCOL_WHY_SIZE])
{
    cJSON *object = NULL;
    const char *not_json;

    memset(message, 0, sizeof *message);
    if (json_parse_object(text, length, &object, &not_json) != ERR_OK) {
        snprintf(why, PROTOCOL_WHY_SIZE, "the message %s", not_json);
        return ERR_INVALID;
    }
    enum err err = parse_fields(object, message, why);
    if (err == ERR_OK) {
        cJSON_DeleteItemFromObjectCaseSensitive(object, "token");
        message->text = cJSON_PrintUnformatted(object);
        if (!message->text)
            abort();
    } else {
        protocol_clear(message);
    }
    cJSON_Delete(object);
    return err;
}

void protocol_clear(struct protocol_message *message)
{
    free(message->text);
    free(message->token);
    message->text = message->token = NULL;
}

/* ---- out ----------------------------------------------------------------------------------------- */

void protocol_error(struct strbuf *out, const char *code, const char *message)
{
    strbuf_printf(out, "{\"type\":\"error\",\"code\":\"%s\",\"message\":", code);
    strbuf_add_json_string(out, message, strlen(message));
    strbuf_add(out, "}", 1);
}

/* Opens an object; the caller adds what else there is to say, and the brace. */
static void begin(struct strbuf *out, const char *type, uint32_t user_id, const struct cursor *cursor)
{
    char text[CURSOR_TEXT_SIZE];
    cursor_format(cursor, text);
    strbuf_printf(out, "{\"type\":\"%s\",\"user_id\":%u,\"cursor\":\"%s\"", type, (unsigned)user_id, text);
}

void protocol_heartbeat(struct strbuf *out, uint32_t user_id, const struct cursor *cursor)
{
    begin(out, "heartbeat", user_id, cursor);
    strbuf_add(out, "}", 1);
}

void protocol_reset(struct strbuf *out, uint32_t user_id, const struct cursor *cursor, const char *reason)
{
    begin(out, "reset", user_id, cursor);
    strbuf_printf(out, ",\"reason\":\"%s\"}", reason);
}

void protocol_subscribed(struct strbuf *out, uint32_t user_id, const struct cursor *cursor, size_t replayed,
                         const struct cursor *until, const char *reason)
{
    char text[CURSOR_TEXT_SIZE];
    begin(out, "subscribe", user_id, cursor);
    strbuf_printf(out, ",\"recovered\":%s,\"replayed\":%zu", reason ? "false" : "true", replayed);
    if (replayed > 0) {
        cursor_format(until, text);
        strbuf_printf(out, ",\"until\":\"%s\"", text);
    }
    if (reason)
        strbuf_printf(out, ",\"reason\":\"%s\"", reason);
    strbuf_add(out, "}", 1);
}

/* ---- messages of other programs ------------------------------------------------------------------ */

static void add_item(struct strbuf *out, const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    if (!text)
        abort();
    strbuf_add_text(out, text);
    free(text);
}

enum err protocol_adopt(const char *body, size_t length, uint32_t *user_id, struct strbuf *out,
                        const char **why)
{
    cJSON *object = NULL;
    int64_t number;

    if (json_parse_object(body, length, &object, why) != ERR_OK)
        return ERR_INVALID;

    const cJSON *message = cJSON_GetObjectItemCaseSensitive(object, "message");
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(object, "task");
    const cJSON *user = cJSON_IsObject(task) ? cJSON_GetObjectItemCaseSensitive(task, "user_id") : NULL;
    enum err err = json_whole_number(user, 1, EVENT_ID_MAX, &number);
    if (!cJSON_IsString(message) || err != ERR_OK) {
        *why = "is no notification: it needs a \"message\" and a \"task\" with a \"user_id\"";
        err = ERR_INVALID;
    } else {
        *user_id = (uint32_t)number;
        strbuf_add_text(out, "{\"type\":\"notification\",\"message\":");
        add_item(out, message);
        strbuf_add_text(out, ",\"task\":");
        add_item(out, task);
        strbuf_add(out, "}", 1);
    }
    cJSON_Delete(object);
    return err;
}
