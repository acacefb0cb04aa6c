/* SPDX-License-Identifier: MIT */
/* A public key in PEM: which signatures it can check. */
#ifndef CARILLON_PUBLIC_KEY_H
#define CARILLON_PUBLIC_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* *algorithm is "RS256" for an RSA key of at least 2048 bits, "ES256" for one on the curve P-256, "EdDSA" for
 * Ed25519. ERR_INVALID: none of them; *why is a static text without subject. */
MUST_CHECK enum err public_key_algorithm(const char *pem, size_t length, const char **algorithm,
                                         const char **why);

/* Whether an Ed25519 key in PEM has signed the text: for EdDSA, which libjwt knows from release 3 on only. */
bool public_key_has_signed(const char *pem, size_t length, const char *text, size_t text_length,
                           const unsigned char *signature, size_t signature_length);

#endif
