/* SPDX-License-Identifier: MIT */
/* What is wrong with which field of a request: collected while it is read, answered as one 422. */
#ifndef CARILLON_HTTP_FIELD_ERRORS_H
#define CARILLON_HTTP_FIELD_ERRORS_H

#include <stddef.h>

#include "fcgi-api/http/excerpt.h"

#define FIELD_ERRORS_MAX  16 /* further ones are left out */
#define FIELD_MESSAGE_MAX 160

struct field_error {
    char field[EXCERPT_SIZE]; /* name in the body or the query, as the client wrote it */
    char message[FIELD_MESSAGE_MAX + 1];
};

struct field_errors {
    size_t count; /* in the list */
    size_t total; /* with those left out */
    struct field_error list[FIELD_ERRORS_MAX];
};

/* The message continues the field's name: "must be 0 or 1". ASCII only. */
void field_errors_add(struct field_errors *errors, const char *field, const char *message, ...)
    __attribute__((format(printf, 3, 4)));

#endif
