/* For machines that watch this one: is it alive, is it ready, how is it doing. */
#include "common/clock.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/http/problem.h"
#include "fcgi-api/publisher/health.h"

/* This worker answers; nothing else is looked at, so a sick database gets nobody restarted. */
void handle_alive(struct app *app, struct request *request, struct response *response)
{
    (void)app;
    (void)request;
    strbuf_add_text(&response->body, "{\"status\":\"ok\"}");
}

/* Writes need the database alone, so events that wait only degrade. */
void handle_ready(struct app *app, struct request *request, struct response *response)
{
    const struct metrics *metrics = app->service->metrics;
    int64_t now = clock_monotonic_ms();
    bool leave = health_events_leave(metrics, now);
    const char *broker = health_broker_word(health_broker(metrics, now));
    bool answers = store_ping(app->store) == ERR_OK;

    if (!answers || health_writes_refused(metrics)) {
        problem_answer(response, request, PROBLEM_UNAVAILABLE,
                       answers ? "The database takes no writes." : "The database does not answer.");
        problem_add_member(response, "database", answers ? "refusing" : "down");
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
