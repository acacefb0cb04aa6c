/* SPDX-License-Identifier: MIT */
/* Idempotency-Key: the name that a client gives to a write, so that a repetition has no second effect. */
#ifndef CARILLON_API_IDEMPOTENCY_H
#define CARILLON_API_IDEMPOTENCY_H

#include "common/err.h"
#include "fcgi-api/http/request.h"
#include "fcgi-api/store/store.h"

/* Reads the key and hashes the request (method, path, body). An empty key: the request has none.
 * ERR_INVALID: the key is not 1..255 visible ASCII characters. */
MUST_CHECK enum err idempotency_read(const struct request *request, struct store_idempotency *idempotency);

#endif
