/* SPDX-License-Identifier: MIT */
/* Percent-encoding and -decoding. */
#include "fcgi-api/http/uri.h"

#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that the escape at text means; -1: it is none, or NUL. */
static int unescape(const char *text, size_t length)
{
    if (length < 3)
        return -1;
    int high = hex_value(text[1]), low = hex_value(text[2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0))
        return -1;
    return high * 16 + low;
}

enum err uri_decode(enum uri_part part, const char *text, size_t length, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        int byte = (unsigned char)text[i];
        if (byte == '%') {
            byte = unescape(text + i, length - i);
            if (byte < 0)
                return ERR_INVALID;
            i += 2;
        } else if (byte == '+' && part == URI_QUERY) {
            byte = ' ';
        }
        out[written++] = (char)byte;
    }
    out[written] = '\0';
    return utf8_valid(out, written) ? ERR_OK : ERR_INVALID;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void add_escaped(struct strbuf *out, const char *text, size_t length, const char *plain)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_letter_or_digit(text[i]) || (c != '\0' && strchr(plain, c) != NULL))
            strbuf_add(out, text + i, 1);
        else
            strbuf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

void uri_add_component(struct strbuf *out, const char *text)
{
    add_escaped(out, text, strlen(text), "-._~:");
}

void uri_add_path(struct strbuf *out, const char *raw, size_t length)
{
    add_escaped(out, raw, length, "-._~:/%!$&'()*+,;=@");
}
