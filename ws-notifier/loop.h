/* SPDX-License-Identifier: MIT */
/* The notifier's life: everything is made and joined here, runs on one libuv loop, and is taken down again
 * on SIGTERM or SIGINT. */
#ifndef CARILLON_LOOP_H
#define CARILLON_LOOP_H

#include "common/config.h"

/* Returns the process's exit status. */
int loop_run(const struct config *config);

#endif
