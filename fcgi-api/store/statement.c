/* SPDX-License-Identifier: MIT */
/* Prepared statements: values in, columns out.
 *
 * A statement is prepared when first used on a connection and kept as long as that lives. All rows of a
 * result are taken over before the first is looked at, so nothing is left on the wire when a caller stops
 * early. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "fcgi-api/store/internal.h"

static const char *const statement_texts[STORE_STATEMENT_COUNT] = {
#define X(name, sql) [name] = (sql),
    STORE_STATEMENTS(X)
#undef X
};

static enum err fail(struct store *store, MYSQL_STMT *statement)
{
    return store_fail(store, mysql_stmt_errno(statement), mysql_stmt_error(statement));
}

static enum err prepare_text(struct store *store, const struct strbuf *text, MYSQL_STMT **out)
{
    int failed = 0;
    MYSQL_STMT *statement = mysql_stmt_init(store->mysql);
    if (!statement)
        abort();
    int wanted = mysql_stmt_prepare_start(&failed, statement, text->text, text->length);
    while (wanted != 0)
        wanted = mysql_stmt_prepare_cont(&failed, statement, store_wait(store, wanted));
    if (failed) {
        enum err err = fail(store, statement);
        mysql_stmt_close(statement);
        return err;
    }
    *out = statement;
    return ERR_OK;
}

static enum err prepare(struct store *store, enum store_statement which, MYSQL_STMT **out)
{
    enum err err = ERR_OK;
    if (!store->statements[which]) {
        struct strbuf text = {0};
        err = store_for_node(store, statement_texts[which], &text);
        if (!err)
            err = prepare_text(store, &text, &store->statements[which]);
        strbuf_free(&text);
    }
    *out = store->statements[which];
    return err;
}

void store_forget_statements(struct store *store)
{
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++) {
        if (store->statements[i])
            mysql_stmt_close(store->statements[i]);
        store->statements[i] = NULL;
    }
    store->row.open = false;
}

/* ---- values -------------------------------------------------------------------------------------- */

MYSQL_TIME store_time_of(int64_t wall_ms)
{
    int64_t ms = ((wall_ms % 1000) + 1000) % 1000; /* of the second that has begun, before 1970 too */
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    return (MYSQL_TIME){.year = (unsigned)parts.tm_year + 1900,
                        .month = (unsigned)parts.tm_mon + 1,
                        .day = (unsigned)parts.tm_mday,
                        .hour = (unsigned)parts.tm_hour,
                        .minute = (unsigned)parts.tm_min,
                        .second = (unsigned)parts.tm_sec,
                        .second_part = (unsigned long)ms * 1000,
                        .time_type = MYSQL_TIMESTAMP_DATETIME};
}

int64_t store_wall_ms_of(const MYSQL_TIME *time)
{
    struct tm parts = {.tm_year = (int)time->year - 1900,
                       .tm_mon = (int)time->month - 1,
                       .tm_mday = (int)time->day,
                       .tm_hour = (int)time->hour,
                       .tm_min = (int)time->minute,
                       .tm_sec = (int)time->second};
    return (int64_t)timegm(&parts) * 1000 + (int64_t)(time->second_part / 1000);
}

/* `numbers` and `times` hold what the binds point to. */
static void bind_value(const struct store_value *value, MYSQL_BIND *bind, uint64_t *number, MYSQL_TIME *time)
{
    *bind = (MYSQL_BIND){0};
    switch (value->kind) {
    case OF_NUMBER:
        *number = value->number;
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = number;
        bind->is_unsigned = 1;
        break;
    case OF_TEXT:
    case OF_BYTES:
        bind->buffer_type = value->kind == OF_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind->buffer = (void *)(uintptr_t)value->bytes;
        bind->buffer_length = value->length;
        break;
    case OF_TIME:
        bind->buffer_type = value->time_ms == CLOCK_NEVER ? MYSQL_TYPE_NULL : MYSQL_TYPE_DATETIME;
        if (value->time_ms != CLOCK_NEVER)
            *time = store_time_of(value->time_ms);
        bind->buffer = time;
        break;
    }
}

