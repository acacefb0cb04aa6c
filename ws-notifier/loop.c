/* SPDX-License-Identifier: MIT */
/* One thread, one loop: browsers, broker, timers and signals take turns, so nothing needs a lock.
 *
 * Shutdown (drain): the listening sockets are closed and all clients told to leave; when they have, or the
 * time is up, the link to the broker is closed too; the loop then runs until every handle is closed, and the
 * rest is freed. A second signal skips the drain, and a deadline ends it in any case. */
#include "ws-notifier/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "common/log.h"
#include "common/sandbox.h"
#include "common/tls_files.h"
#include "ws-notifier/consumer.h"
#include "ws-notifier/feed.h"
#include "ws-notifier/hub.h"
#include "ws-notifier/memory.h"
#include "ws-notifier/notifier_metrics.h"
#include "ws-notifier/reception.h"
#include "ws-notifier/server.h"

#define FEED_TICK_MS 1000
#define DEADLINE_MS  4700 /* from the signal to the end */

struct loop {
    uv_loop_t uv;
    const struct config *config;
    struct metrics *metrics;
    struct hub *hub;
    struct feed *feed;
    struct reception *reception;
    struct consumer *consumer;
    struct server *server;
    struct token_keys *keys; /* NULL: open */
    uv_timer_t beat, feed_tick, deadline;
    uv_prepare_t before_sleep;
    uv_signal_t sigterm, sigint;
    bool leaving, stopped;
};

/* ---- leaving ------------------------------------------------------------------------------------- */

static void stop(void *context)
{
    struct loop *loop = context;
    if (loop->stopped)
        return;
    loop->stopped = true;
    if (loop->server)
        server_stop(loop->server);
    if (loop->consumer)
        consumer_stop(loop->consumer);
    uv_close((uv_handle_t *)&loop->beat, NULL);
    uv_close((uv_handle_t *)&loop->feed_tick, NULL);
    uv_close((uv_handle_t *)&loop->before_sleep, NULL);
    uv_close((uv_handle_t *)&loop->sigterm, NULL);
    uv_close((uv_handle_t *)&loop->sigint, NULL);
}

static void on_deadline(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;
    if (loop->leaving) {
        stop(loop);
        return;
    }
    loop->leaving = true;
    log_info("stopping on %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    uv_timer_start(&loop->deadline, on_deadline, DEADLINE_MS, 0);
    uv_unref((uv_handle_t *)&loop->deadline);
    server_drain(loop->server, stop, loop);
}

/* ---- running ------------------------------------------------------------------------------------- */

static void on_beat(uv_timer_t *timer)
{
    reception_beat(((struct loop *)timer->data)->reception);
}

static void on_feed_tick(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    feed_tick(loop->feed);
    if (loop->leaving || !feed_sends_away(loop->feed))
        return;
    log_warn("this node's stream is behind those of other nodes: clients are sent away, to connect to "
             "another node");
    server_send_away(loop->server);
}

static void start_timer(struct loop *loop, uv_timer_t *timer, uv_timer_cb callback, uint64_t every_ms)
{
    uv_timer_init(&loop->uv, timer);
    timer->data = loop;
    if (callback)
        uv_timer_start(timer, callback, every_ms, every_ms);
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    (void)prepare;
    log_flush();
}

static void start_signal(struct loop *loop, uv_signal_t *handle, int number)
{
    uv_signal_init(&loop->uv, handle);
    handle->data = loop;
    uv_signal_start(handle, on_signal, number);
}

static enum err start(struct loop *loop)
{
    const struct config *config = loop->config;
    char why[256] = "";

    if (metrics_open("", notifier_metric_defs, NOTIFIER_METRIC_COUNT, &loop->metrics))
        abort();
    loop->hub = hub_new((uint16_t)RECEPTION_BEATS(config->ws_heartbeat_s),
                        (size_t)config->ws_max_subscriptions, loop->metrics);
    hub_limit(loop->hub, memory_for_subscriptions(config));
    loop->feed = feed_new(config, loop->hub, loop->metrics);
    loop->reception = reception_new(loop->feed, loop->hub, loop->metrics);
    start_timer(loop, &loop->beat, on_beat, RECEPTION_BEAT_MS);
    start_timer(loop, &loop->feed_tick, on_feed_tick, FEED_TICK_MS);
    start_timer(loop, &loop->deadline, NULL, 0);
    uv_prepare_init(&loop->uv, &loop->before_sleep);
    uv_prepare_start(&loop->before_sleep, on_before_sleep);
    log_keep(true);
    start_signal(loop, &loop->sigterm, SIGTERM);
    start_signal(loop, &loop->sigint, SIGINT);

    enum err err = tls_files_check(CONFIG_FOR_NOTIFIER, config, why, sizeof why);
    if (!err)
        err = memory_check(config, why, sizeof why);
    if (!err)
        err = token_keys_new(config, &loop->keys, why, sizeof why);
    if (err) {
        log_error("cannot start: %s", why);
        return err;
    }
    if (!loop->keys)
        log_warn("no key for tokens is set: every client that reaches this service may hear every user");
    reception_use_keys(loop->reception, loop->keys);
    if (loop->keys)
        feed_guard(loop->feed);
    err = server_open(&loop->uv, config, loop->reception, loop->feed, loop->metrics, &loop->server, why,
                      sizeof why);
    if (err) {
        log_error("cannot listen: %s", why);
        return err;
    }
    err = sandbox_enter((enum sandbox_mode)config->seccomp, why, sizeof why);
    if (err) {
        log_error("cannot start: %s", why);
        return err;
    }
    loop->consumer = consumer_new(&loop->uv, config, loop->feed, loop->reception, loop->metrics);
    consumer_start(loop->consumer);
    log_info("listening on %s port %d", config->ws_host, (int)config->ws_port);
    return ERR_OK;
}

static void free_all(struct loop *loop)
{
    server_free(&loop->server);
    consumer_free(&loop->consumer);
    reception_free(&loop->reception);
    token_keys_free(&loop->keys);
    feed_free(&loop->feed);
    hub_free(&loop->hub);
    metrics_close(&loop->metrics);
    uv_close((uv_handle_t *)&loop->deadline, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
}

/* A closed terminal and log rotation send these signals. There is nothing to read again or to reopen. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
}

int loop_run(const struct config *config)
{
    struct loop loop = {.config = config};
    char why[256];

    ignore_signals();
    setenv("UV_THREADPOOL_SIZE", "1", 0); /* only links are opened there, one at a time */
    setenv("UV_USE_IO_URING", "0", 1);    /* it would go past the sandbox */
    enum err err = sandbox_refuse_io_uring((enum sandbox_mode)config->seccomp, why, sizeof why);
    if (err)
        log_error("cannot start: %s", why);
    if (err || uv_loop_init(&loop.uv))
        return EXIT_FAILURE;
    err = start(&loop);
    if (err)
        stop(&loop);
    uv_run(&loop.uv, UV_RUN_DEFAULT);

    if (uv_loop_alive(&loop.uv)) {
        /* A link is still being opened, or a peer does not close: the kernel will clean up. */
        log_warn("stopped at the deadline");
        log_flush();
        _exit(EXIT_SUCCESS);
    }
    free_all(&loop);
    if (!err)
        log_info("stopped");
    log_flush();
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
