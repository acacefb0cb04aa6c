/* SPDX-License-Identifier: MIT */
/* Where a text stops being JSON, and what it looks like instead: for the person who sent it. Needed only once
 * json_parse_object() has refused the text, and so apart from it. */
#ifndef CARILLON_JSON_FAULT_H
#define CARILLON_JSON_FAULT_H

#include <stddef.h>

struct json_fault {
    size_t offset;          /* of the first byte that is wrong; the text's length when it ends too early */
    size_t line, column;    /* of it, from 1; the column counts characters */
    const char *what;       /* what is wrong there, a static text; NULL: the text is JSON */
    const char *looks_like; /* a static sentence about the whole, NULL when there is nothing to guess */
};

struct json_fault json_find_fault(const char *text, size_t length);

#endif
