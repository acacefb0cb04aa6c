/* SPDX-License-Identifier: MIT */
#include "fcgi-api/user/user_json.h"

#include "common/clock.h"

void user_json_add(struct strbuf *out, const struct user *user)
{
    char created_at[CLOCK_ISO_SIZE];
    clock_format_iso(user->created_at_ms, created_at);
    strbuf_printf(out, "{\"id\":%u,\"name\":", user->id);
    strbuf_add_json_string(out, user->name, user->name_length);
    strbuf_add_text(out, ",\"external_id\":");
    if (user->external_id_length > 0)
        strbuf_add_json_string(out, user->external_id, user->external_id_length);
    else
        strbuf_add_text(out, "null");
    strbuf_printf(out, ",\"createdAt\":\"%s\"}", created_at);
}
