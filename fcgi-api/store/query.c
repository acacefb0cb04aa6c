/* SPDX-License-Identifier: MIT */
/* Statements whose text is made for the occasion: those of a batch, which are as long as it is. Values are
 * put in as literals, each of its own kind; rows come out through the same columns as those of prepared
 * statements. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fcgi-api/store/internal.h"

/* ---- writing ------------------------------------------------------------------------------------- */

static void add_escaped(struct store *store, struct strbuf *sql, const struct store_value *value)
{
    char *escaped = malloc(2 * value->length + 1);
    if (!escaped)
        abort();
    size_t length = mysql_real_escape_string(store->mysql, escaped, value->bytes, value->length);
    strbuf_add(sql, "'", 1);
    strbuf_add(sql, escaped, length);
    strbuf_add(sql, "'", 1);
    free(escaped);
}

static void add_hexadecimal(struct strbuf *sql, const struct store_value *value)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = value->bytes;
    strbuf_add_text(sql, "X'");
    for (size_t i = 0; i < value->length; i++)
        strbuf_add(sql, (char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
    strbuf_add_text(sql, "'");
}

static void add_time(struct strbuf *sql, int64_t wall_ms)
{
    if (wall_ms == CLOCK_NEVER) {
        strbuf_add_text(sql, "NULL");
        return;
    }
    MYSQL_TIME time = store_time_of(wall_ms);
    strbuf_printf(sql, "'%04u-%02u-%02u %02u:%02u:%02u.%03lu'", time.year, time.month, time.day, time.hour,
                  time.minute, time.second, time.second_part / 1000);
}

static void add_value(struct store *store, struct strbuf *sql, const struct store_value *value)
{
    switch (value->kind) {
    case OF_NUMBER:
        strbuf_printf(sql, "%" PRIu64, value->number);
        break;
    case OF_TEXT:
        add_escaped(store, sql, value);
        break;
    case OF_BYTES:
        add_hexadecimal(sql, value);
        break;
    case OF_TIME:
        add_time(sql, value->time_ms);
        break;
    }
}

void store_sql_add(struct store *store, struct strbuf *sql, const char *text,
                   const struct store_value *values, size_t count)
{
    size_t used = 0;
    for (;;) {
        size_t plain = strcspn(text, "?");
        strbuf_add(sql, text, plain);
        text += plain;
        if (*text == '\0')
            break;
        assert(used < count);
        add_value(store, sql, &values[used++]);
        text++;
    }
    assert(used == count);
}

/* ---- reading ------------------------------------------------------------------------------------- */

static int64_t time_in(const char *text)
{
    unsigned year, month, day, hour, minute, second, ms = 0;
    if (sscanf(text, "%4u-%2u-%2u %2u:%2u:%2u.%3u", &year, &month, &day, &hour, &minute, &second, &ms) < 6)
        return CLOCK_NEVER;
    MYSQL_TIME time = {.year = year,
                       .month = month,
                       .day = day,
                       .hour = hour,
                       .minute = minute,
                       .second = second,
                       .second_part = (unsigned long)ms * 1000};
    return store_wall_ms_of(&time);
}

/* ERR_TOO_LARGE: the text is longer than its place. */
static enum err take_value(const struct store_column *column, const char *text, size_t length)
{
    switch (column->kind) {
    case TO_U32:
        *(uint32_t *)column->to = text ? (uint32_t)strtoul(text, NULL, 10) : 0;
        return ERR_OK;
    case TO_U64:
        *(uint64_t *)column->to = text ? strtoull(text, NULL, 10) : 0;
        return ERR_OK;
    case TO_TIME:
        *(int64_t *)column->to = text ? time_in(text) : CLOCK_NEVER;
        return ERR_OK;
    case TO_TEXT:
        if (length >= column->size)
            return ERR_TOO_LARGE;
        memcpy(column->to, text ? text : "", length);
        ((char *)column->to)[length] = '\0';
        if (column->length)
            *column->length = length;
        return ERR_OK;
    case TO_BYTES:
        if (length > column->size)
            return ERR_TOO_LARGE;
        memcpy(column->to, text ? text : "", length);
        return ERR_OK;
    case TO_STRBUF:
        strbuf_clear(column->to);
        strbuf_add(column->to, text ? text : "", length);
        return ERR_OK;
    }
    return ERR_INTERNAL;
}

static enum err fail(struct store *store)
{
    return store_fail(store, mysql_errno(store->mysql), mysql_error(store->mysql));
}

static enum err visit_rows(struct store *store, MYSQL_RES *result, const struct store_result *wanted,
                           void *context)
{
    MYSQL_ROW row;
    assert(mysql_num_fields(result) == wanted->count);
    while ((row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (size_t i = 0; i < wanted->count; i++)
            if (take_value(&wanted->columns[i], row[i], lengths[i]) != ERR_OK)
                return store_fail(store, ER_DATA_TOO_LONG, "a column is longer than its place");
        wanted->row(context);
    }
    return ERR_OK;
}

static enum err take_result(struct store *store, const struct store_result *wanted, void *context)
{
    MYSQL_RES *result = NULL;
    int waits = mysql_store_result_start(&result, store->mysql);
    while (waits != 0)
        waits = mysql_store_result_cont(&result, store->mysql, store_wait(store, waits));
    if (!result)
        return fail(store);
    enum err err = visit_rows(store, result, wanted, context);
    mysql_free_result(result);
    return err;
}

/* Goes on to the next answer. ERR_NOT_FOUND: there is none. */
static enum err next_answer(struct store *store)
{
    int found = -1;
    if (!mysql_more_results(store->mysql))
        return ERR_NOT_FOUND;
    int waits = mysql_next_result_start(&found, store->mysql);
    while (waits != 0)
        waits = mysql_next_result_cont(&found, store->mysql, store_wait(store, waits));
    return found == 0 ? ERR_OK : fail(store);
}

enum err store_query(struct store *store, const struct strbuf *sql, const struct store_result *results,
                     size_t count, void *context)
{
    int failed = 0;
    size_t seen = 0;
    int waits = mysql_real_query_start(&failed, store->mysql, sql->text, sql->length);
    while (waits != 0)
        waits = mysql_real_query_cont(&failed, store->mysql, store_wait(store, waits));
    enum err err = failed ? fail(store) : ERR_OK;
    while (!err) {
        if (mysql_field_count(store->mysql) > 0) {
            assert(seen < count);
            err = take_result(store, &results[seen++], context);
        }
        if (!err)
            err = next_answer(store);
    }
    if (err != ERR_NOT_FOUND)
        return err;
    assert(seen == count);
    return ERR_OK;
}
