/* SPDX-License-Identifier: MIT */
/* Draining. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 (which multiwatch sends) ask the worker to finish
 * the requests in hand and exit; a deadline enforces it. SIGHUP is ignored: there is nothing to read
 * again. */
#ifndef CARILLON_HTTP_DRAIN_H
#define CARILLON_HTTP_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#define DRAIN_DEADLINE_MS 4000 /* after this long the worker is ended, whatever it is doing */

/* Holds these signals back for this thread and all that it will make: they wait for drain_wait(). */
void drain_install(void);

/* Returns when the worker is asked to drain, by a signal or by drain_ask(). For the main thread. */
void drain_wait(void);

/* Asks the worker to drain. From any thread. */
void drain_ask(void);

/* Whether it has been asked. From any thread. */
bool drain_asked(void);

/* How much of the deadline is left, at least 0; for after drain_wait(). */
int drain_left_ms(void);

#endif
