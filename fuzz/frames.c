/* SPDX-License-Identifier: MIT */
/* The bytes of a WebSocket's peer. An input is the size of the pieces in which they come, and the bytes. They
 * are read in those pieces and as a whole, with the same result. */
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "ws-notifier/guard.h"

struct outcome {
    struct guard guard;
    struct guard_verdict sum; /* of all pieces */
    unsigned char *left;
};

static struct outcome look(const uint8_t *data, size_t size, size_t piece)
{
    struct outcome outcome = {.left = malloc(size + 1)};
    CHECK(outcome.left != NULL);
    for (size_t at = 0; at < size; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        /* A buffer of its own, so that the sanitizer sees an access beyond it. */
        unsigned char *bytes = malloc(length);
        CHECK(bytes != NULL);
        memcpy(bytes, data + at, length);
        struct guard_verdict verdict = guard_look(&outcome.guard, bytes, length);
        CHECK(verdict.length <= length);
        memcpy(outcome.left + outcome.sum.length, bytes, verdict.length);
        outcome.sum.length += verdict.length;
        outcome.sum.pings += verdict.pings;
        outcome.sum.pongs += verdict.pongs;
        if (verdict.fault != CLOSE_NOT)
            outcome.sum.fault = verdict.fault;
        free(bytes);
    }
    return outcome;
}

/* Whole pongs, one after the other. */
static void check_answers(const struct guard *guard, unsigned pings)
{
    size_t length, at = 0, count = 0;
    const unsigned char *pongs = guard_answers(guard, &length);
    CHECK(length <= GUARD_PONGS_MAX && (length > 0) == (pings > 0));
    for (; at < length; at += 2u + pongs[at + 1], count++)
        CHECK(pongs[at] == 0x8a && pongs[at + 1] <= 125 && at + 2 + pongs[at + 1] <= length);
    CHECK(count <= pings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t piece = data[0] ? data[0] : 1, all = size - 1;
    struct outcome whole = look(data + 1, all, all), pieces = look(data + 1, all, piece);
    size_t length, other;

    CHECK(whole.guard.stage == pieces.guard.stage && whole.guard.left == pieces.guard.left);
    CHECK(whole.guard.first == pieces.guard.first);
    CHECK(whole.sum.pings == pieces.sum.pings && whole.sum.pongs == pieces.sum.pongs);
    CHECK(guard_closed_with(&whole.guard) == guard_closed_with(&pieces.guard));
    const unsigned char *answers = guard_answers(&whole.guard, &length);
    const unsigned char *others = guard_answers(&pieces.guard, &other);
    CHECK(length == other && (length == 0 || memcmp(answers, others, length) == 0));
    check_answers(&whole.guard, whole.sum.pings);
    if (whole.sum.fault == CLOSE_NOT && pieces.sum.fault == CLOSE_NOT)
        CHECK(whole.sum.length == pieces.sum.length &&
              memcmp(whole.left, pieces.left, whole.sum.length) == 0);
    guard_free(&whole.guard);
    guard_free(&pieces.guard);
    free(whole.left);
    free(pieces.left);
    return 0;
}
