/* SPDX-License-Identifier: MIT */
/* A growing text. */
#include "common/strbuf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct strbuf *buf, size_t more)
{
    size_t needed = buf->length + more + 1;
    if (needed <= buf->capacity)
        return;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < needed)
        capacity *= 2;
    buf->text = realloc(buf->text, capacity);
    if (buf->text == NULL)
        abort();
    buf->capacity = capacity;
}

void strbuf_add(struct strbuf *buf, const void *bytes, size_t length)
{
    reserve(buf, length);
    if (length > 0)
        memcpy(buf->text + buf->length, bytes, length);
    buf->length += length;
    buf->text[buf->length] = '\0';
}

void strbuf_add_text(struct strbuf *buf, const char *text)
{
    strbuf_add(buf, text, strlen(text));
}

void strbuf_printf(struct strbuf *buf, const char *format, ...)
{
    va_list arguments;
    reserve(buf, 0);
    size_t room = buf->capacity - buf->length;
    va_start(arguments, format);
    int length = vsnprintf(buf->text + buf->length, room, format, arguments);
    va_end(arguments);
    assert(length >= 0);

    if ((size_t)length >= room) {
        reserve(buf, (size_t)length);
        va_start(arguments, format);
        vsnprintf(buf->text + buf->length, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    buf->length += (size_t)length;
}

static void add_escape(struct strbuf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
        strbuf_add(buf, "\\\"", 2);
        break;
    case '\\':
        strbuf_add(buf, "\\\\", 2);
        break;
    case '\n':
        strbuf_add(buf, "\\n", 2);
        break;
    case '\r':
        strbuf_add(buf, "\\r", 2);
        break;
    case '\t':
        strbuf_add(buf, "\\t", 2);
        break;
    default:
        strbuf_add(buf, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
}

void strbuf_add_json_part(struct strbuf *buf, const char *text, size_t length)
{
    size_t start = 0; /* of the run that needs no escape */

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        strbuf_add(buf, text + start, i - start);
        add_escape(buf, c);
        start = i + 1;
    }
    strbuf_add(buf, text + start, length - start);
}

void strbuf_add_json_string(struct strbuf *buf, const char *text, size_t length)
{
    strbuf_add(buf, "\"", 1);
    strbuf_add_json_part(buf, text, length);
    strbuf_add(buf, "\"", 1);
}

void strbuf_clear(struct strbuf *buf)
{
    buf->length = 0;
    if (buf->text != NULL)
        buf->text[0] = '\0';
}

void strbuf_free(struct strbuf *buf)
{
    free(buf->text);
    *buf = (struct strbuf){0};
}
