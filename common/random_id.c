/* SPDX-License-Identifier: MIT */
/* Random names. */
#include "common/random_id.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

void random_id_hex(char *text, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char bytes[64];

    assert(digits <= sizeof bytes);
    /* Once the generator is seeded, up to 256 bytes are never cut short: getrandom(2). */
    if (getrandom(bytes, digits, 0) != (ssize_t)digits)
        abort();
    for (size_t i = 0; i < digits; i++)
        text[i] = hex[bytes[i] & 15];
    text[digits] = '\0';
}
