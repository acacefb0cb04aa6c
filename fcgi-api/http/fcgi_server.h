/* SPDX-License-Identifier: MIT */
/* The FastCGI side: some threads accept requests on descriptor 0, each one after the other, until the worker
 * is asked to drain. The only file that knows libfcgi. */
#ifndef CARILLON_HTTP_FCGI_SERVER_H
#define CARILLON_HTTP_FCGI_SERVER_H

#include <stdbool.h>

#include "common/err.h"
#include "fcgi-api/http/service.h"

struct fcgi_server; /* opaque */

/* Whether descriptor 0 is a listening socket, as spawn-fcgi leaves it. */
bool fcgi_server_has_socket(void);

/* Starts so many threads that serve until drain_asked(). When one of them can accept no more, which is
 * logged, it calls drain_ask(). `service` and `app` outlive the server. ERR_SYSTEM: libfcgi or a thread
 * cannot be had. */
MUST_CHECK enum err fcgi_server_start(const struct http_service *service, struct app *app, int threads,
                                      struct fcgi_server **out);

/* After drain_asked(): waits until every thread has answered what it had, at most deadline_ms, and frees.
 * ERR_AGAIN: some are still at work, and nothing has been freed. ERR_SYSTEM: one could accept no more. */
MUST_CHECK enum err fcgi_server_join(struct fcgi_server **server, int deadline_ms);

#endif
