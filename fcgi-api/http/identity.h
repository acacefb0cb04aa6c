/* SPDX-License-Identifier: MIT */
/* The requester. While the service is open there is no identity, and every client may see everything; with
 * keys for tokens the gate fills this in from the request's token. */
#ifndef CARILLON_HTTP_IDENTITY_H
#define CARILLON_HTTP_IDENTITY_H

#include <stdint.h>

#include "common/grant.h"

struct identity {
    uint32_t owner_id; /* whose Idempotency-Keys these are; 0 while open */
    struct grant grant;
    bool writes_events; /* may make events of other programs, of any user */
};

#endif
