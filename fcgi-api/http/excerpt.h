/* SPDX-License-Identifier: MIT */
/* A piece of a client's text, fit to be shown in a message: valid UTF-8, at most 64 bytes and a
 * "..." when something is left out. */
#ifndef CARILLON_HTTP_EXCERPT_H
#define CARILLON_HTTP_EXCERPT_H

#include <stddef.h>

#define EXCERPT_MAX  64
#define EXCERPT_SIZE (EXCERPT_MAX + sizeof "...")

void excerpt(char out[EXCERPT_SIZE], const char *text, size_t length);

#endif
