/* SPDX-License-Identifier: MIT */
/* Reading the fields of a user. */
#include "fcgi-api/api/user_input.h"

#include <string.h>

#include "common/clock.h"
#include "common/event.h"
#include "common/json.h"

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void refuse_others(const cJSON *object, bool patch, struct field_errors *errors)
{
    static const char *const names[] = {"name", "external_id", "id", "createdAt"};
    size_t count = patch ? 4 : 2;
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        size_t i = 0;
        while (i < count && strcmp(names[i], item->string) != 0)
            i++;
        if (i == count)
            field_errors_add(errors, item->string, "is not a field that can be given here");
    }
}

static const char *read_text(const char *field, const cJSON *item, const char *(*fault_of)(const char *text),
                             struct field_errors *errors)
{
    if (!cJSON_IsString(item)) {
        field_errors_add(errors, field, "must be a string, not %s", json_kind(item));
        return NULL;
    }
    const char *fault = fault_of(item->valuestring);
    if (fault != NULL)
        field_errors_add(errors, field, "%s", fault);
    return item->valuestring;
}

/* null is no id. */
static const char *read_external_id(const cJSON *item, struct field_errors *errors)
{
    if (item == NULL || cJSON_IsNull(item))
        return NULL;
    return read_text("external_id", item, user_external_id_fault, errors);
}

void user_input_new(const cJSON *object, struct user_new *user, struct field_errors *errors)
{
    const cJSON *name = member(object, "name");

    *user = (struct user_new){.external_id = read_external_id(member(object, "external_id"), errors)};
    if (name != NULL)
        user->name = read_text("name", name, user_name_fault, errors);
    else
        field_errors_add(errors, "name", "is missing");
    refuse_others(object, false, errors);
}

static void read_expected(const cJSON *object, struct user_patch *patch, struct field_errors *errors)
{
    const cJSON *id = member(object, "id"), *created_at = member(object, "createdAt");

    patch->gives_id = id != NULL;
    if (id != NULL && json_whole_number(id, 1, EVENT_ID_MAX, &patch->id) != ERR_OK)
        field_errors_add(errors, "id", "is read-only: leave it out, or send it back as it was read");
    patch->gives_created_at = created_at != NULL;
    if (created_at != NULL && (!cJSON_IsString(created_at) ||
                               clock_parse_iso(created_at->valuestring, &patch->created_at_ms) != ERR_OK))
        field_errors_add(errors, "createdAt", "is read-only: leave it out, or send it back as it was read");
}

void user_input_patch(const cJSON *object, struct user_patch *patch, struct field_errors *errors)
{
    const cJSON *name = member(object, "name"), *external_id = member(object, "external_id");

    *patch = (struct user_patch){.has_external_id = external_id != NULL,
                                 .external_id = read_external_id(external_id, errors)};
    if (name != NULL)
        patch->name = read_text("name", name, user_name_fault, errors);
    read_expected(object, patch, errors);
    refuse_others(object, true, errors);
    if (!user_patch_asks(patch) && errors->count == 0)
        field_errors_add(errors, "name", "is missing: give name, external_id, or both");
}

void user_input_refuse(const struct user *user, const struct user_patch *patch, struct field_errors *errors)
{
    char created_at[CLOCK_ISO_SIZE];

    if (patch->gives_id && patch->id != user->id)
        field_errors_add(errors, "id", "is read-only, and is %u", user->id);
    if (patch->gives_created_at && patch->created_at_ms != user->created_at_ms) {
        clock_format_iso(user->created_at_ms, created_at);
        field_errors_add(errors, "createdAt", "is read-only, and is %s", created_at);
    }
}
