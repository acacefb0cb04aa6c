/* SPDX-License-Identifier: MIT */
/* Listening TCP sockets on the event loop, one for each address that a name has here. They are ours and not
 * the WebSocket library's, so that the address may be any that the system can resolve, and accepting can
 * pause and stop by itself. */
#ifndef CARILLON_LISTENER_H
#define CARILLON_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"

struct listener; /* opaque */

/* Takes over the accepted, non-blocking descriptor. Returns false when it takes no more for now: then the
 * next ones wait in the kernel's queue until listener_resume(). */
typedef bool listener_taker(void *context, int fd);

/* ERR_SYSTEM: *why (size bytes) tells. */
MUST_CHECK enum err listener_open(uv_loop_t *loop, const char *host, int64_t port, listener_taker *take,
                                  void *context, struct listener **out, char *why, size_t size);
void listener_resume(struct listener *listener);
/* Stops accepting; frees it once the loop has let go. Accepts NULL. */
void listener_close(struct listener **listener);

#endif
