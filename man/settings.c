/* SPDX-License-Identifier: MIT */
/* Fills the settings into a manual page: a line @COMMON@, @API@ or @NOTIFIER@ of standard input becomes a
 * list of that table of common/config.h, in mdoc(7); all other lines go through as they are. Run by the
 * Makefile for carillon.env(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "man/tables.h"

/* roff takes a backslash for an escape, and a dot or a quote at the beginning of a line for a command. */
static void put_text(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text != '\0'; text++)
        if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
}

static void put_default(const struct row *row)
{
    if (row->kind == KIND_CHOICE)
        printf(".Pq default Ql %.*s\n", (int)strcspn(row->fallback, "|"), row->fallback);
    else if (row->fallback == NULL)
        puts(".Pq required");
    else if (row->fallback[0] == '\0')
        puts(".Pq default: empty");
    else
        printf(".Pq default Ql %s\n", row->fallback);
}

static void put_row(const struct row *row)
{
    printf(".It Ev %s\n", row->name);
    put_text(row->meaning);
    putchar('\n');
    put_default(row);
    switch (row->kind) {
    case KIND_INT:
        printf(".br\nA whole number from %" PRId64 " to %" PRId64 ".\n", row->min, row->max);
        break;
    case KIND_CHOICE:
        printf(".br\nOne of ");
        for (const char *word = row->fallback; *word != '\0'; word++)
            fputs(*word == '|' ? ", " : (char[]){*word, '\0'}, stdout);
        puts(".");
        break;
    case KIND_SECRET:
        printf(".br\n%" PRId64 " bytes at most; or\n.Ev %s_FILE ,\na file with it.\n", row->max, row->name);
        break;
    case KIND_TEXT:
        printf(".br\n%" PRId64 " bytes at most.\n", row->max);
        break;
    }
}

static void put_list(const struct row *rows, size_t count)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < count; i++)
        put_row(&rows[i]);
    puts(".El");
}

int main(void)
{
    static const struct {
        const char *line;
        const struct row *rows;
        size_t count;
    } lists[] = {
        {"@COMMON@\n", common_rows, COUNT_OF(common_rows)},
        {"@API@\n", api_rows, COUNT_OF(api_rows)},
        {"@NOTIFIER@\n", notifier_rows, COUNT_OF(notifier_rows)},
    };
    char line[4096];
    size_t found = 0;

    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t i = 0;
        while (i < 3 && strcmp(line, lists[i].line) != 0)
            i++;
        if (i == 3) {
            fputs(line, stdout);
            continue;
        }
        put_list(lists[i].rows, lists[i].count);
        found++;
    }
    if (found == 3 && fflush(stdout) == 0)
        return EXIT_SUCCESS;
    fputs("settings: the template must have a line @COMMON@, @API@ and @NOTIFIER@ each\n", stderr);
    return EXIT_FAILURE;
}
