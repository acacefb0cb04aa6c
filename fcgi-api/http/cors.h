/* SPDX-License-Identifier: MIT */
/* Pages of other origins: the headers by which a browser lets those of ALLOWED_ORIGINS use the API. */
#ifndef CARILLON_HTTP_CORS_H
#define CARILLON_HTTP_CORS_H

#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"
#include "fcgi-api/http/service.h"

/* Adds them to a finished answer, refusals too, for a page must be able to read why. */
void cors_allow(const struct http_service *service, const struct request *request, struct response *response);

/* ERR_INVALID, with a line that says why: ALLOWED_HEADERS holds what no header can be called. */
MUST_CHECK enum err cors_check(const struct config *config, char *why, size_t size);

#endif
