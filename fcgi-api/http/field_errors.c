/* SPDX-License-Identifier: MIT */
/* Collecting field errors. */
#include "fcgi-api/http/field_errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void field_errors_add(struct field_errors *errors, const char *field, const char *message, ...)
{
    errors->total++;
    if (errors->count == FIELD_ERRORS_MAX)
        return;
    struct field_error *error = &errors->list[errors->count++];
    va_list arguments;
    va_start(arguments, message);
    vsnprintf(error->message, sizeof error->message, message, arguments);
    va_end(arguments);
    excerpt(error->field, field, strlen(field));
}
