/* SPDX-License-Identifier: MIT */
/* Reading and writing cursors. */
#include "common/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_epoch_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool cursor_epoch_valid(const char *epoch)
{
    size_t length = 0;
    while (length <= CURSOR_EPOCH_MAX && is_epoch_char(epoch[length]))
        length++;
    return length > 0 && length <= CURSOR_EPOCH_MAX && epoch[length] == '\0';
}

/* Reads one decimal number of at most 16 digits at *at and moves *at behind it. */
static bool read_number(const char **at, const char *end, uint64_t *number)
{
    const char *start = *at;
    uint64_t value = 0;
    while (*at < end && is_digit(**at) && *at - start < 17)
        value = value * 10 + (uint64_t)(*(*at)++ - '0');
    size_t digits = (size_t)(*at - start);
    if (digits == 0 || (digits > 1 && *start == '0') || value > CURSOR_SEQ_MAX)
        return false;
    *number = value;
    return true;
}

enum err cursor_parse(const char *text, size_t length, struct cursor *cursor)
{
    const char *at = text, *end = text + length;
    struct cursor parsed = {.time_s = 0};
    size_t epoch = 0;

    while (at < end && is_epoch_char(*at) && epoch < CURSOR_EPOCH_MAX)
        parsed.epoch[epoch++] = *at++;
    if (epoch == 0 || at == end || *at++ != ':' || !read_number(&at, end, &parsed.seq))
        return ERR_INVALID;
    if (at < end) {
        uint64_t time_s;
        if (*at++ != ':' || !read_number(&at, end, &time_s) || at != end)
            return ERR_INVALID;
        parsed.time_s = (int64_t)time_s;
    }
    *cursor = parsed;
    return ERR_OK;
}

size_t cursor_format(const struct cursor *cursor, char text[CURSOR_TEXT_SIZE])
{
    int length = snprintf(text, CURSOR_TEXT_SIZE, "%s:%" PRIu64, cursor->epoch, cursor->seq);
    if (cursor->time_s > 0)
        length += snprintf(text + length, CURSOR_TEXT_SIZE - (size_t)length, ":%" PRId64, cursor->time_s);
    return (size_t)length;
}
