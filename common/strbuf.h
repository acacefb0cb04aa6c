/* SPDX-License-Identifier: MIT */
/* A growing text, always NUL-terminated. Allocation failure is fatal: callers bound their sizes. */
#ifndef CARILLON_STRBUF_H
#define CARILLON_STRBUF_H

#include <stddef.h>

struct strbuf {
    char *text; /* NULL until the first byte */
    size_t length;
    size_t capacity;
};

void strbuf_add(struct strbuf *buf, const void *bytes, size_t length);
void strbuf_add_text(struct strbuf *buf, const char *text);
void strbuf_printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds the text as a JSON string, quotes included; the text must be valid UTF-8. */
void strbuf_add_json_string(struct strbuf *buf, const char *text, size_t length);
/* A part of one, without the quotes. */
void strbuf_add_json_part(struct strbuf *buf, const char *text, size_t length);

void strbuf_clear(struct strbuf *buf); /* keeps the memory for the next use */
void strbuf_free(struct strbuf *buf);

#endif