/* Sends the statement and reads the first of the answer. */
static enum err run(struct store *store, MYSQL_STMT *statement)
{
    int failed = 0;
    int wanted = mysql_stmt_execute_start(&failed, statement);
    while (wanted != 0)
        wanted = mysql_stmt_execute_cont(&failed, statement, store_wait(store, wanted));
    return failed ? fail(store, statement) : ERR_OK;
}

static enum err bind_and_run(struct store *store, MYSQL_STMT *statement, const struct store_value *values,
                             size_t count)
{
    MYSQL_BIND binds[STORE_VALUES_MAX];
    uint64_t numbers[STORE_VALUES_MAX];
    MYSQL_TIME times[STORE_VALUES_MAX];

    assert(count <= STORE_VALUES_MAX && count == mysql_stmt_param_count(statement));
    for (size_t i = 0; i < count; i++)
        bind_value(&values[i], &binds[i], &numbers[i], &times[i]);
    if (count > 0 && mysql_stmt_bind_param(statement, binds) != 0)
        return fail(store, statement);
    return run(store, statement);
}

enum err store_execute(struct store *store, enum store_statement which, const struct store_value *values,
                       size_t count, struct store_outcome *outcome)
{
    MYSQL_STMT *statement = NULL;
    enum err err = store_end_result(store);
    if (!err)
        err = prepare(store, which, &statement);
    if (!err)
        err = bind_and_run(store, statement, values, count);
    if (!err && outcome) {
        outcome->rows = mysql_stmt_affected_rows(statement);
        outcome->insert_id = mysql_stmt_insert_id(statement);
    }
    return err;
}

enum err store_execute_many(struct store *store, enum store_statement which, const uint64_t *numbers,
                            size_t rows, size_t count)
{
    MYSQL_STMT *statement = NULL;
    MYSQL_BIND binds[STORE_VALUES_MAX] = {{0}};
    unsigned array_size = (unsigned)rows;
    size_t row_size = count * sizeof *numbers;

    enum err err = prepare(store, which, &statement);
    if (err)
        return err;
    assert(count <= STORE_VALUES_MAX && count == mysql_stmt_param_count(statement));
    for (size_t i = 0; i < count; i++) {
        binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
        binds[i].buffer = (void *)(uintptr_t)&numbers[i];
        binds[i].is_unsigned = 1;
    }
    mysql_stmt_attr_set(statement, STMT_ATTR_ARRAY_SIZE, &array_size);
    mysql_stmt_attr_set(statement, STMT_ATTR_ROW_SIZE, &row_size);
    if (mysql_stmt_bind_param(statement, binds) != 0)
        return fail(store, statement);
    return run(store, statement);
}

/* ---- columns ------------------------------------------------------------------------------------- */

static void bind_column(struct store_row *row, size_t i, MYSQL_BIND *bind)
{
    const struct store_column *column = &row->columns[i];
    *bind = (MYSQL_BIND){.is_null = &row->nulls[i], .length = &row->lengths[i]};
    switch (column->kind) {
    case TO_U32:
    case TO_U64:
        bind->buffer_type = column->kind == TO_U32 ? MYSQL_TYPE_LONG : MYSQL_TYPE_LONGLONG;
        bind->buffer = column->to;
        bind->is_unsigned = 1;
        break;
    case TO_TEXT:
    case TO_BYTES:
        bind->buffer_type = column->kind == TO_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind->buffer = column->to;
        bind->buffer_length = column->kind == TO_TEXT ? column->size - 1 : column->size;
        break;
    case TO_TIME:
        bind->buffer_type = MYSQL_TYPE_DATETIME;
        bind->buffer = &row->times[i];
        break;
    case TO_STRBUF:
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = row->text;
        bind->buffer_length = STORE_TEXT_MAX;
        break;
    }
}

