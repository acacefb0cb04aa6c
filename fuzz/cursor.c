/* SPDX-License-Identifier: MIT */
/* Cursors. An input is one cursor, as it stands in a query, a header or a message. */
#include "fuzz/fuzz.h"

#include <string.h>

#include "common/cursor.h"

static bool is_same(const struct cursor *one, const struct cursor *other)
{
    return strcmp(one->epoch, other->epoch) == 0 && one->seq == other->seq && one->time_s == other->time_s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor, again;
    char text[CURSOR_TEXT_SIZE];
    struct cursor untouched = {.epoch = "untouched", .seq = 7, .time_s = 9};

    cursor = untouched;
    if (cursor_parse((const char *)data, size, &cursor) != ERR_OK) {
        CHECK(is_same(&cursor, &untouched));
        return 0;
    }
    CHECK(cursor.epoch[0] != '\0' && cursor.seq <= CURSOR_SEQ_MAX);
    CHECK(cursor.time_s >= 0 && (uint64_t)cursor.time_s <= CURSOR_SEQ_MAX);

    size_t length = cursor_format(&cursor, text);
    CHECK(length == strlen(text) && length < sizeof text);
    CHECK(cursor_parse(text, length, &again) == ERR_OK && is_same(&cursor, &again));
    /* A cursor has one text only; a time of 0 is left out. */
    CHECK(cursor.time_s == 0 || (length == size && memcmp(text, data, size) == 0));
    return 0;
}
