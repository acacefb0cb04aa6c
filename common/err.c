/* SPDX-License-Identifier: MIT */
/* Names of the error codes, for logs. */
#include "common/err.h"

const char *err_name(enum err err)
{
    static const char *const names[] = {
#define X(name, text) text,
        CARILLON_ERR_LIST(X)
#undef X
    };
    if ((unsigned)err >= sizeof names / sizeof names[0])
        return "unknown error";
    return names[err];
}
