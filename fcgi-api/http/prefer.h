/* SPDX-License-Identifier: MIT */
/* Preferences of a client (RFC 7240), in a Prefer header: "count=exact, return=minimal". */
#ifndef CARILLON_HTTP_PREFER_H
#define CARILLON_HTTP_PREFER_H

#include <stdbool.h>

/* Whether a header (NULL: none) names this preference, "name=value". Parameters behind a ';' are ignored. */
bool prefer_has(const char *header, const char *preference);

#endif
