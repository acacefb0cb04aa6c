/* SPDX-License-Identifier: MIT */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef CARILLON_UTF8_H
#define CARILLON_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t length);

/* Code points of a valid text. */
size_t utf8_count(const char *text, size_t length);

/* Whether a valid text holds anything but Unicode white space and control characters. */
bool utf8_blank(const char *text, size_t length);

#endif
