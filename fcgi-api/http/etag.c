/* SPDX-License-Identifier: MIT */
/* Reading and writing entity tags. */
#include "fcgi-api/http/etag.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct tag {
    bool weak;
    const char *text; /* between the quotes */
    size_t length;
};

void etag_format(uint32_t version, char text[ETAG_SIZE])
{
    snprintf(text, ETAG_SIZE, "\"%u\"", version);
}

/* Eight bytes at a time: a list has some ten thousand. Each is folded in by an odd factor and spread
 * downwards; both steps can be undone, so two texts that differ in one word only never meet. */
static uint64_t fold(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    return digest ^ (digest >> 29);
}

uint64_t etag_digest(uint64_t digest, const char *text, size_t length)
{
    uint64_t word;
    size_t i = 0;
    digest = fold(digest, length); /* where one piece ends counts, too */
    for (; length - i >= sizeof word; i += sizeof word) {
        memcpy(&word, text + i, sizeof word);
        digest = fold(digest, word);
    }
    word = 0;
    if (i < length)
        memcpy(&word, text + i, length - i);
    return fold(digest, word);
}

void etag_format_text(const char *content, size_t length, char text[ETAG_TEXT_SIZE])
{
    snprintf(text, ETAG_TEXT_SIZE, "\"%016" PRIx64 "\"", etag_digest(0, content, length));
}

void etag_format_weak(uint64_t digest, char text[ETAG_WEAK_SIZE])
{
    snprintf(text, ETAG_WEAK_SIZE, "W/\"%016" PRIx64 "\"", digest);
}

/* Reads one tag and the comma behind it. ERR_CLOSED: the list has ended. */
static enum err next_tag(const char **at, struct tag *tag)
{
    *at += strspn(*at, " \t,");
    if (**at == '\0')
        return ERR_CLOSED;
    tag->weak = strncmp(*at, "W/", 2) == 0;
    if (tag->weak)
        *at += 2;
    if (**at != '"')
        return ERR_INVALID;
    tag->text = *at + 1;
    const char *end = strchr(tag->text, '"');
    if (end == NULL)
        return ERR_INVALID;
    tag->length = (size_t)(end - tag->text);
    *at = end + 1;
    *at += strspn(*at, " \t");
    return **at == ',' || **at == '\0' ? ERR_OK : ERR_INVALID;
}

static bool is_any(const char *header)
{
    return strcmp(header, "*") == 0;
}

enum err etag_check(const char *header)
{
    struct tag tag;
    size_t tags = 0;
    enum err err;

    if (is_any(header))
        return ERR_OK;
    while ((err = next_tag(&header, &tag)) == ERR_OK)
        tags++;
    return err == ERR_CLOSED && tags > 0 ? ERR_OK : ERR_INVALID;
}

static bool equals(enum etag_comparison how, const struct tag *one, const struct tag *other)
{
    if (how == ETAG_STRONGLY && (one->weak || other->weak))
        return false;
    return one->length == other->length && memcmp(one->text, other->text, one->length) == 0;
}

bool etag_matches(enum etag_comparison how, const char *header, const char *etag)
{
    struct tag tag, ours;

    if (is_any(header))
        return true;
    if (next_tag(&etag, &ours) != ERR_OK)
        return false;
    while (next_tag(&header, &tag) == ERR_OK)
        if (equals(how, &tag, &ours))
            return true;
    return false;
}
