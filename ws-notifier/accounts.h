/* SPDX-License-Identifier: MIT */
/* The accounts at the broker by which the API speaks, as its beacons tell: only the API may write where those
 * come from, and the broker lets no connection put another account's name on a message. So an event with a
 * number is believed when it has the name of one of them. An API of before put none on its beacons and
 * events: that is the account "".
 *
 * An account is believed until ACCOUNT_LIVES_S after its last beacon: events without a name no longer, soon
 * after the last API of before has gone. Pure bookkeeping; its time is that of the beacons. */
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
};

/* Zero-initialized: none is known. */
struct accounts {
    size_t count;
    struct account list[ACCOUNTS_MAX];
    int64_t now_s; /* as the beacons tell; 0: none has come */
};

/* A beacon of this account, stamped so. True: the account was not believed until now. */
bool accounts_hear(struct accounts *accounts, const char *name, int64_t stamp_s);

bool accounts_believe(const struct accounts *accounts, const char *name);

#endif
