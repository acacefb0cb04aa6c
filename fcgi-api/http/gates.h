/* SPDX-License-Identifier: MIT */
/* What every request passes before its handler: the checks that are the same for all calls, done once, in
 * one order. A gate that lets a request through leaves what it read in it. */
#ifndef CARILLON_HTTP_GATES_H
#define CARILLON_HTTP_GATES_H

#include <stdbool.h>

#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"
#include "fcgi-api/http/service.h"

/* True: request->route is set and its needs are met. False: the response says why not. */
bool gates_pass(const struct http_service *service, struct request *request, struct response *response);

#endif
