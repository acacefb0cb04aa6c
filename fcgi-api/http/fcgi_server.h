/* The FastCGI side: accepts requests on descriptor 0, one after the other, until asked to drain.
 * The only file that knows libfcgi. */
#ifndef CARILLON_HTTP_FCGI_SERVER_H
#define CARILLON_HTTP_FCGI_SERVER_H

#include <stdbool.h>

#include "common/err.h"
#include "fcgi-api/http/service.h"

/* Whether descriptor 0 is a listening socket, as spawn-fcgi leaves it. */
bool fcgi_server_has_socket(void);

/* Makes the next accept return; may be called in a signal handler. */
void fcgi_server_wake(void);

/* Serves until drain_asked(). ERR_SYSTEM: nothing more can be accepted, which is logged. */
MUST_CHECK enum err fcgi_server_run(const struct http_service *service, struct app *app);

#endif
