/* SPDX-License-Identifier: MIT */
/* Cutting and cleaning a client's text. */
#include "fcgi-api/http/excerpt.h"

#include <stdio.h>

#include "common/utf8.h"

/* The longest beginning of at most `most` bytes that does not end inside a code point. */
static size_t cut(const char *text, size_t length, size_t most)
{
    if (length <= most)
        return length;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    return most;
}

void excerpt(char out[EXCERPT_SIZE], const char *text, size_t length)
{
    size_t shown = cut(text, length, EXCERPT_MAX);
    snprintf(out, EXCERPT_SIZE, "%.*s%s", (int)shown, text, shown < length ? "..." : "");
    if (utf8_valid(out, shown))
        return;
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}
