/* For machines that watch this one: is it alive, is it ready, how is it doing. */
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/http/problem.h"

/* This worker answers; nothing else is looked at, so a sick database gets nobody restarted. */
void handle_alive(struct app *app, struct request *request, struct response *response)
{
    (void)app;
    (void)request;
    strbuf_add_text(&response->body, "{\"status\":\"ok\"}");
}

/* Writes need the database alone, so a broker that is away only degrades. */
void handle_ready(struct app *app, struct request *request, struct response *response)
{
    const char *broker = publisher_connected(app->publisher) ? "up" : "down";
    if (store_ping(app->store) != ERR_OK) {
        problem_answer(response, request, PROBLEM_UNAVAILABLE, "The database does not answer.");
        problem_add_member(response, "database", "down");
        problem_add_member(response, "broker", broker);
        return;
    }
    strbuf_printf(&response->body, "{\"status\":\"%s\",\"database\":\"up\",\"broker\":\"%s\"}",
                  broker[0] == 'u' ? "ok" : "degraded", broker);
}

void handle_metrics(struct app *app, struct request *request, struct response *response)
{
    (void)request;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(app->service->metrics, &response->body);
}
