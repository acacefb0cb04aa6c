/* SPDX-License-Identifier: MIT */
/* The rules of admission; what follows from them is the reception's business. */
#include "ws-notifier/admission.h"

enum admission admission_take(const struct token_keys *keys, struct client_identity *identity,
                              const char *token, int64_t now_ms, const char **why)
{
    struct token claims;

    enum err err = token_verify(keys, token, now_ms / 1000, &claims, why);
    if (err != ERR_OK)
        return err == ERR_GONE ? ADMISSION_TOKEN_EXPIRED : ADMISSION_TOKEN_INVALID;
    if (identity->user_id != 0 && identity->user_id != claims.user_id) {
        *why = "is not of the user whom this connection belongs to: open another one";
        return ADMISSION_FORBIDDEN;
    }
    if (identity->admin && !claims.admin) {
        *why = "allows less than the one this connection was opened with: open another one";
        return ADMISSION_FORBIDDEN;
    }
    /* One token's grant as a whole, never the rights of one for the time of another. One that allows no more
     * and ends earlier takes nothing away. */
    int64_t until_ms = claims.valid_until_s * 1000;
    bool first = identity->user_id == 0;
    if (first || claims.admin != identity->admin || until_ms > identity->valid_until_ms)
        *identity = (struct client_identity){claims.user_id, claims.admin, until_ms};
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
    if (!identity->admin && identity->user_id != user_id) {
        *why = "is for another user";
        return ADMISSION_FORBIDDEN;
    }
    return ADMISSION_GRANTED;
}
