/* SPDX-License-Identifier: MIT */
/* The query of a request, read strictly: a handler asks for each key it knows by type, then
 * query_end() complains about all it was not asked for. Complaints go to the field errors. */
#ifndef CARILLON_HTTP_QUERY_H
#define CARILLON_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/strbuf.h"
#include "fcgi-api/http/field_errors.h"
#include "fcgi-api/http/uri.h"

#define QUERY_PAIRS_MAX 16
#define QUERY_KEYS_MAX  8 /* that one handler knows */

struct query_pair {
    const char *key, *value; /* decoded */
    bool known;
};

/* Ids: as large as the columns have them. */
#define QUERY_ID_MAX 4294967295

struct query {
    size_t count;
    struct query_pair pairs[QUERY_PAIRS_MAX];
    size_t known_count;
    const char *known[QUERY_KEYS_MAX];
    char text[URI_MAX + 1]; /* what the pairs point into */
};

/* Takes the raw text apart; it has at most URI_MAX bytes. */
void query_begin(struct query *query, const char *raw, struct field_errors *errors);

/* The value of a key that holds a whole number in [min, max]; `fallback` when it is absent or wrong. */
int64_t query_number(struct query *query, const char *key, int64_t min, int64_t max, int64_t fallback,
                     struct field_errors *errors);

/* The value of a key; NULL when absent (or given twice). */
const char *query_text(struct query *query, const char *key, struct field_errors *errors);

/* After the last question. */
void query_end(const struct query *query, struct field_errors *errors);

/* Adds "?a=b&key=value": the same query with one key set to another value. */
void query_add_with(const struct query *query, const char *key, const char *value, struct strbuf *out);

/* A whole number in [min, max], in digits only, without leading zeros: how ids and numbers are written in
 * addresses. min >= 0. */
bool query_parse_number(const char *text, size_t length, int64_t min, int64_t max, int64_t *number);

#endif
