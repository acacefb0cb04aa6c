/* SPDX-License-Identifier: MIT */
/* An answer as it goes to nginx, read strictly. */
#ifndef CARILLON_FUZZ_ANSWER_H
#define CARILLON_FUZZ_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#define ANSWER_LINK_MAX 16384

struct answer {
    int status;
    bool retry_after, authenticate, allow;
    int request_ids; /* X-Request-Id headers */
    char link[ANSWER_LINK_MAX + 1];
};

/* False: it is no whole, well-formed answer, or its body is not what its headers say. */
bool answer_read(const char *text, size_t length, bool head, struct answer *answer);

#endif
