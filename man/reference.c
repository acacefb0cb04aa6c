/* SPDX-License-Identifier: MIT */
/* Fills the tables of settings and metrics into a Markdown page: what stands between a line <!-- table NAME
 * --> and
 * <!-- end --> of standard input is written anew, all other lines go through as they are. So a page is its
 * own template: `make reference` puts the tables into docs/settings.md and docs/metrics.md, and `make
 * reference-check` fails when that would change one. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi-api/api_metrics.h"
#include "man/tables.h"
#include "ws-notifier/notifier_metrics.h"

#define X(index, kind, name, labels, help) {kind, name, labels, help},
static const struct metric_def api_metrics[] = {API_METRICS(X)};
static const struct metric_def notifier_metrics[] = {NOTIFIER_METRICS(X)};
#undef X

/* A '|' would end the cell. */
static void put_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            putchar('\\');
        putchar(*text);
    }
}

/* ---- settings */

static void put_default(const struct row *row)
{
    if (row->kind == KIND_CHOICE)
        printf("`%.*s`", (int)strcspn(row->fallback, "|"), row->fallback);
    else if (row->fallback == NULL)
        fputs("required", stdout);
    else if (row->fallback[0] == '\0')
        fputs("empty", stdout);
    else
        printf("`%s`", row->fallback);
}

static void put_words(const char *words)
{
    for (;;) {
        size_t length = strcspn(words, "|");
        printf("`%.*s`", (int)length, words);
        if (words[length] == '\0')
            return;
        fputs(", ", stdout);
        words += length + 1;
    }
}

static void put_range(const struct row *row)
{
    switch (row->kind) {
    case KIND_INT:
        printf("%" PRId64 " to %" PRId64, row->min, row->max);
        break;
    case KIND_CHOICE:
        put_words(row->fallback);
        break;
    case KIND_SECRET:
        printf("at most %" PRId64 " bytes, or a file: `%s_FILE`", row->max, row->name);
        break;
    case KIND_TEXT:
        printf("at most %" PRId64 " bytes", row->max);
        break;
    }
}

static void put_settings(const struct row *rows, size_t count)
{
    puts("| setting | default | values | meaning |\n|---|---|---|---|");
    for (size_t i = 0; i < count; i++) {
        printf("| `%s` | ", rows[i].name);
        put_default(&rows[i]);
        fputs(" | ", stdout);
        put_range(&rows[i]);
        fputs(" | ", stdout);
        put_text(rows[i].meaning);
        puts(" |");
    }
}

/* ---- metrics */

static const char *kind_name(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_GAUGE:
    case METRIC_SECONDS:
    case METRIC_INFO:
        break;
    }
    return "gauge";
}

/* The values that the rows of a family have; of the build's, which every version changes, the names alone. */
static void put_labels(const struct metric_def *defs, size_t count)
{
    if (defs->kind == METRIC_INFO) {
        fputs("`program`, `version`", stdout);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (defs[i].labels[0] != '\0')
            printf("%s`%s`", i > 0 ? ", " : "", defs[i].labels);
}

static void put_metrics(const struct metric_def *defs, size_t count)
{
    puts("| metric | kind | labels | meaning |\n|---|---|---|---|");
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && strcmp(defs[next].name, defs[i].name) == 0; next++)
            ;
        printf("| `%s` | %s | ", defs[i].name, kind_name(defs[i].kind));
        put_labels(&defs[i], next - i);
        fputs(" | ", stdout);
        put_text(defs[i].help);
        puts(" |");
    }
}

/* ---- the page */

/* False: there is no such table. */
static bool put_table(const char *name)
{
    static const struct {
        const char *name;
        const struct row *rows;
        const struct metric_def *metrics;
        size_t count;
    } tables[] = {
        {"common", common_rows, NULL, COUNT_OF(common_rows)},
        {"fcgi-api", api_rows, NULL, COUNT_OF(api_rows)},
        {"ws-notifier", notifier_rows, NULL, COUNT_OF(notifier_rows)},
        {"fcgi-api metrics", NULL, api_metrics, COUNT_OF(api_metrics)},
        {"ws-notifier metrics", NULL, notifier_metrics, COUNT_OF(notifier_metrics)},
    };

    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        if (strcmp(name, tables[i].name) != 0)
            continue;
        puts(""); /* Markdown wants a table apart from what is around it */
        if (tables[i].rows != NULL)
            put_settings(tables[i].rows, tables[i].count);
        else
            put_metrics(tables[i].metrics, tables[i].count);
        puts("");
        return true;
    }
    return false;
}

/* The name between "<!-- table " and " -->"; NULL when the line is another one. Cuts the line. */
static const char *table_named(char *line)
{
    static const char before[] = "<!-- table ", after[] = " -->\n";
    size_t length = strlen(line);

    if (strncmp(line, before, sizeof before - 1) != 0 || length < sizeof before + sizeof after)
        return NULL;
    if (strcmp(line + length - (sizeof after - 1), after) != 0)
        return NULL;
    line[length - (sizeof after - 1)] = '\0';
    return line + sizeof before - 1;
}

int main(void)
{
    char line[4096];
    const char *name;
    bool inside = false;
    size_t found = 0;

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "<!-- end -->\n") == 0)
            inside = false;
        if (inside)
            continue;
        fputs(line, stdout);
        if ((name = table_named(line)) == NULL)
            continue;
        if (!put_table(name)) {
            fprintf(stderr, "reference: there is no table '%s'\n", name);
            return EXIT_FAILURE;
        }
        inside = true;
        found++;
    }
    if (found > 0 && !inside && fflush(stdout) == 0)
        return EXIT_SUCCESS;
    fputs("reference: a page needs a line <!-- table NAME --> and, behind it, <!-- end -->\n", stderr);
    return EXIT_FAILURE;
}
