/* Entity tags (RFC 9110, 8.8.3): a task's is its version in quotes, "3". */
#ifndef CARILLON_HTTP_ETAG_H
#define CARILLON_HTTP_ETAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define ETAG_SIZE sizeof "\"4294967295\""
void etag_format(uint32_t version, char text[ETAG_SIZE]);

/* The versions an If-Match header accepts. */
struct etag_match {
    bool any; /* no header, or "*" */
    size_t count;
    uint32_t versions[16];
};

/* Reads an If-Match header (NULL: none) into the versions it accepts: tags of another form match nothing, and
 * weak ones neither. ERR_INVALID: not a list of tags, or more than etag_match holds. */
MUST_CHECK enum err etag_read_if_match(const char *header, struct etag_match *match);

/* Whether an If-None-Match header (NULL: none) says that the client has this version, weakly compared. */
bool etag_is_known(const char *if_none_match, uint32_t version);

#endif
