/* SPDX-License-Identifier: MIT */
#include "ws-notifier/accounts.h"

#include <stdio.h>
#include <string.h>

/* What passes between two beacons of an account advances the time by so much at most: while one machine's
 * clock jumps ahead by hours, the accounts of the others can still send theirs. Beacons come every 10 s at
 * least. */
#define STEP_MAX_S 30

/* Only differences between stamps of one account count, so a clock that is ahead passes no faster than
 * others, however many beacons it stamps (while events are kept, one every 2 s). */
static void advance(struct accounts *accounts, struct account *account, int64_t stamp_s)
{
    int64_t passed_s = stamp_s - account->stamp_s;
    if (passed_s > STEP_MAX_S)
        passed_s = STEP_MAX_S;
    if (passed_s > 0)
        account->now_s += passed_s;
    account->stamp_s = stamp_s;
    if (account->now_s > accounts->now_s)
        accounts->now_s = account->now_s;
}

/* `count`: it has none. */
static size_t place_of(const struct accounts *accounts, const char *name)
{
    size_t i = 0;
    while (i < accounts->count && strcmp(accounts->list[i].name, name) != 0)
        i++;
    return i;
}

/* In a free place, or in that of the account that has been silent the longest. */
static struct account *add(struct accounts *accounts, const char *name)
{
    struct account *place = accounts->list;
    for (size_t i = 1; i < accounts->count; i++)
        if (accounts->list[i].spoke_s < place->spoke_s)
            place = &accounts->list[i];
    if (accounts->count < ACCOUNTS_MAX)
        place = &accounts->list[accounts->count++];
    *place = (struct account){.stamp_s = accounts->now_s, .now_s = accounts->now_s};
    snprintf(place->name, sizeof place->name, "%s", name);
    return place;
}

static bool is_alive(const struct accounts *accounts, const struct account *account)
{
    return accounts->now_s - account->spoke_s <= ACCOUNT_LIVES_S;
}

bool accounts_hear(struct accounts *accounts, const char *name, int64_t stamp_s)
{
    if (accounts->count == 0)
        accounts->now_s = stamp_s;
    size_t place = place_of(accounts, name);
    bool known = place < accounts->count;
    struct account *account = known ? &accounts->list[place] : add(accounts, name);
    advance(accounts, account, stamp_s);
    bool believed = known && is_alive(accounts, account);
    account->spoke_s = accounts->now_s;
    return !believed;
}

bool accounts_believe(const struct accounts *accounts, const char *name)
{
    size_t place = place_of(accounts, name);
    return place < accounts->count && is_alive(accounts, &accounts->list[place]);
}
