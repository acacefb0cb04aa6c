/* SPDX-License-Identifier: MIT */
/* Queries and percent-encoding. An input is the text after the question mark. */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "fcgi-api/http/query.h"

static void check_errors(const struct field_errors *errors)
{
    CHECK(errors->count <= FIELD_ERRORS_MAX);
    for (size_t i = 0; i < errors->count; i++) {
        const struct field_error *error = &errors->list[i];
        CHECK(utf8_valid(error->field, strlen(error->field)));
        CHECK(strlen(error->message) > 0 && strlen(error->message) <= FIELD_MESSAGE_MAX);
    }
}

/* A text that is decoded and escaped again means the same. */
static void check_uri(const char *raw)
{
    size_t length = strlen(raw);
    char *once = malloc(length + 1), *twice = malloc(length + 1);
    struct strbuf text = {0};

    if (uri_decode(URI_QUERY, raw, length, once) == ERR_OK) {
        CHECK(utf8_valid(once, strlen(once)));
        uri_add_component(&text, once);
        if (text.length <= length) {
            CHECK(uri_decode(URI_QUERY, text.text != NULL ? text.text : "", text.length, twice) == ERR_OK);
            CHECK(strcmp(once, twice) == 0);
        }
    }
    strbuf_clear(&text);
    uri_add_path(&text, raw, length);
    for (size_t i = 0; i < text.length; i++)
        CHECK(text.text[i] > 0x20 && text.text[i] < 0x7f && strchr("\"<>\\^`{|}", text.text[i]) == NULL);
    strbuf_free(&text);
    free(once);
    free(twice);
}

/* A link to the next page has the parameters of this one. */
static void check_link(const struct query *query)
{
    static struct query next;
    struct field_errors errors = {0};
    struct strbuf link = {0};

    query_add_with(query, "after", "17", &link);
    CHECK(link.text[0] == '?');
    if (link.length <= URI_MAX) {
        query_begin(&next, link.text + 1, &errors);
        CHECK(errors.count == 0);
        CHECK(query_number(&next, "after", 0, 1000, -1, &errors) == 17);
        for (size_t i = 0, at = 0; i < query->count; i++) {
            if (strcmp(query->pairs[i].key, "after") == 0)
                continue;
            CHECK(at < next.count && strcmp(next.pairs[at].key, query->pairs[i].key) == 0);
            CHECK(strcmp(next.pairs[at].value, query->pairs[i].value) == 0);
            at++;
        }
    }
    strbuf_free(&link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct query query;
    struct fuzz_input input = {data, size};
    struct field_errors errors = {0};
    char *raw = size <= URI_MAX ? fuzz_next(&input, '\0', NULL) : NULL;

    if (raw == NULL) {
        fuzz_free_texts();
        return 0;
    }
    check_uri(raw);
    query_begin(&query, raw, &errors);
    CHECK(query.count <= QUERY_PAIRS_MAX);
    bool whole = errors.count == 0;
    if (data[0] % 8 != 7) { /* else: a call that takes no parameters */
        int64_t user = query_number(&query, "user_id", 1, QUERY_ID_MAX, 0, &errors);
        CHECK(user >= 0 && user <= QUERY_ID_MAX);
        int64_t status = query_number(&query, "status", 0, 1, -1, &errors);
        CHECK(status >= -1 && status <= 1);
        int64_t limit = query_number(&query, "limit", 1, 200, 50, &errors);
        CHECK(limit >= 1 && limit <= 200);
        const char *since = query_text(&query, "since", &errors);
        CHECK(since == NULL || utf8_valid(since, strlen(since)));
        (void)query_number(&query, "after", 0, QUERY_ID_MAX, 0, &errors);
    }
    query_end(&query, &errors);
    check_errors(&errors);
    if (whole && query.count < QUERY_PAIRS_MAX) /* with more pairs than there are keys there is no link */
        check_link(&query);
    fuzz_free_texts();
    return 0;
}
