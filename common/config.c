/* SPDX-License-Identifier: MIT */
/* Reading the settings. The table in config.h is turned into rows that know their place in the struct; each
 * kind has one parser. */
#include "common/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_INT, KIND_TEXT, KIND_SECRET, KIND_CHOICE };

struct row {
    enum kind kind;
    const char *name;
    const char *fallback;
    int64_t min, max;
    const char *meaning;
    size_t offset; /* in struct config */
};

#define X(kind, field, name, fallback, min, max, meaning)                                                    \
    {KIND_##kind, #name, fallback, min, max, meaning, offsetof(struct config, field)},
static const struct row common_rows[] = {CONFIG_COMMON(X)};
static const struct row api_rows[] = {CONFIG_API(X)};
static const struct row notifier_rows[] = {CONFIG_NOTIFIER(X)};
#undef X

struct table {
    const struct row *rows;
    size_t count;
};

/* Between braces. */
#define TABLE(rows) rows, sizeof(rows) / sizeof(rows)[0]
static const struct table program_tables[][2] = {
    [CONFIG_FOR_API] = {{TABLE(common_rows)}, {TABLE(api_rows)}},
    [CONFIG_FOR_NOTIFIER] = {{TABLE(common_rows)}, {TABLE(notifier_rows)}},
};

struct message {
    char *text;
    size_t size;
};

#define COMPLAIN(message, ...) (snprintf((message)->text, (message)->size, __VA_ARGS__), ERR_INVALID)

static enum err read_int(const struct row *row, const char *value, int64_t *field, struct message *message)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool digits_only = value[strspn(value, "-0123456789")] == '\0';
    if (*end != '\0' || end == value || !digits_only)
        return COMPLAIN(message, "%s is \"%.64s\", not a whole number", row->name, value);
    if (errno == ERANGE || number < row->min || number > row->max)
        return COMPLAIN(message, "%s is %.64s, outside %" PRId64 " to %" PRId64, row->name, value, row->min,
                        row->max);
    *field = number;
    return ERR_OK;
}

/* Stores the value. The complaint quotes no secret. */
static enum err read_text(const struct row *row, const char *value, const char **field,
                          struct message *message)
{
    int64_t length = (int64_t)strlen(value);
    if (length == 0 && row->min > 0)
        return COMPLAIN(message, "%s is empty", row->name);
    if (length < row->min || length > row->max)
        return COMPLAIN(message, "%s has %" PRId64 " bytes, outside %" PRId64 " to %" PRId64, row->name,
                        length, row->min, row->max);
    *field = strdup(value);
    if (*field == NULL)
        abort();
    return ERR_OK;
}

static enum err read_choice(const struct row *row, const char *value, int *field, struct message *message)
{
    const char *word = row->fallback;
    for (int position = 0;; position++) {
        size_t length = strcspn(word, "|");
        if (strlen(value) == length && strncmp(word, value, length) == 0) {
            *field = position;
            return ERR_OK;
        }
        if (word[length] == '\0')
            return COMPLAIN(message, "%s is \"%.64s\", not one of %s", row->name, value, row->fallback);
        word += length + 1;
    }
}

static enum err read_value(const struct row *row, const char *value, struct config *config,
                           struct message *message)
{
    void *field = (char *)config + row->offset;
    switch (row->kind) {
    case KIND_INT:
        return read_int(row, value, field, message);
    case KIND_CHOICE:
        return read_choice(row, value, field, message);
    case KIND_TEXT:
    case KIND_SECRET:
        return read_text(row, value, field, message);
    }
    return ERR_INTERNAL;
}

/* Reads the file that holds a secret into value[0..size), without its last newline. */
static enum err read_secret_file(const char *variable, const char *path, char *value, size_t size,
                                 struct message *message)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return COMPLAIN(message, "%s: cannot open %.200s: %s", variable, path, strerror(errno));
    size_t length = fread(value, 1, size - 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return COMPLAIN(message, "%s: cannot read %.200s", variable, path);
    value[length] = '\0';
    if (length > 0 && value[length - 1] == '\n')
        value[length - 1] = '\0';
    if (strlen(value) + 1 < length)
        return COMPLAIN(message, "%s: %.200s holds a NUL byte", variable, path);
    if (value[0] == '\0') /* one that is not wanted is not named */
        return COMPLAIN(message, "%s: %.200s is empty", variable, path);
    return ERR_OK;
}

static enum err read_row(const struct row *row, struct config *config, struct message *message)
{
    char file_variable[64], secret[1024];
    const char *value = getenv(row->name);

    if (row->kind == KIND_SECRET) {
        snprintf(file_variable, sizeof file_variable, "%s_FILE", row->name);
        const char *path = getenv(file_variable);
        if (path != NULL && value != NULL)
            return COMPLAIN(message, "%s and %s are both set; keep one", row->name, file_variable);
        if (path != NULL) {
            enum err err = read_secret_file(file_variable, path, secret, sizeof secret, message);
            if (err != ERR_OK)
                return err;
            value = secret;
        }
    }
    if (value == NULL && row->kind == KIND_CHOICE)
        return ERR_OK; /* the first word: position 0 */
    if (value == NULL)
        value = row->fallback;
    if (value == NULL)
        return COMPLAIN(message, "%s is not set (%s)%s", row->name, row->meaning,
                        row->kind == KIND_SECRET ? "; set it or its _FILE form" : "");
    return read_value(row, value, config, message);
}

enum err config_load(enum config_program program, struct config *config, char *text, size_t size)
{
    struct message message = {text, size};

    memset(config, 0, sizeof *config);
    for (size_t t = 0; t < 2; t++) {
        const struct table *table = &program_tables[program][t];
        for (size_t i = 0; i < table->count; i++) {
            enum err err = read_row(&table->rows[i], config, &message);
            if (err != ERR_OK) {
                config_free(config);
                return err;
            }
        }
    }
    return ERR_OK;
}

static void free_texts(const struct row *rows, size_t count, struct config *config)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].kind != KIND_TEXT && rows[i].kind != KIND_SECRET)
            continue;
        char **field = (char **)((char *)config + rows[i].offset);
        if (rows[i].kind == KIND_SECRET && *field != NULL)
            explicit_bzero(*field, strlen(*field));
        free(*field);
        *field = NULL;
    }
}

void config_free(struct config *config)
{
    free_texts(common_rows, sizeof common_rows / sizeof common_rows[0], config);
    free_texts(api_rows, sizeof api_rows / sizeof api_rows[0], config);
    free_texts(notifier_rows, sizeof notifier_rows / sizeof notifier_rows[0], config);
}

static void print_row(const struct row *row)
{
    printf("  %-26s %s", row->name, row->meaning);
    if (row->fallback == NULL)
        printf(" (required)");
    else if (row->fallback[0] != '\0')
        printf(" (%s)", row->fallback);
    if (row->kind == KIND_SECRET)
        printf("; or %s_FILE", row->name);
    putchar('\n');
}

void config_print_help(enum config_program program)
{
    for (size_t t = 0; t < 2; t++)
        for (size_t i = 0; i < program_tables[program][t].count; i++)
            print_row(&program_tables[program][t].rows[i]);
}
