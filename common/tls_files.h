/* SPDX-License-Identifier: MIT */
/* The files a client of TLS needs (AMQP_TLS_*, DB_TLS_*), looked at when a program starts: a file that is
 * missing or is something else stops it with the setting's name, where later it would be one of many reasons
 * for no connection. They are read again for each connection, so a renewed one needs no restart. */
#ifndef CARILLON_TLS_FILES_H
#define CARILLON_TLS_FILES_H

#include <stddef.h>

#include "common/config.h"
#include "common/err.h"

/* ERR_INVALID: `why` is one line that names the variable. */
MUST_CHECK enum err tls_files_check(enum config_program program, const struct config *config, char *why,
                                    size_t size);

#endif
