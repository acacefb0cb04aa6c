/* The few things the notifier says over plain HTTP: is it alive, is it ready, its metrics, and to everybody
 * else that this is a place for WebSockets. */
#ifndef CARILLON_PAGES_H
#define CARILLON_PAGES_H

#include <stdbool.h>

#include "common/metrics.h"
#include "common/strbuf.h"
#include "ws-notifier/feed.h"

struct page {
    int status;
    const char *content_type; /* static */
    bool bearer;              /* say which proof is wanted */
    bool upgrade;             /* say with which protocol to come back */
    int retry_after_s;        /* say when to come back; 0: nothing */
    struct strbuf body;       /* the caller frees it */
};

/* Makes the page for a path. */
void page_make(struct page *page, const char *path, const struct feed *feed, const struct metrics *metrics);

/* An error as the API makes them (RFC 9457); slug and title are plain words. */
void page_problem(struct page *page, int status, const char *slug, const char *title, const char *path);

#endif
