/* SPDX-License-Identifier: MIT */
/* Which handler a method and a path lead to. The table itself is api/routes.c, handed in. */
#ifndef CARILLON_HTTP_ROUTER_H
#define CARILLON_HTTP_ROUTER_H

#include <stddef.h>

#include "common/strbuf.h"
#include "fcgi-api/http/request.h"
#include "fcgi-api/http/response.h"
#include "fcgi-api/http/service.h"

/* Answers one request that has passed the gates. The response is an empty 200 to begin with. */
typedef void route_handler(struct app *app, struct request *request, struct response *response);

/* What the gates check before the handler runs. */
enum route_needs {
    NEEDS_NOTHING = 0,
    NEEDS_IDENTITY = 1 << 0,     /* a valid token; while the service is open, none */
    NEEDS_TASK_ID = 1 << 1,      /* the {id} in the path can be a task's */
    NEEDS_USER_ID = 1 << 2,      /* or a user's */
    NEEDS_JSON = 1 << 3,         /* the body is a JSON object */
    TAKES_QUERY = 1 << 4,        /* the handler reads the query; without this, one is refused */
    IGNORES_QUERY = 1 << 5,      /* for probes and scrapers */
    NEEDS_EVENTS_SCOPE = 1 << 7, /* with NEEDS_USER_ID: one who may write events, of any user */
    NEEDS_ADMIN = 1 << 6,        /* tasks:admin; while the service is open, nothing */
    WITHOUT_DATABASE = 1 << 8,   /* answers while the database is away: a list of ended sessions that is
                                    merely old judges the token then */
};

struct route { /* NOLINT(clang-analyzer-optin.performance.Padding): in the order the table is read */
    enum method method;
    const char *pattern; /* segments, one of which may be {id} */
    route_handler *handle;
    unsigned needs;
};

struct route_match {
    const struct route *route; /* NULL: the method is not possible there */
    const char *id;            /* the {id} segment in the path given, NULL when the pattern has none */
    size_t id_length;
};

/* ERR_NOT_FOUND: no route has this path. A HEAD is answered by the GET. */
MUST_CHECK enum err router_find(const struct route_table *table, enum method method, const char *path,
                                struct route_match *match);

/* Adds the methods the path has: "GET, HEAD, POST, OPTIONS". */
void router_add_allowed(const struct route_table *table, const char *path, struct strbuf *out);

#endif
