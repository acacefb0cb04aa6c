/* A table of paths; every page is made anew. */
#include "ws-notifier/pages.h"

#include <string.h>

#include "common/utf8.h"

#define JSON    "application/json"
#define PROBLEM "application/problem+json"

static void make_alive(struct page *page, const struct feed *feed, const struct metrics *metrics)
{
    (void)feed;
    (void)metrics;
    *page = (struct page){.status = 200, .content_type = JSON};
    strbuf_add_text(&page->body, "{\"status\":\"ok\"}\n");
}

/* Ready is who has read all of the stream: before that he can promise nothing to those who come back. */
static void make_ready(struct page *page, const struct feed *feed, const struct metrics *metrics)
{
    bool ready = feed_is_caught_up(feed);
    const char *epoch = feed_epoch(feed);
    (void)metrics;

    *page = (struct page){.status = ready ? 200 : 503, .content_type = JSON};
    strbuf_printf(&page->body, "{\"status\":\"%s\",\"broker\":\"%s\",\"caught_up\":%s,\"epoch\":",
                  ready ? "ok" : "unavailable", feed_broker_up(feed) ? "up" : "down",
                  ready ? "true" : "false");
    if (epoch[0])
        strbuf_add_json_string(&page->body, epoch, strlen(epoch));
    else
        strbuf_add_text(&page->body, "null");
    strbuf_add_text(&page->body, "}\n");
}

static void make_metrics(struct page *page, const struct feed *feed, const struct metrics *metrics)
{
    (void)feed;
    *page = (struct page){.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    metrics_render(metrics, &page->body);
}

void page_problem(struct page *page, int status, const char *slug, const char *title, const char *path)
{
    *page = (struct page){.status = status, .content_type = PROBLEM};
    strbuf_printf(&page->body, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d", slug, title,
                  status);
    if (utf8_valid(path, strlen(path))) {
        strbuf_add_text(&page->body, ",\"instance\":");
        strbuf_add_json_string(&page->body, path, strlen(path));
    }
    strbuf_add_text(&page->body, "}\n");
}

static void make_upgrade(struct page *page, const struct feed *feed, const struct metrics *metrics)
{
    (void)feed;
    (void)metrics;
    page_problem(page, 426, "upgrade-required", "This address speaks WebSocket", "/ws");
    page->upgrade = true;
}

static const struct {
    const char *path;
    void (*make)(struct page *page, const struct feed *feed, const struct metrics *metrics);
} table[] = {
    {"/healthz", make_alive}, {"/readyz", make_ready}, {"/metrics", make_metrics},
    {"/", make_upgrade},      {"/ws", make_upgrade},
};

void page_make(struct page *page, const char *path, const struct feed *feed, const struct metrics *metrics)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].path, path) != 0)
            continue;
        table[i].make(page, feed, metrics);
        return;
    }
    page_problem(page, 404, "not-found", "There is nothing at this address", path);
}
