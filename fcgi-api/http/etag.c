/* Reading and writing entity tags. */
#include "fcgi-api/http/etag.h"

#include <stdio.h>
#include <string.h>

#include "fcgi-api/http/query.h"

struct tag {
    bool weak;
    uint32_t version; /* 0: none of ours, versions count from 1 */
};

void etag_format(uint32_t version, char text[ETAG_SIZE])
{
    snprintf(text, ETAG_SIZE, "\"%u\"", version);
}

static uint32_t parse_version(const char *text, size_t length)
{
    int64_t number = 0;
    return query_parse_number(text, length, 1, UINT32_MAX, &number) ? (uint32_t)number : 0;
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

    const char *start = *at + 1, *end = strchr(start, '"');
    if (end == NULL)
        return ERR_INVALID;
    tag->version = parse_version(start, (size_t)(end - start));
    *at = end + 1;
    *at += strspn(*at, " \t");
    return **at == ',' || **at == '\0' ? ERR_OK : ERR_INVALID;
}

enum err etag_read_if_match(const char *header, struct etag_match *match)
{
    struct tag tag;
    size_t tags = 0;
    enum err err;

    *match = (struct etag_match){.any = header == NULL || strcmp(header, "*") == 0};
    if (match->any)
        return ERR_OK;
    while ((err = next_tag(&header, &tag)) == ERR_OK) {
        tags++;
        if (tag.weak || tag.version == 0)
            continue;
        if (match->count == sizeof match->versions / sizeof match->versions[0])
            return ERR_INVALID;
        match->versions[match->count++] = tag.version;
    }
    return err == ERR_CLOSED && tags > 0 ? ERR_OK : ERR_INVALID;
}

bool etag_is_known(const char *if_none_match, uint32_t version)
{
    struct tag tag;
    if (if_none_match == NULL)
        return false;
    if (strcmp(if_none_match, "*") == 0)
        return true;
    while (next_tag(&if_none_match, &tag) == ERR_OK)
        if (tag.version == version)
            return true;
    return false;
}
