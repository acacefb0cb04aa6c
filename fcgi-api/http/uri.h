/* SPDX-License-Identifier: MIT */
/* Percent-encoding as RFC 3986 has it, strictly: an escape is two hexadecimal digits, what
 * comes out is UTF-8 and holds no NUL. */
#ifndef CARILLON_HTTP_URI_H
#define CARILLON_HTTP_URI_H

#include <stddef.h>

#include "common/err.h"
#include "common/strbuf.h"

#define URI_MAX 4096 /* bytes of a request's path and query; longer ones get 414 */

enum uri_part { URI_PATH, URI_QUERY }; /* in a query '+' is a space */

/* Decodes text[0..length) into `out`, which has room for length + 1 bytes, and ends it with NUL.
 * ERR_INVALID: malformed. */
MUST_CHECK enum err uri_decode(enum uri_part part, const char *text, size_t length, char *out);

/* Adds a text as one key or value of a query, escaped. */
void uri_add_component(struct strbuf *out, const char *text);

/* Adds a raw path as it came, with what a URI must not hold escaped. */
void uri_add_path(struct strbuf *out, const char *raw, size_t length);

#endif
