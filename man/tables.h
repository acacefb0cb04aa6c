/* SPDX-License-Identifier: MIT */
/* The settings of both programs as rows of data, for what writes them into pages (settings.c, reference.c).
 */
#ifndef CARILLON_MAN_TABLES_H
#define CARILLON_MAN_TABLES_H

#include <inttypes.h>
#include <stddef.h>

#include "common/config.h"

enum kind { KIND_INT, KIND_TEXT, KIND_SECRET, KIND_CHOICE };

struct row {
    enum kind kind;
    const char *name, *fallback; /* of a choice: its words, with '|' between them */
    int64_t min, max;
    const char *meaning;
};

#define X(kind, field, name, fallback, min, max, meaning) {KIND_##kind, #name, fallback, min, max, meaning},
static const struct row common_rows[] = {CONFIG_COMMON(X)};
static const struct row api_rows[] = {CONFIG_API(X)};
static const struct row notifier_rows[] = {CONFIG_NOTIFIER(X)};
#undef X

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
