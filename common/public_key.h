/* SPDX-License-Identifier: MIT */
/* Somebody's public key in PEM: which signatures it can check. */
#ifndef CARILLON_PUBLIC_KEY_H
#define CARILLON_PUBLIC_KEY_H

#include <stddef.h>

#include "common/err.h"

/* *algorithm is "RS256" for an RSA key of at least 2048 bits, "ES256" for one on the curve P-256.
 * ERR_INVALID: neither; *why is a static text without subject. */
MUST_CHECK enum err public_key_algorithm(const char *pem, size_t length, const char **algorithm,
                                         const char **why);

#endif
