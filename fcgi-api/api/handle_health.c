/* SPDX-License-Identifier: MIT */
/* Probes and metrics: is the service alive, is it ready, what are its figures. */
#include "common/clock.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/publisher/health.h"

/* This worker answers. Nothing else is checked, so that a database in trouble does not get workers restarted.
 */
void handle_alive(struct app *app, struct request *request, struct response *response)
{
    (void)app;
    (void)request;
    strbuf_add_text(&response->body, "{\"status\":\"ok\"}");
}

/* What keeps writes from working; NULL: nothing. *database: in a word. */
static const char *why_not_ready(struct app *app, const char **database)
{
    enum err err = store_ping(app->store);
    if (err == ERR_STALE) {
        *database = "outdated";
        return "The database's tables are older than this program: run scripts/migrate.";
    }
    if (err == ERR_NOT_FOUND) {
        *database = "unregistered";
        return "The database knows no node of this name: run scripts/cluster join, or set NODE.";
    }
    if (err) {
        *database = "down";
        return "The database does not answer.";
    }
    if (health_writes_refused(app->service->metrics, clock_monotonic_ms())) {
        *database = "refusing";
        return "The database takes no writes.";
    }
    *database = "up";
    return NULL;
}

/* Writes need the database alone, so events that wait only degrade. */
void handle_ready(struct app *app, struct request *request, struct response *response)
{
    const struct metrics *metrics = app->service->metrics;
    int64_t now = clock_monotonic_ms();
    bool leave = health_events_leave(metrics, now);
    const char *broker = health_broker_word(health_broker(metrics, now));
    const char *database, *why = why_not_ready(app, &database);

    if (why) {
        problem_answer(response, request, PROBLEM_UNAVAILABLE, "%s", why);
        problem_add_member(response, "database", database);
        problem_add_member(response, "broker", broker);
        return;
    }
    strbuf_printf(&response->body,
                  "{\"status\":\"%s\",\"database\":\"up\",\"broker\":\"%s\",\"events\":\"%s\"}",
                  leave ? "ok" : "degraded", broker, leave ? "leave" : "wait");
}

void handle_metrics(struct app *app, struct request *request, struct response *response)
{
    (void)request;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(app->service->metrics, &response->body);
}

/* The API has checked the token by now. nginx then asks the notifier with that number, or answers 404 where
 * there is none (nginx/templates/include/admin.inc.template). */
void handle_notifier_metrics(struct app *app, struct request *request, struct response *response)
{
    (void)app;
    (void)request;
    response->cache_control = NULL; /* nginx would add it to the notifier's own */
    response_header(response, "X-Accel-Redirect", "@notifier_metrics");
}
