/* SPDX-License-Identifier: MIT */
/* Base64 for URLs without padding (RFC 4648, section 5), as tokens have it; strictly. */
#ifndef CARILLON_BASE64URL_H
#define CARILLON_BASE64URL_H

#include <stddef.h>

#include "common/err.h"

/* Bytes that `length` characters hold. */
#define BASE64URL_DECODED(length) ((length) / 4 * 3 + 2)

/* Decodes into out[0..BASE64URL_DECODED(length)) and sets *size. ERR_INVALID: a character of another
 * alphabet, padding, a length that cannot be, or bits left over: a value has one text only. */
MUST_CHECK enum err base64url_decode(const char *text, size_t length, unsigned char *out, size_t *size);

#endif
