/* SPDX-License-Identifier: MIT */
/* Reading a query. */
#include "fcgi-api/http/query.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Decodes text[0..length) to *at and moves *at behind it; NULL when it is malformed. */
static const char *decode(const char *text, size_t length, char **at)
{
    const char *start = *at;
    if (uri_decode(URI_QUERY, text, length, *at) != ERR_OK)
        return NULL;
    *at += strlen(start) + 1;
    return start;
}

/* One "key=value" or "key". */
static void add_pair(struct query *query, const char *text, size_t length, char **at,
                     struct field_errors *errors)
{
    const char *equals = memchr(text, '=', length);
    size_t key_length = equals != NULL ? (size_t)(equals - text) : length;
    const char *key = decode(text, key_length, at);
    const char *value = equals != NULL ? decode(equals + 1, length - key_length - 1, at) : "";

    if (key == NULL || value == NULL)
        field_errors_add(errors, key != NULL ? key : "query", "is not percent-encoded UTF-8");
    else if (query->count == QUERY_PAIRS_MAX)
        field_errors_add(errors, key, "is one parameter too many: a query may have %d", QUERY_PAIRS_MAX);
    else
        query->pairs[query->count++] = (struct query_pair){.key = key, .value = value};
}

void query_begin(struct query *query, const char *raw, struct field_errors *errors)
{
    char *at = &query->text[0];

    assert(strlen(raw) <= URI_MAX);
    query->count = 0;
    query->known_count = 0;
    while (*raw != '\0') {
        size_t length = strcspn(raw, "&#");
        if (length > 0)
            add_pair(query, raw, length, &at, errors);
        raw += length;
        if (*raw == '#')
            break;
        if (*raw == '&')
            raw++;
    }
}

const char *query_text(struct query *query, const char *key, struct field_errors *errors)
{
    const char *value = NULL;
    int times = 0;

    assert(query->known_count < QUERY_KEYS_MAX);
    query->known[query->known_count++] = key;
    for (size_t i = 0; i < query->count; i++) {
        if (strcmp(query->pairs[i].key, key) != 0)
            continue;
        query->pairs[i].known = true;
        value = query->pairs[i].value;
        times++;
    }
    if (times <= 1)
        return value;
    field_errors_add(errors, key, "is given more than once");
    return NULL;
}

bool query_parse_number(const char *text, size_t length, int64_t min, int64_t max, int64_t *number)
{
    int64_t value = 0;
    if (length == 0 || length > 18 || (length > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (text[i] - '0');
    }
    if (value < min || value > max)
        return false;
    *number = value;
    return true;
}

int64_t query_number(struct query *query, const char *key, int64_t min, int64_t max, int64_t fallback,
                     struct field_errors *errors)
{
    int64_t number = fallback;
    const char *text = query_text(query, key, errors);
    if (text != NULL && !query_parse_number(text, strlen(text), min, max, &number))
        field_errors_add(errors, key, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
    return number;
}

/* "user_id, status, limit" */
static void list_known(const struct query *query, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < query->known_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i > 0 ? ", " : "", query->known[i]);
}

void query_end(const struct query *query, struct field_errors *errors)
{
    char known[FIELD_MESSAGE_MAX / 2];
    for (size_t i = 0; i < query->count; i++) {
        if (query->pairs[i].known)
            continue;
        list_known(query, known, sizeof known);
        if (known[0] != '\0')
            field_errors_add(errors, query->pairs[i].key, "is not a parameter of this call (known: %s)",
                             known);
        else
            field_errors_add(errors, query->pairs[i].key, "is unknown: this call takes no parameters");
    }
}

void query_add_with(const struct query *query, const char *key, const char *value, struct strbuf *out)
{
    strbuf_add(out, "?", 1);
    for (size_t i = 0; i < query->count; i++) {
        if (strcmp(query->pairs[i].key, key) == 0)
            continue;
        uri_add_component(out, query->pairs[i].key);
        strbuf_add(out, "=", 1);
        uri_add_component(out, query->pairs[i].value);
        strbuf_add(out, "&", 1);
    }
    uri_add_component(out, key);
    strbuf_add(out, "=", 1);
    uri_add_component(out, value);
}
