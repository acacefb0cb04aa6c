/* SPDX-License-Identifier: MIT */
/* The API's accounts at the broker, as its beacons name them. Only the API may write to the beacons'
 * exchange, and the broker lets no connection put another account's name on a message. So an event with a
 * number is believed when it carries the name of one of these accounts. Earlier versions of the API put no
 * name on beacons and events: that is the account "".
 *
 * An account is believed until ACCOUNT_LIVES_S after its last beacon. So events without a name stop being
 * believed soon after the last API of an earlier version has stopped. No I/O; the beacons' stamps are the
 * clock. */
#ifndef CARILLON_ACCOUNTS_H
#define CARILLON_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNT_SIZE    256
#define ACCOUNTS_MAX    8
#define ACCOUNT_LIVES_S 900 /* each of this API's publishers sends a beacon at least every 300 s */

struct account {
    char name[ACCOUNT_SIZE];
    int64_t spoke_s;
    int64_t stamp_s, now_s; /* of its last beacon, and the time by its beacons alone */
};

/* Zero-initialized: none is known. */
struct accounts {
    size_t count;
    struct account list[ACCOUNTS_MAX];
    int64_t now_s; /* by the beacons of the account whose time is the latest; 0: none has come */
};

/* Takes a beacon of this account, stamped `stamp_s`. True: the account was not believed until now. */
bool accounts_hear(struct accounts *accounts, const char *name, int64_t stamp_s);

bool accounts_believe(const struct accounts *accounts, const char *name);

#endif