/* What the library wrote into its own forms becomes ours. */
static void convert_column(struct store_row *row, size_t i)
{
    const struct store_column *column = &row->columns[i];
    bool null = row->nulls[i];
    switch (column->kind) {
    case TO_U32:
        if (null)
            *(uint32_t *)column->to = 0;
        break;
    case TO_U64:
        if (null)
            *(uint64_t *)column->to = 0;
        break;
    case TO_TEXT:
        if (null)
            row->lengths[i] = 0;
        ((char *)column->to)[row->lengths[i]] = '\0';
        if (column->length)
            *column->length = row->lengths[i];
        break;
    case TO_BYTES:
        break;
    case TO_TIME:
        *(int64_t *)column->to = null ? CLOCK_NEVER : store_wall_ms_of(&row->times[i]);
        break;
    case TO_STRBUF:
        strbuf_clear(column->to);
        if (!null)
            strbuf_add(column->to, row->text, row->lengths[i]);
        break;
    }
}

static enum err take_result(struct store *store, MYSQL_STMT *statement)
{
    MYSQL_BIND binds[STORE_COLUMNS_MAX];
    struct store_row *row = &store->row;
    int failed = 0;

    assert(row->count == mysql_stmt_field_count(statement));
    for (size_t i = 0; i < row->count; i++)
        bind_column(row, i, &binds[i]);
    if (mysql_stmt_bind_result(statement, binds) != 0)
        return fail(store, statement);
    int wanted = mysql_stmt_store_result_start(&failed, statement);
    while (wanted != 0)
        wanted = mysql_stmt_store_result_cont(&failed, statement, store_wait(store, wanted));
    return failed ? fail(store, statement) : ERR_OK;
}

enum err store_select(struct store *store, enum store_statement which, const struct store_value *values,
                      size_t value_count, const struct store_column *columns, size_t column_count)
{
    struct store_row *row = &store->row;
    MYSQL_STMT *statement = NULL;

    assert(!row->open && column_count <= STORE_COLUMNS_MAX);
    row->statement = which;
    row->count = column_count;
    memcpy(row->columns, columns, column_count * sizeof *columns);

    enum err err = prepare(store, which, &statement);
    if (!err)
        err = bind_and_run(store, statement, values, value_count);
    if (!err)
        err = take_result(store, statement);
    row->open = !err;
    return err;
}

enum err store_end_result(struct store *store)
{
    struct store_row *row = &store->row;
    if (!row->open)
        return ERR_OK;
    row->open = false;

    MYSQL_STMT *statement = store->statements[row->statement];
    mysql_stmt_free_result(statement);
    while (mysql_stmt_more_results(statement)) {
        int failed = 0;
        int wanted = mysql_stmt_next_result_start(&failed, statement);
        while (wanted != 0)
            wanted = mysql_stmt_next_result_cont(&failed, statement, store_wait(store, wanted));
        if (failed)
            return fail(store, statement);
    }
    return ERR_OK;
}

enum err store_fetch(struct store *store)
{
    struct store_row *row = &store->row;
    MYSQL_STMT *statement = store->statements[row->statement];

    assert(row->open);
    int found = mysql_stmt_fetch(statement);
    if (found == 0) {
        for (size_t i = 0; i < row->count; i++)
            convert_column(row, i);
        return ERR_OK;
    }
    enum err err = ERR_NOT_FOUND;
    if (found == MYSQL_DATA_TRUNCATED)
        err = store_fail(store, ER_DATA_TOO_LONG, "a column is longer than its place");
    else if (found != MYSQL_NO_DATA)
        err = fail(store, statement);
    enum err end = store->mysql ? store_end_result(store) : ERR_OK;
    row->open = false;
    return end ? end : err;
}

enum err store_select_one(struct store *store, enum store_statement which, const struct store_value *values,
                          size_t value_count, const struct store_column *columns, size_t column_count)
{
    enum err err = store_select(store, which, values, value_count, columns, column_count);
    if (!err)
        err = store_fetch(store);
    enum err end = store_end_result(store);
    return end ? end : err;
}
