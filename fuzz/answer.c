/* SPDX-License-Identifier: MIT */
/* Reading answers. */
#include "fuzz/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

struct headers {
    int types, lengths;
    size_t length;
    bool json, problem;
};

static const char *value_of(const char *line, size_t length, const char *name)
{
    size_t size = strlen(name);
    bool found = length > size + 2 && memcmp(line, name, size) == 0 && memcmp(line + size, ": ", 2) == 0;
    return found ? line + size + 2 : NULL;
}

static bool is_clean(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            return false;
    return memchr(line, ':', length) != NULL;
}

/* <...>; rel="next" */
static bool read_link(const char *value, size_t length, struct answer *answer)
{
    static const char tail[] = ">; rel=\"next\"";
    size_t rest = sizeof tail - 1;
    if (length < rest + 1 || value[0] != '<' || memcmp(value + length - rest, tail, rest) != 0)
        return false;
    if (memchr(value + 1, '>', length - rest - 1) != NULL)
        return false;
    snprintf(answer->link, sizeof answer->link, "%.*s", (int)(length - rest - 1), value + 1);
    return true;
}

static bool read_header(const char *line, size_t length, struct headers *headers, struct answer *answer)
{
    const char *value;
    if (!is_clean(line, length))
        return false;
    if ((value = value_of(line, length, "Content-Type")) != NULL) {
        headers->types++;
        headers->json = strncmp(value, "application/json\r", 17) == 0;
        headers->problem = strncmp(value, "application/problem+json\r", 25) == 0;
    } else if ((value = value_of(line, length, "Content-Length")) != NULL) {
        headers->lengths++;
        headers->length = strtoul(value, NULL, 10);
    } else if ((value = value_of(line, length, "Link")) != NULL) {
        return read_link(value, length - (size_t)(value - line), answer);
    }
    answer->request_ids += value_of(line, length, "X-Request-Id") != NULL;
    answer->retry_after |= value_of(line, length, "Retry-After") != NULL;
    answer->authenticate |= value_of(line, length, "WWW-Authenticate") != NULL;
    answer->allow |= value_of(line, length, "Allow") != NULL;
    return true;
}

static bool is_right_body(const char *body, size_t length, const struct headers *headers, int status)
{
    char expected[32];
    struct fuzz_json found = fuzz_read_json(body, length);
    if (headers->json)
        return found.valid && (found.kind == '{' || found.kind == '[') && status < 400;
    if (!headers->problem)
        return status < 400;
    snprintf(expected, sizeof expected, "\"status\":%d,", status);
    return found.valid && found.kind == '{' && status >= 400 &&
           memmem(body, length, expected, strlen(expected));
}

bool answer_read(const char *text, size_t length, bool head, struct answer *answer)
{
    struct headers headers = {0};
    const char *end = text + length, *at = text;
    char after;

    memset(answer, 0, sizeof *answer);
    if (sscanf(text, "Status: %3d%c", &answer->status, &after) != 2 || after != ' ')
        return false;
    if (answer->status < 200 || answer->status > 599)
        return false;
    for (;;) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (line_end == NULL)
            return false;
        size_t size = (size_t)(line_end - at);
        if (size > 0 && !read_header(at, size, &headers, answer))
            return false;
        at = line_end + 2;
        if (size == 0)
            break;
    }
    size_t body_length = (size_t)(end - at);
    bool bodiless = answer->status == 204 || answer->status == 304;
    if (bodiless)
        return headers.types == 0 && headers.lengths == 0 && body_length == 0;
    if (headers.types != 1 || headers.lengths != 1)
        return false;
    if (head)
        return body_length == 0;
    return headers.length == body_length && is_right_body(at, body_length, &headers, answer->status);
}
