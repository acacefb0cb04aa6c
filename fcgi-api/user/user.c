/* SPDX-License-Identifier: MIT */
/* The rules of a user. */
#include "fcgi-api/user/user.h"

#include <assert.h>
#include <string.h>

#include "common/utf8.h"

#define TEXT(number)     TEXT_OF(number)
#define TEXT_OF(literal) #literal

const char *user_name_fault(const char *name)
{
    size_t length = strlen(name);
    if (length == 0)
        return "must not be empty";
    if (utf8_count(name, length) > USER_NAME_MAX)
        return "must have at most " TEXT(USER_NAME_MAX) " characters";
    if (utf8_blank(name, length))
        return "must not be only white space";
    return NULL;
}

const char *user_external_id_fault(const char *external_id)
{
    size_t length = strlen(external_id);
    if (length == 0)
        return "must not be empty";
    if (utf8_count(external_id, length) > USER_EXTERNAL_ID_MAX)
        return "must have at most " TEXT(USER_EXTERNAL_ID_MAX) " characters";
    if (utf8_blank(external_id, length))
        return "must not be only white space";
    return NULL;
}

static size_t copy(char *to, size_t size, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    assert(length < size);
    memcpy(to, text != NULL ? text : "", length + 1);
    return length;
}

static void set_name(struct user *user, const char *name)
{
    user->name_length = copy(user->name, sizeof user->name, name);
}

static void set_external_id(struct user *user, const char *external_id)
{
    user->external_id_length = copy(user->external_id, sizeof user->external_id, external_id);
}

void user_begin(struct user *user, const struct user_new *asked, int64_t now_ms)
{
    *user = (struct user){.created_at_ms = now_ms};
    set_name(user, asked->name);
    set_external_id(user, asked->external_id);
}

bool user_patch_asks(const struct user_patch *patch)
{
    return patch->name != NULL || patch->has_external_id;
}

bool user_patch_fits(const struct user *user, const struct user_patch *patch)
{
    return (!patch->gives_id || patch->id == user->id) &&
           (!patch->gives_created_at || patch->created_at_ms == user->created_at_ms);
}

void user_apply(struct user *user, const struct user_patch *patch)
{
    assert(user_patch_asks(patch));
    if (patch->name != NULL)
        set_name(user, patch->name);
    if (patch->has_external_id)
        set_external_id(user, patch->external_id);
}
