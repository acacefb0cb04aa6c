/* SPDX-License-Identifier: MIT */
/* Creates all parts of the notifier, connects them, runs them on one libuv loop, and shuts them down on
 * SIGTERM or SIGINT. */
#ifndef CARILLON_LOOP_H
#define CARILLON_LOOP_H

#include "common/config.h"

/* Returns the process's exit status. */
int loop_run(const struct config *config);

#endif
