/* SPDX-License-Identifier: MIT */
#include "ws-notifier/accounts.h"

#include <stdio.h>
#include <string.h>

/* A beacon advances the time by so much at most: while one machine's clock is ahead by hours, the accounts of
 * the others can still send theirs. Beacons come every 10 s. */
#define STEP_MAX_S 30

static void advance(struct accounts *accounts, int64_t stamp_s)
{
    if (accounts->now_s == 0)
        accounts->now_s = stamp_s;
    else if (stamp_s > accounts->now_s + STEP_MAX_S)
        accounts->now_s += STEP_MAX_S;
    else if (stamp_s > accounts->now_s)
        accounts->now_s = stamp_s;
}

/* The account's place; without one, the place of the account that has been silent the longest. */
static struct account *place_for(struct accounts *accounts, const char *name)
{
    struct account *silent = accounts->list;
    for (size_t i = 0; i < accounts->count; i++) {
        if (strcmp(accounts->list[i].name, name) == 0)
            return &accounts->list[i];
        if (accounts->list[i].spoke_s < silent->spoke_s)
            silent = &accounts->list[i];
    }
    return accounts->count < ACCOUNTS_MAX ? &accounts->list[accounts->count++] : silent;
}

bool accounts_hear(struct accounts *accounts, const char *name, int64_t stamp_s)
{
    advance(accounts, stamp_s);
    bool believed = accounts_believe(accounts, name);
    struct account *account = place_for(accounts, name);
    snprintf(account->name, sizeof account->name, "%s", name);
    account->spoke_s = accounts->now_s;
    return !believed;
}

bool accounts_believe(const struct accounts *accounts, const char *name)
{
    for (size_t i = 0; i < accounts->count; i++)
        if (strcmp(accounts->list[i].name, name) == 0)
            return accounts->now_s - accounts->list[i].spoke_s <= ACCOUNT_LIVES_S;
    return false;
}
