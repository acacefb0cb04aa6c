/* SPDX-License-Identifier: MIT */
/* A key set in a file (JWT_JWKS_FILE) that is read again when it has changed, while the program runs. Any
 * thread may hold the keys. The program that writes the file must rename a complete one into its place. */
#ifndef CARILLON_JWKS_FILE_H
#define CARILLON_JWKS_FILE_H

#include <stdbool.h>

#include "common/jwks.h"

struct jwks_file; /* opaque */

/* ERR_INVALID: it cannot be read, or has no key that can be used; `why` says so, with its name. */
MUST_CHECK enum err jwks_file_open(const char *path, struct jwks_file **file, char *why, size_t size);
void jwks_file_close(struct jwks_file **file); /* accepts NULL */

/* The keys as they are now, until jwks_file_release(). At most once a second the file is checked for a
 * change; when the new one cannot be used the log says so once, and the keys from before stay. */
const struct jwks *jwks_file_hold(struct jwks_file *file);
void jwks_file_release(struct jwks_file *file);

/* Says on standard output what is in the file, or on standard error why it cannot be used. For programs'
 * --check-keys; false: it cannot. */
bool jwks_file_report(const char *path);

#endif
