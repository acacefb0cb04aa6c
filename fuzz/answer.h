/* SPDX-License-Identifier: MIT */
/* Reads an answer strictly, as it is sent to nginx. */
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

/* False: the answer is incomplete or malformed, or its body does not match its headers. */
bool answer_read(const char *text, size_t length, bool head, struct answer *answer);

#endif
