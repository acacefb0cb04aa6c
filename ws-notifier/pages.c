/* SPDX-License-Identifier: MIT */
/* A table of paths; every page is made anew. */
#include "ws-notifier/pages.h"

#include <string.h>

#include "common/utf8.h"

#define JSON    "application/json"
#define PROBLEM "application/problem+json"

struct sources {
    const struct page_request *request;
    const struct feed *feed;
    const struct metrics *metrics;
};

static void make_alive(struct page *page, const struct sources *from)
{
    (void)from;
    *page = (struct page){.status = 200, .content_type = JSON};
    strbuf_add_text(&page->body, "{\"status\":\"ok\"}\n");
}

/* The notifier is ready when it has read all of the stream: before that it can promise nothing to clients
 * that come back. And not when the stream itself is far behind those of other nodes. */
static void make_ready(struct page *page, const struct sources *from)
{
    bool caught_up = feed_is_caught_up(from->feed), ready = caught_up && !feed_is_stale(from->feed);
    int64_t behind_ms = feed_behind_ms(from->feed);
    const char *epoch = feed_epoch(from->feed);

    *page = (struct page){.status = ready ? 200 : 503, .content_type = JSON};
    strbuf_printf(&page->body, "{\"status\":\"%s\",\"broker\":\"%s\",\"caught_up\":%s,\"epoch\":",
                  ready ? "ok" : "unavailable", feed_broker_up(from->feed) ? "up" : "down",
                  caught_up ? "true" : "false");
    if (epoch[0])
        strbuf_add_json_string(&page->body, epoch, strlen(epoch));
    else
        strbuf_add_text(&page->body, "null");
    if (behind_ms >= 0)
        strbuf_printf(&page->body, ",\"behind_s\":%lld", (long long)behind_ms / 1000);
    strbuf_add_text(&page->body, "}\n");
}

static void make_metrics(struct page *page, const struct sources *from)
{
    *page = (struct page){.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    metrics_render(from->metrics, &page->body);
}

static void add_member(struct strbuf *out, const char *name, const char *value)
{
    strbuf_printf(out, ",\"%s\":", name);
    strbuf_add_json_string(out, value, strlen(value));
}

void page_problem(struct page *page, enum page_problem problem, const struct page_request *request,
                  const char *detail, const char *errors)
{
    static const struct {
        int status;
        const char *slug, *title;
    } rows[] = {
#define X(name, status, slug, title) [name] = {status, slug, title},
        PAGE_PROBLEMS(X)
#undef X
    };
    struct strbuf *out = &page->body;

    *page = (struct page){.status = rows[problem].status, .content_type = PROBLEM};
    strbuf_printf(out, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d", rows[problem].slug,
                  rows[problem].title, rows[problem].status);
    add_member(out, "detail", detail);
    if (utf8_valid(request->path, strlen(request->path)))
        add_member(out, "instance", request->path);
    add_member(out, "request_id", request->id);
    if (errors)
        strbuf_printf(out, ",\"errors\":[%s]", errors);
    strbuf_add_text(out, "}\n");
}

static void make_upgrade(struct page *page, const struct sources *from)
{
    page_problem(page, PAGE_UPGRADE_REQUIRED, from->request,
                 "This address speaks WebSocket. Without one, GET /events has the same feed.", NULL);
    page->upgrade = true;
}

static const struct {
    const char *path;
    void (*make)(struct page *page, const struct sources *from);
} table[] = {
    {"/healthz", make_alive}, {"/readyz", make_ready}, {"/metrics", make_metrics},
    {"/", make_upgrade},      {"/ws", make_upgrade},
};

void page_make(struct page *page, const struct page_request *request, const struct feed *feed,
               const struct metrics *metrics)
{
    const struct sources from = {request, feed, metrics};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].path, request->path) != 0)
            continue;
        table[i].make(page, &from);
        return;
    }
    page_problem(page, PAGE_NOT_FOUND, request, "There is nothing at this address.", NULL);
}
