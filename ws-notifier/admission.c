/* SPDX-License-Identifier: MIT */
/* The rules of admission; the reception acts on them. */
#include "ws-notifier/admission.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(GRANT_GROUPS_MAX <= UINT8_MAX, "an identity counts its groups in a byte");

static bool may_hear(const struct client_identity *identity, uint32_t user_id)
{
    return identity->admin || identity->user_id == user_id ||
           grant_lists(identity->groups, identity->group_count, user_id);
}

/* Whether a token covers every user that the identity may hear. */
static bool covers(const struct grant *grant, const struct client_identity *identity)
{
    if (grant->everyone || identity->admin)
        return grant->everyone;
    for (size_t i = 0; i < identity->group_count; i++)
        if (!grant_covers(grant, identity->groups[i]))
            return false;
    return true;
}

/* Of a token that covers the identity. */
static bool allows_more(const struct grant *grant, const struct client_identity *identity)
{
    return grant->everyone != identity->admin || grant->group_count != identity->group_count;
}

static void replace(struct client_identity *identity, const struct token *token)
{
    const struct grant *grant = &token->grant;
    admission_forget(identity);
    *identity = (struct client_identity){.user_id = grant->user_id,
                                         .admin = grant->everyone,
                                         .group_count = (uint8_t)grant->group_count,
                                         .issued_s = token->issued_s,
                                         .valid_until_ms = token->valid_until_s * 1000};
    if (grant->group_count == 0)
        return;
    identity->groups = malloc(grant->group_count * sizeof *identity->groups);
    if (!identity->groups)
        abort();
    memcpy(identity->groups, grant->groups, grant->group_count * sizeof *identity->groups);
}

void admission_forget(struct client_identity *identity)
{
    free(identity->groups);
    *identity = (struct client_identity){.user_id = 0};
}

enum admission admission_take(const struct token_keys *keys, struct client_identity *identity,
                              const char *token, int64_t now_ms, const char **why)
{
    struct token claims;

    enum err err = token_verify(keys, token, now_ms / 1000, &claims, why);
    if (err != ERR_OK)
        return err == ERR_GONE ? ADMISSION_TOKEN_EXPIRED : ADMISSION_TOKEN_INVALID;
    if (identity->user_id != 0 && identity->user_id != claims.grant.user_id) {
        *why = "is not of the user whom this connection belongs to: open another one";
        return ADMISSION_FORBIDDEN;
    }
    if (!covers(&claims.grant, identity)) {
        *why = "allows less than the one this connection was opened with: open another one";
        return ADMISSION_FORBIDDEN;
    }
    /* One token's grant as a whole, never the rights of one for the time of another. A token that allows no
     * more and ends earlier changes nothing. */
    int64_t until_ms = claims.valid_until_s * 1000;
    bool first = identity->user_id == 0;
    if (first || allows_more(&claims.grant, identity) || until_ms > identity->valid_until_ms)
        replace(identity, &claims);
    return ADMISSION_GRANTED;
}

enum admission admission_to_hear(const struct client_identity *identity, uint32_t user_id, int64_t now_ms,
                                 const char **why)
{
    if (identity->user_id == 0) {
        *why = "is missing: subscribe with a \"token\"";
        return ADMISSION_TOKEN_MISSING;
    }
    if (now_ms >= identity->valid_until_ms) {
        *why = "has expired";
        return ADMISSION_TOKEN_EXPIRED;
    }
    if (!may_hear(identity, user_id)) {
        *why = "is for another user";
        return ADMISSION_FORBIDDEN;
    }
    return ADMISSION_GRANTED;
}
