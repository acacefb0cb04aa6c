/* SPDX-License-Identifier: MIT */
/* Writing lists. */
#include "fcgi-api/http/page.h"

#include "fcgi-api/http/precondition.h"

struct page page_begin(struct response *response)
{
    strbuf_add(&response->body, "[", 1);
    return (struct page){.out = &response->body};
}

struct strbuf *page_next(struct page *page)
{
    if (page->count++ > 0)
        strbuf_add(page->out, ",", 1);
    return page->out;
}

bool page_end(struct page *page, struct response *response, const struct request *request,
              const char *position)
{
    strbuf_add(page->out, "]", 1);
    return precondition_passes_text(response, request, position);
}

void page_link_next(struct response *response, const struct request *request, const struct query *query,
                    const char *key, const char *value)
{
    struct strbuf link = {0};
    strbuf_add(&link, "<", 1);
    uri_add_path(&link, request->uri, request->raw_path_length);
    query_add_with(query, key, value, &link);
    strbuf_add_text(&link, ">; rel=\"next\"");
    response_header(response, "Link", link.text);
    strbuf_free(&link);
}
