/* SPDX-License-Identifier: MIT */
/* A timing wheel: when each of many entries is to be looked at again. One tick of one timer looks only at
 * those whose time has come; with ten thousand sockets, walking past all of them each time was half of what
 * the notifier did at rest.
 *
 * An entry whose time has moved further meanwhile need not be moved: it is looked at when its old time comes,
 * and put further. A time beyond the wheel's end is looked at earlier, likewise. No clock of its own. */
#ifndef CARILLON_WHEEL_H
#define CARILLON_WHEEL_H

#include <stdint.h>

#define WHEEL_TICK_MS 250
#define WHEEL_SLOTS   128

/* A part of what is looked at. */
struct wheel_entry {
    struct wheel_entry *prev, *next;
};

/* Looks at one, and returns when to look again. May put it, or take it, by itself: what it returns counts. */
typedef int64_t wheel_look(void *context, struct wheel_entry *entry, int64_t now_ms);

struct wheel {
    struct wheel_entry slots[WHEEL_SLOTS]; /* circles; these are no entries themselves */
    int64_t turned_ms;                     /* up to when it has turned */
    wheel_look *look;
    void *context;
};

void wheel_init(struct wheel *wheel, int64_t now_ms, wheel_look *look, void *context);

/* Before its first wheel_put() or wheel_take(). */
void wheel_entry_init(struct wheel_entry *entry);

/* To be looked at then, wherever it was before; in the past: with the next tick. */
void wheel_put(struct wheel *wheel, struct wheel_entry *entry, int64_t due_ms);
void wheel_take(struct wheel_entry *entry); /* one that is in none is left alone */

/* Three quarters of `ms` to all of it, in milliseconds: after how long an entry with that number is due.
 * Always the same for a number, so that what begins later is due later; of many numbers as many in each part
 * of that time. Without it all sockets that came together would be pinged together, and all that then
 * answered together again: 100,000 hold up every event for a second. */
int64_t wheel_spread(uint32_t number, int64_t ms);

/* Looks at all whose time has come. */
void wheel_turn(struct wheel *wheel, int64_t now_ms);

/* Visits all until the visitor says false. It may put or take the one that it is shown, which may then be
 * shown once more. */
typedef _Bool wheel_visit(void *context, struct wheel_entry *entry);
void wheel_each(struct wheel *wheel, wheel_visit *visit, void *context);

#endif
