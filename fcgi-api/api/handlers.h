/* SPDX-License-Identifier: MIT */
/* The handlers, as the route table names them; see router.h for what they may expect. */
#ifndef CARILLON_API_HANDLERS_H
#define CARILLON_API_HANDLERS_H

#include "fcgi-api/app.h"
#include "fcgi-api/http/router.h"

extern const struct route_table api_calls; /* every call the API has: routes.c */

route_handler handle_task_list, handle_task_create, handle_task_get, handle_task_update, handle_task_delete;
route_handler handle_user_list, handle_user_create, handle_user_get, handle_user_update, handle_sessions_end;
route_handler handle_event_list, handle_event_create;
route_handler handle_alive, handle_ready, handle_metrics, handle_notifier_metrics;

#endif
