/* SPDX-License-Identifier: MIT */
/* One request from its reading to its answer: gates, handler, what every answer carries, log and metrics. */
#ifndef CARILLON_HTTP_DISPATCH_H
#define CARILLON_HTTP_DISPATCH_H

#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"
#include "fcgi-api/http/service.h"

/* The request has been read; the response is ready to be written out. `app` goes to the handler. */
void dispatch(const struct http_service *service, struct app *app, struct request *request,
              struct response *response);

#endif
