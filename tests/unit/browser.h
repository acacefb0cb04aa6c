/* SPDX-License-Identifier: MIT */
/* A browser for unit tests of the notifier: a client without a socket, whose frames can be inspected. */
#ifndef CARILLON_TESTS_BROWSER_H
#define CARILLON_TESTS_BROWSER_H

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ws-notifier/client.h"
#include "ws-notifier/frame.h"
#include "ws-notifier/notifier_metrics.h"

struct browser {
    struct client_rules rules;
    struct client *client;
    int wakes;
    char text[4096]; /* the last frame taken */
};

static inline void browser_wake(void *socket)
{
    ((struct browser *)socket)->wakes++;
}

static inline void browser_open(struct browser *browser, struct metrics *metrics, size_t frames, size_t bytes)
{
    memset(browser, 0, sizeof *browser);
    browser->rules = (struct client_rules){
        .max_frames = frames, .max_bytes = bytes, .wake = browser_wake, .metrics = metrics};
    browser->client = client_new(&browser->rules, browser);
}

/* The next frame's text, "" when none is waiting. */
static inline const char *browser_hears(struct browser *browser)
{
    struct frame *frame = client_next(browser->client);
    browser->text[0] = '\0';
    if (frame)
        snprintf(browser->text, sizeof browser->text, "%s", frame_text(frame));
    frame_unref(&frame);
    return browser->text;
}

static inline struct metrics *open_metrics(void)
{
    struct metrics *metrics = NULL;
    assert_int_equal(metrics_open("", notifier_metric_defs, NOTIFIER_METRIC_COUNT, &metrics), ERR_OK);
    return metrics;
}

static inline struct frame *frame_of(const char *text)
{
    return frame_new(text, strlen(text));
}

#endif
