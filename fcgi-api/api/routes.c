/* SPDX-License-Identifier: MIT */
/* Every call the API has. To add one: a row here, its handler in handle_*.c, a line in handlers.h. */
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/http/router.h"

static const struct route routes[] = {
    {METHOD_GET, "/tasks", handle_task_list, NEEDS_IDENTITY | TAKES_QUERY},
    {METHOD_POST, "/tasks", handle_task_create, NEEDS_IDENTITY | NEEDS_JSON},
    {METHOD_GET, "/tasks/{id}", handle_task_get, NEEDS_IDENTITY | NEEDS_TASK_ID},
    {METHOD_PATCH, "/tasks/{id}", handle_task_update, NEEDS_IDENTITY | NEEDS_TASK_ID | NEEDS_JSON},
    {METHOD_DELETE, "/tasks/{id}", handle_task_delete, NEEDS_IDENTITY | NEEDS_TASK_ID},
    {METHOD_GET, "/users", handle_user_list, NEEDS_IDENTITY | TAKES_QUERY},
    {METHOD_POST, "/users", handle_user_create, NEEDS_IDENTITY | NEEDS_ADMIN | NEEDS_JSON},
    {METHOD_GET, "/users/{id}", handle_user_get, NEEDS_IDENTITY | NEEDS_USER_ID},
    {METHOD_PATCH, "/users/{id}", handle_user_update,
     NEEDS_IDENTITY | NEEDS_ADMIN | NEEDS_USER_ID | NEEDS_JSON},
    {METHOD_DELETE, "/users/{id}/sessions", handle_sessions_end,
     NEEDS_IDENTITY | NEEDS_ADMIN | NEEDS_USER_ID},
    {METHOD_GET, "/users/{id}/events", handle_event_list, NEEDS_IDENTITY | NEEDS_USER_ID | TAKES_QUERY},
    {METHOD_POST, "/users/{id}/events", handle_event_create,
     NEEDS_IDENTITY | NEEDS_USER_ID | NEEDS_EVENTS_SCOPE | NEEDS_JSON},
    {METHOD_GET, "/healthz", handle_alive, IGNORES_QUERY},
    {METHOD_GET, "/readyz", handle_ready, IGNORES_QUERY},
    {METHOD_GET, "/metrics", handle_metrics, IGNORES_QUERY},
    {METHOD_GET, "/admin/metrics", handle_metrics, NEEDS_IDENTITY | NEEDS_ADMIN | WITHOUT_DATABASE},
    {METHOD_GET, "/admin/notifiers/{id}/metrics", handle_notifier_metrics,
     NEEDS_IDENTITY | NEEDS_ADMIN | WITHOUT_DATABASE},
};

const struct route_table api_calls = {routes, sizeof routes / sizeof routes[0]};
