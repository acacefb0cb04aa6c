/* SPDX-License-Identifier: MIT */
/* Entity tags (RFC 9110, 8.8.3): a task's is its version in quotes, "3", a user's a digest of its text; a
 * list's is weak, W/"...". */
#ifndef CARILLON_HTTP_ETAG_H
#define CARILLON_HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define ETAG_SIZE sizeof "\"4294967295\""
void etag_format(uint32_t version, char text[ETAG_SIZE]);

/* The tag of a text that is one state of one thing, byte for byte: strong, "0123456789abcdef". */
#define ETAG_TEXT_SIZE sizeof "\"0123456789abcdef\""
void etag_format_text(const char *content, size_t length, char text[ETAG_TEXT_SIZE]);

/* The tag of a text: weak, W/"0123456789abcdef", since two answers with the same one need not be alike in
 * every header. The digest is not secret: a client can only mislead itself. Pieces follow each other: begin
 * with 0. */
#define ETAG_WEAK_SIZE sizeof "W/\"0123456789abcdef\""
uint64_t etag_digest(uint64_t digest, const char *text, size_t length);
void etag_format_weak(uint64_t digest, char text[ETAG_WEAK_SIZE]);

/* Whether the value of an If-Match or If-None-Match header is "*" or a list of tags: else ERR_INVALID. */
MUST_CHECK enum err etag_check(const char *header);

enum etag_comparison {
    ETAG_STRONGLY, /* weak tags equal nothing */
    ETAG_WEAKLY,
};

/* Whether the header names this tag, or "*" does. A list that becomes malformed ends there. */
bool etag_matches(enum etag_comparison how, const char *header, const char *etag);

#endif
