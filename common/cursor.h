/* SPDX-License-Identifier: MIT */
/* A cursor says "I have everything of this user up to seq" and, in its long form, "and everything
 * that reached the stream before that second". Opaque to clients; on the wire "<epoch>:<seq>" or
 * "<epoch>:<seq>:<time>", time in seconds since 1970. */
#ifndef CARILLON_CURSOR_H
#define CARILLON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CURSOR_EPOCH_MAX 16 /* letters and digits */
#define CURSOR_SEQ_MAX   9007199254740991ull
#define CURSOR_TEXT_SIZE (CURSOR_EPOCH_MAX + 1 + 20 + 1 + 20 + 1)

struct cursor {
    char epoch[CURSOR_EPOCH_MAX + 1];
    uint64_t seq;
    int64_t time_s; /* 0: short form */
};

/* 1 to 16 letters and digits. */
bool cursor_epoch_valid(const char *epoch);

/* ERR_INVALID unless the whole text is one cursor: epoch of 1..16 letters and digits, numbers
 * without sign or leading zeros. *cursor is untouched on error. */
MUST_CHECK enum err cursor_parse(const char *text, size_t length, struct cursor *cursor);

/* Returns the length written, without the final NUL. */
size_t cursor_format(const struct cursor *cursor, char text[CURSOR_TEXT_SIZE]);

#endif
