/* SPDX-License-Identifier: MIT */
/* What every fuzz target needs. A target is one file whose LLVMFuzzerTestOneInput() takes bytes that an
 * outsider could send, runs them through the real code, and CHECK()s what must hold for all of them. The head
 * of each file describes its input. See docs/security.md, and scripts/fuzz --help. */
#ifndef CARILLON_FUZZ_H
#define CARILLON_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the condition that failed, and aborts: libFuzzer keeps the input. */
#define CHECK(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_broken(const char *file, int line, const char *condition);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input's next piece: up to the separator or the end, as a text that lives until fuzz_free_texts().
 * NULL: there is none. *length may be NULL. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};
char *fuzz_next(struct fuzz_input *input, char separator, size_t *length);
void fuzz_free_texts(void);

/* RFC 8259, by another reader than cJSON. */
struct fuzz_json {
    bool valid;
    char kind; /* first character of the value: '{', '[', '"', ... */
    int depth;
    size_t longest_number; /* characters */
    bool escaped_nul;
};
struct fuzz_json fuzz_read_json(const char *text, size_t length);

/* The whole text is one JSON object. */
bool fuzz_is_object(const char *text, size_t length);

#endif
