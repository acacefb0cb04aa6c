/* SPDX-License-Identifier: MIT */
/* A user and the rules of one. No I/O: what a user may be is decided here, whatever its source. */
#ifndef CARILLON_USER_H
#define CARILLON_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USER_NAME_MAX         100 /* Unicode code points */
#define USER_EXTERNAL_ID_MAX  190 /* the same: what an index of utf8mb4 takes */
#define USER_NAME_SIZE        (USER_NAME_MAX * 4 + 1)
#define USER_EXTERNAL_ID_SIZE (USER_EXTERNAL_ID_MAX * 4 + 1)

/* The texts have a length, for one that was written past the API may hold a NUL. */
struct user {
    uint32_t id;
    char name[USER_NAME_SIZE];
    size_t name_length;
    char external_id[USER_EXTERNAL_ID_SIZE]; /* what another system calls it; of length 0: nothing */
    size_t external_id_length;
    int64_t created_at_ms;
};

/* What a POST asks for. */
struct user_new {
    const char *name;
    const char *external_id; /* NULL: none */
};

/* What a PATCH asks for, and what its client says the other fields are: those it read and sent back. */
struct user_patch {
    const char *name; /* NULL: as it is */
    bool has_external_id;
    const char *external_id; /* NULL: none from now on */
    bool gives_id, gives_created_at;
    int64_t id, created_at_ms;
};

/* Why a text cannot be one: a static text that goes on after the field's name; NULL: it can. */
const char *user_name_fault(const char *name);
const char *user_external_id_fault(const char *external_id);

/* A new user as asked for, at that moment. It has no id yet. */
void user_begin(struct user *user, const struct user_new *asked, int64_t now_ms);

/* Whether the patch asks for a change at all, and whether what it says of read-only fields is so. */
bool user_patch_asks(const struct user_patch *patch);
bool user_patch_fits(const struct user *user, const struct user_patch *patch);

void user_apply(struct user *user, const struct user_patch *patch);

#endif
