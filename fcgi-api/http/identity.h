/* SPDX-License-Identifier: MIT */
/* Who is asking. While the service is open nobody says, and everyone may see everything; with keys for
 * tokens the gate fills this in from the request's token. */
#ifndef CARILLON_HTTP_IDENTITY_H
#define CARILLON_HTTP_IDENTITY_H

#include <stdint.h>

struct identity {
    uint32_t owner_id;  /* whose Idempotency-Keys these are; 0 while open */
    uint32_t only_user; /* the one user whose things may be touched; 0: everyone's */
};

#endif
