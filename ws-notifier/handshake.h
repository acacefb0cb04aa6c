/* SPDX-License-Identifier: MIT */
/* Whether a request may become a WebSocket (RFC 6455, 4.2.1; RFC 9110, 7.8). The library accepts
 * some requests that are none, and closes without an answer where something is missing; so it gets only
 * requests that are right. */
#ifndef CARILLON_HANDSHAKE_H
#define CARILLON_HANDSHAKE_H

#include <stdbool.h>

#define HANDSHAKE_VERSION     "13"
#define HANDSHAKE_SUBPROTOCOL "carillon" /* of none at all, the one that is taken */

enum handshake {
    HANDSHAKE_FINE,
    HANDSHAKE_NONE,          /* a plain request: its Upgrade is to be ignored */
    HANDSHAKE_OTHER_VERSION, /* 426 */
    HANDSHAKE_MALFORMED      /* 400 */
};

/* Header values are "" where the request has none. */
struct handshake_request {
    bool get;
    const char *path, *http_version; /* "HTTP/1.1" */
    const char *host, *connection, *upgrade, *version, *key, *subprotocols;
};

/* Unless it is fine or none, *detail is a static sentence for the client's author. */
enum handshake handshake_judge(const struct handshake_request *request, const char **detail);

#endif
