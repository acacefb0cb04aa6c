/* Which pages may use the service: the Origin that a browser sends, against ALLOWED_ORIGINS. */
#ifndef CARILLON_ORIGIN_H
#define CARILLON_ORIGIN_H

#include <stdbool.h>

/* Whether the list (with spaces or commas between its members) has this origin, or is "*". */
bool origin_listed(const char *list, const char *origin);

/* Whether the origin is the server's own, by the Host header of the same request. */
bool origin_is_own(const char *origin, const char *host);

/* The whole rule for a connection; `origin` and `host` are "" when absent. Who sends no origin is no page.
 * Without a list all pages are welcome while the service is open, later only its own. */
bool origin_welcome(const char *list, bool open, const char *origin, const char *host);

#endif
