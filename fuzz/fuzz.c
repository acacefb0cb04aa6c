/* SPDX-License-Identifier: MIT */
/* Helpers of the fuzz targets, and a reader of JSON that shares no line with the one it checks. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_broken(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* ---- taking an input apart ------------------------------------------------------------------------ */

#define TEXTS_MAX 4096

static char *texts[TEXTS_MAX];
static size_t text_count;

char *fuzz_next(struct fuzz_input *input, char separator, size_t *length)
{
    if (input->left == 0 || text_count == TEXTS_MAX)
        return NULL;
    const uint8_t *end = memchr(input->at, separator, input->left);
    size_t size = end != NULL ? (size_t)(end - input->at) : input->left;
    char *text = malloc(size + 1);
    if (text == NULL)
        abort();
    memcpy(text, input->at, size);
    text[size] = '\0';
    input->at += size + (end != NULL);
    input->left -= size + (end != NULL);
    if (length != NULL)
        *length = size;
    return texts[text_count++] = text;
}

void fuzz_free_texts(void)
{
    while (text_count > 0)
        free(texts[--text_count]);
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

struct reader {
    const unsigned char *at, *end;
    struct fuzz_json *found;
};

static int peek(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : -1;
}

static bool take(struct reader *reader, int c)
{
    if (peek(reader) != c)
        return false;
    reader->at++;
    return true;
}

static void skip_space(struct reader *reader)
{
    while (take(reader, ' ') || take(reader, '\t') || take(reader, '\n') || take(reader, '\r'))
        ;
}

static bool read_word(struct reader *reader, const char *word)
{
    for (; *word != '\0'; word++)
        if (!take(reader, *word))
            return false;
    return true;
}

static int read_hex4(struct reader *reader)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = peek(reader), digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (c | 32) - 'a' + 10;
        else
            return -1;
        value = value * 16 + digit;
        reader->at++;
    }
    return value;
}

static bool read_escape(struct reader *reader)
{
    int c = peek(reader);
    if (c < 0)
        return false;
    reader->at++;
    if (c != 'u')
        return strchr("\"\\/bfnrt", c) != NULL && c != '\0';
    int unit = read_hex4(reader);
    if (unit == 0)
        reader->found->escaped_nul = true;
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return false;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    if (!take(reader, '\\') || !take(reader, 'u'))
        return false;
    int low = read_hex4(reader);
    return low >= 0xdc00 && low <= 0xdfff;
}

/* One code point of two to four bytes. */
static bool read_utf8(struct reader *reader)
{
    int first = *reader->at++, more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    long code = first & (0x3f >> more);
    if (first < 0xc2 || first > 0xf4)
        return false;
    for (int i = 0; i < more; i++) {
        int c = peek(reader);
        if (c < 0x80 || c > 0xbf)
            return false;
        code = code * 64 + (c & 0x3f);
        reader->at++;
    }
    return code >= (more == 3   ? 0x10000
                    : more == 2 ? 0x800
                                : 0x80) &&
           code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static bool read_string(struct reader *reader)
{
    if (!take(reader, '"'))
        return false;
    while (peek(reader) >= 0) {
        if (take(reader, '"'))
            return true;
        bool good = true;
        if (take(reader, '\\'))
            good = read_escape(reader);
        else if (peek(reader) >= 0x80)
            good = read_utf8(reader);
        else
            good = *reader->at++ >= 0x20;
        if (!good)
            return false;
    }
    return false;
}

static size_t read_digits(struct reader *reader)
{
    const unsigned char *start = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9')
        reader->at++;
    return (size_t)(reader->at - start);
}

static bool read_number(struct reader *reader)
{
    const unsigned char *start = reader->at;
    take(reader, '-');
    if (!take(reader, '0') && read_digits(reader) == 0)
        return false;
    if (take(reader, '.') && read_digits(reader) == 0)
        return false;
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '-'))
            take(reader, '+');
        if (read_digits(reader) == 0)
            return false;
    }
    size_t length = (size_t)(reader->at - start);
    if (length > reader->found->longest_number)
        reader->found->longest_number = length;
    return true;
}

static bool read_value(struct reader *reader, int depth);

static bool read_members(struct reader *reader, char close, int depth)
{
    reader->at++;
    skip_space(reader);
    if (take(reader, close))
        return true;
    do {
        skip_space(reader);
        if (close == '}') {
            if (!read_string(reader))
                return false;
            skip_space(reader);
            if (!take(reader, ':'))
                return false;
            skip_space(reader);
        }
        if (!read_value(reader, depth))
            return false;
        skip_space(reader);
    } while (take(reader, ','));
    return take(reader, close);
}

static bool read_value(struct reader *reader, int depth)
{
    int c = peek(reader);
    bool nested = c == '{' || c == '[';
    if (nested && depth + 1 > reader->found->depth)
        reader->found->depth = depth + 1;
    if (depth > 900) /* deeper than the service accepts; this reader's own stack is the limit */
        return false;
    if (nested)
        return read_members(reader, c == '{' ? '}' : ']', depth + 1);
    if (c == '"')
        return read_string(reader);
    if (c == 't')
        return read_word(reader, "true");
    if (c == 'f')
        return read_word(reader, "false");
    if (c == 'n')
        return read_word(reader, "null");
    return read_number(reader);
}

struct fuzz_json fuzz_read_json(const char *text, size_t length)
{
    struct fuzz_json found = {0};
    const unsigned char *start = (const unsigned char *)text;
    struct reader reader = {start, start + length, &found};

    skip_space(&reader);
    found.kind = (char)(peek(&reader) < 0 ? '\0' : peek(&reader));
    found.valid = read_value(&reader, 0);
    skip_space(&reader);
    found.valid = found.valid && reader.at == reader.end;
    return found;
}

bool fuzz_is_object(const char *text, size_t length)
{
    struct fuzz_json found = fuzz_read_json(text, length);
    return found.valid && found.kind == '{';
}
