/* SPDX-License-Identifier: MIT */
/* Content-Type and Content-Encoding. */
#include "fcgi-api/http/media_type.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool starts_with(const char *text, size_t length, const char *start)
{
    return length >= strlen(start) && strncasecmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    return length >= strlen(end) && strncasecmp(text + length - strlen(end), end, strlen(end)) == 0;
}

bool media_type_may_be_json(const char *content_type)
{
    static const char *const families[] = {"multipart/", "image/",    "audio/",   "video/",
                                           "font/",      "text/html", "text/csv", "text/css"};
    /* Made of JSON, but of another meaning than an object with fields. */
    static const char *const dialects[] = {"application/json-patch+json", "application/json-seq",
                                           "application/jsonlines", "application/jsonl",
                                           "application/x-jsonlines"};
    static const char *const formats[] = {"/xml",      "+xml",    "yaml",    "/cbor", "+cbor", "msgpack",
                                          "/protobuf", "-ndjson", "/ndjson", "/pdf",  "/zip",  "/gzip"};

    if (content_type == NULL)
        return true;
    size_t length = strcspn(content_type, "; \t");
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (starts_with(content_type, length, families[i]))
            return false;
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
        if (length == strlen(dialects[i]) && strncasecmp(content_type, dialects[i], length) == 0)
            return false;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (ends_with(content_type, length, formats[i]))
            return false;
    return true;
}

bool media_type_is_plain(const char *content_encoding)
{
    return content_encoding == NULL || content_encoding[0] == '\0' ||
           strcasecmp(content_encoding, "identity") == 0;
}
