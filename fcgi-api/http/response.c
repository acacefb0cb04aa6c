/* SPDX-License-Identifier: MIT */
/* Building an answer and writing it out. */
#include "fcgi-api/http/response.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* RFC 3875 wants the reason beside the number, and nginx passes it on as it is. */
static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    assert(!"a status without its reason");
    return "";
}

static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void add_header(struct strbuf *out, const char *name, const char *value)
{
    strbuf_add_text(out, name);
    strbuf_add(out, ": ", 2);
    strbuf_add_text(out, value);
    strbuf_add(out, "\r\n", 2);
}

void response_begin(struct response *response)
{
    response->status = 200;
    response->content_type = "application/json";
    response->cache_control = "no-store";
    response->problem = NULL;
    strbuf_clear(&response->headers);
    strbuf_clear(&response->body);
}

void response_header(struct response *response, const char *name, const char *value)
{
    assert(is_clean(name) && is_clean(value));
    add_header(&response->headers, name, value);
}

void response_render(const struct response *response, bool head, struct strbuf *out)
{
    char number[24];
    bool bodiless = response->status == 204 || response->status == 304;

    snprintf(number, sizeof number, "%d ", response->status);
    strbuf_add_text(out, "Status: ");
    strbuf_add_text(out, number);
    strbuf_add_text(out, reason(response->status));
    strbuf_add(out, "\r\n", 2);
    if (!bodiless) {
        snprintf(number, sizeof number, "%zu", response->body.length);
        add_header(out, "Content-Type", response->content_type);
        add_header(out, "Content-Length", number);
    }
    if (response->cache_control != NULL)
        add_header(out, "Cache-Control", response->cache_control);
    strbuf_add(out, response->headers.text, response->headers.length);
    strbuf_add(out, "\r\n", 2);
    if (!bodiless && !head)
        strbuf_add(out, response->body.text, response->body.length);
}

void response_free(struct response *response)
{
    strbuf_free(&response->headers);
    strbuf_free(&response->body);
}
