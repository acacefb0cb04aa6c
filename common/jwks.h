/* SPDX-License-Identifier: MIT */
/* A JSON Web Key Set (RFC 7517): the public keys of an issuer, as OpenID providers publish them. */
#ifndef CARILLON_JWKS_H
#define CARILLON_JWKS_H

#include <stddef.h>

#include "common/err.h"

#define JWKS_BYTES_MAX 262144
#define JWKS_KEYS_MAX  32 /* that can be used: what comes after them is left out */

struct jwks_key {
    char *kid;             /* "": it has none */
    const char *algorithm; /* "RS256", "ES256" or "EdDSA"; static */
    char *pem;
    size_t length;
};

struct jwks {
    size_t count;
    struct jwks_key keys[JWKS_KEYS_MAX];
};

/* Takes the keys that can check signatures of those algorithms: RSA of at least 2048 bits, P-256, Ed25519.
 * What is for something else ("use", "key_ops", "alg"), private or malformed is left out. ERR_INVALID: it is
 * no key set, or has no such key; *why is a static text without subject. Free the keys with jwks_free(). */
MUST_CHECK enum err jwks_parse(const char *text, size_t length, struct jwks **jwks, const char **why);
void jwks_free(struct jwks **jwks);

#endif
