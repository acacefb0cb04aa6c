/* SPDX-License-Identifier: MIT */
/* Reading base64url. */
#include "common/base64url.h"

#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

enum err base64url_decode(const char *text, size_t length, unsigned char *out, size_t *size)
{
    uint32_t bits = 0;
    unsigned waiting = 0; /* bits not yet written, fewer than 8 */

    *size = 0;
    if (length % 4 == 1)
        return ERR_INVALID;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return ERR_INVALID;
        bits = (bits << 6 | (uint32_t)value) & 0x3fff;
        waiting += 6;
        if (waiting < 8)
            continue;
        waiting -= 8;
        out[(*size)++] = (unsigned char)(bits >> waiting);
    }
    return (bits & ((1U << waiting) - 1)) == 0 ? ERR_OK : ERR_INVALID;
}
