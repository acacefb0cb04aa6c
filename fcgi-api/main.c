/* SPDX-License-Identifier: MIT */
/* fcgi-api: a worker of the FastCGI pool. HTTP in, one transaction, HTTP out, in API_THREADS threads; one
 * more thread carries the events to the broker. Started by spawn-fcgi and multiwatch, as many times as the
 * pool is large.
 *
 * Reading on: api/routes.c (every call), http/dispatch.c (what happens to a request), store/store.h (the
 * database in our words), publisher/publisher.h (the thread). */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sandbox.h"
#include "common/tls_files.h"
#include "common/trace.h"
#include "common/version.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/sessions.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/app.h"
#include "fcgi-api/http/cors.h"
#include "fcgi-api/http/drain.h"
#include "fcgi-api/http/fcgi_server.h"

#define PUBLISHER_DEADLINE_MS 2000
#define LARGE_BLOCK           131072
#define HEAPS                 4
#define LATE                  3 /* exit status: some request took too long to be waited for */

static void print_help(void)
{
    puts("fcgi-api: a worker of Carillon's FastCGI pool; listens on descriptor 0.\n"
         "usage: spawn-fcgi -n -s SOCKET -M 0660 -- /usr/bin/multiwatch -f 2 -- fcgi-api\n"
         "       fcgi-api --help | --version\n"
         "Settings are environment variables:");
    config_print_help(CONFIG_FOR_API);
}

static int answer_option(int count, char *const *arguments)
{
    if (count == 2 && strcmp(arguments[1], "--help") == 0)
        print_help();
    else if (count == 2 && strcmp(arguments[1], "--version") == 0)
        puts("fcgi-api " CARILLON_VERSION);
    else
        return fprintf(stderr, "fcgi-api: unknown option %s; --help tells more\n", arguments[1]), 2;
    return 0;
}

/* The setting's words begin with its default, the levels with the least. */
static enum log_level least_level(const struct config *config)
{
    static const enum log_level levels[] = {LOG_INFO, LOG_DEBUG, LOG_WARN, LOG_ERROR};
    return levels[config->log_level];
}

/* multiwatch starts a worker that ended again at once, so a worker that cannot work waits before it ends. */
static int fail_slowly(void)
{
    sleep(1);
    return EXIT_FAILURE;
}

static int give_up(const char *why)
{
    log_error("cannot start: %s", why);
    return fail_slowly();
}

/* Each thread may get a heap of its own, and keeps there what the largest list it ever made took. Large
 * blocks go back to the system at once instead, and some heaps are enough for all. */
static void limit_heaps(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
    mallopt(M_ARENA_MAX, HEAPS);
}

/* The request threads commit, and the publisher is told. */
static void hint(void *publisher, const struct outbox_event *event)
{
    publisher_hint(publisher, event);
}

int main(int count, char **arguments)
{
    struct config config;
    struct http_service service = {.config = &config, .calls = api_calls};
    struct app app = {.service = &service};
    struct fcgi_server *server = NULL;
    struct pool *pool;
    char why[256], target[2048];

    if (count > 1)
        return answer_option(count, arguments);
    log_init("fcgi-api", LOG_TEXT, LOG_INFO);
    if (config_load(CONFIG_FOR_API, &config, why, sizeof why) != ERR_OK)
        return give_up(why);
    log_init("fcgi-api", (enum log_format)config.log_format, least_level(&config));
    trace_init(config.traces);
    if (!fcgi_server_has_socket())
        return give_up("descriptor 0 is no listening socket: use spawn-fcgi");
    if (metrics_open(config.stats_file, api_metric_defs, API_METRIC_COUNT, &service.metrics) != ERR_OK) {
        snprintf(why, sizeof why, "API_STATS_FILE cannot be used: %s", strerror(errno));
        return give_up(why);
    }

    snprintf(target, sizeof target, "%s|%s|%d|%s|%s|%d|%s|%s|%s%s%s", config.db_socket, config.db_host,
             (int)config.db_port, config.db_name, config.amqp_host, (int)config.amqp_port, config.amqp_vhost,
             config.amqp_exchange, config.amqp_queue, config.node[0] ? "|" : "", config.node);
    if (pool_open(config.stats_file, target, &pool) != ERR_OK) {
        snprintf(why, sizeof why, "no publisher's lock and pipe beside API_STATS_FILE: %s", strerror(errno));
        return give_up(why);
    }
    if (token_keys_new(&config, &service.token_keys, why, sizeof why) != ERR_OK)
        return give_up(why);

    if (tls_files_check(CONFIG_FOR_API, &config, why, sizeof why) != ERR_OK)
        return give_up(why);

    if (cors_check(&config, why, sizeof why) != ERR_OK ||
        store_hosts_check(&config, why, sizeof why) != ERR_OK)
        return give_up(why);

    limit_heaps();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    drain_install();
    if (sandbox_enter((enum sandbox_mode)config.seccomp, why, sizeof why) != ERR_OK)
        return give_up(why);
    if (publisher_start(&config, service.metrics, pool, &app.publisher) != ERR_OK)
        return give_up("no thread for the publisher");
    app.store = store_new_shared(&config, service.metrics, hint, app.publisher);
    struct sessions *sessions = sessions_new(app.store, service.metrics);
    service.session_is_over = sessions_judge;
    service.sessions = sessions;
    if (metrics_count(service.metrics, API_WORKER_STARTS) == 1 &&
        service.token_keys == NULL) /* once a pool */
        log_warn("no key for tokens is set: every client that reaches this service may do everything");

    if (fcgi_server_start(&service, &app, (int)config.api_threads, &server) != ERR_OK)
        return give_up("no threads for requests");
    drain_wait();
    enum err err = fcgi_server_join(&server, drain_left_ms());
    if (err == ERR_AGAIN)
        _exit(LATE);
    int rest_ms = drain_left_ms();
    publisher_stop(&app.publisher, rest_ms < PUBLISHER_DEADLINE_MS ? rest_ms : PUBLISHER_DEADLINE_MS);
    pool_close(&pool);
    sessions_free(&sessions);
    store_free(&app.store);
    metrics_close(&service.metrics);
    token_keys_free(&service.token_keys);
    config_free(&config);
    return err == ERR_OK ? EXIT_SUCCESS : fail_slowly();
}
