/* SPDX-License-Identifier: MIT */
/* UTF-8 by the table of RFC 3629, section 4. */
#include "common/utf8.h"

#include <stdint.h>

/* Decodes one code point of at most `length` bytes; returns its size, 0 when it is not well-formed. */
static size_t decode(const unsigned char *s, size_t length, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size;
    uint32_t value;

    if (s[0] < 0x80) {
        *point = s[0];
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        size = 2;
        value = s[0] & 0x1fu;
    } else if ((s[0] & 0xf0) == 0xe0) {
        size = 3;
        value = s[0] & 0x0fu;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        size = 4;
        value = s[0] & 0x07u;
    } else {
        return 0;
    }
    if (size > length)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3fu);
    }
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *point = value;
    return size;
}

bool utf8_valid(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t point;
    while (length > 0) {
        size_t size = decode(s, length, &point);
        if (size == 0)
            return false;
        s += size;
        length -= size;
    }
    return true;
}

size_t utf8_count(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Unicode's White_Space property, controls, and invisible characters that are pasted by accident. */
static bool is_blank(uint32_t point)
{
    return point <= 0x20 || (point >= 0x7f && point <= 0xa0) || point == 0x1680 ||
           (point >= 0x2000 && point <= 0x200d) || point == 0x2028 || point == 0x2029 || point == 0x202f ||
           point == 0x205f || point == 0x2060 || point == 0x3000 || point == 0xfeff;
}

bool utf8_blank(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t point;
    while (length > 0) {
        size_t size = decode(s, length, &point);
        if (size == 0 || !is_blank(point))
            return false;
        s += size;
        length -= size;
    }
    return true;
}
