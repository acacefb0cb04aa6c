/* SPDX-License-Identifier: MIT */
/* The same rules as those of carillon_emit (sql/routines.sql). The data is kept as it was written: numbers
 * and the order of members stay the sender's. */
#include "fcgi-api/api/event_input.h"

#include <string.h>

#include "common/json.h"
#include "common/utf8.h"

#define TEXT(number)     TEXT_OF(number)
#define TEXT_OF(literal) #literal

static void read_type(const cJSON *item, struct event_new *event, struct field_errors *errors)
{
    event->type = cJSON_IsString(item) ? item->valuestring : "";
    if (!cJSON_IsString(item))
        field_errors_add(errors, "event", "must be a string, not %s", json_kind(item));
    else if (!event_type_valid(event->type))
        field_errors_add(
            errors, "event",
            "must be two names or more with dots between (a to z, 0 to 9, _ and -), of at most %d "
            "characters",
            EVENT_TYPE_KEY_MAX);
    else if (event_type_reserved(event->type))
        field_errors_add(errors, "event", "must not begin with task. or carillon., which are Carillon's own");
}

static void read_message(const cJSON *item, struct event_new *event, struct field_errors *errors)
{
    if (cJSON_IsNull(item))
        return;
    if (!cJSON_IsString(item))
        field_errors_add(errors, "message", "must be a string or null, not %s", json_kind(item));
    else if (utf8_count(item->valuestring, strlen(item->valuestring)) > EVENT_MESSAGE_MAX)
        field_errors_add(errors, "message", "must have at most " TEXT(EVENT_MESSAGE_MAX) " characters");
    else
        event->message = item->valuestring;
}

static void read_data(const cJSON *item, const struct strbuf *body, int index, struct event_new *event,
                      struct field_errors *errors)
{
    if (cJSON_IsNull(item))
        return;
    if (!cJSON_IsObject(item)) {
        field_errors_add(errors, "data", "must be an object or null, not %s", json_kind(item));
        return;
    }
    event->data = json_member_text(body->text, body->length, index, &event->data_length);
    if (event->data_length > EVENT_DATA_MAX)
        field_errors_add(errors, "data", "must have at most " TEXT(EVENT_DATA_MAX) " bytes");
}

void event_input_read(struct request *request, struct event_new *event)
{
    struct field_errors *errors = &request->errors;
    const cJSON *item;
    int index = 0;

    *event = (struct event_new){.user_id = request->target_id};
    cJSON_ArrayForEach(item, request->json)
    {
        if (strcmp(item->string, "event") == 0)
            read_type(item, event, errors);
        else if (strcmp(item->string, "message") == 0)
            read_message(item, event, errors);
        else if (strcmp(item->string, "data") == 0)
            read_data(item, &request->body, index, event, errors);
        else
            field_errors_add(errors, item->string, "is not a field that can be given here");
        index++;
    }
    if (event->type == NULL)
        field_errors_add(errors, "event", "is missing");
}
