/* SPDX-License-Identifier: MIT */
/* For how long what the broker has confirmed is kept, so that it can be published again (heal.c): until the
 * broker was seen alive, in the same life, HEAL_WINDOW_S later. By then the kernel has written it to disk.
 *
 * No clock but this process's own is asked: from time to time the end of what is kept is marked, with the
 * moment. When a beacon that was sent HEAL_WINDOW_S after a mark has come back confirmed, everything before
 * that end may go. A publisher that takes over begins without marks, so what it finds is kept for longer,
 * never shorter. */
#include "common/clock.h"
#include "fcgi-api/publisher/internal.h"

#define MARKS_A_WINDOW 8
#define MARK_LEAST_MS  250
#define FORGET_ROWS    2000
#define AGAIN_MS       50 /* when there is more to forget */

/* The moment is taken after the end was read: nothing before the end was confirmed later. */
static void mark_end(struct publisher *publisher, int64_t window_ms)
{
    struct keeping *keeping = &publisher->upkeep.keeping;
    int64_t pause = window_ms / MARKS_A_WINDOW > MARK_LEAST_MS ? window_ms / MARKS_A_WINDOW : MARK_LEAST_MS;
    size_t newest = (keeping->first + keeping->count - 1) % KEEP_MARKS;
    uint64_t end;

    if (keeping->count == KEEP_MARKS ||
        (keeping->count > 0 && clock_monotonic_ms() - keeping->marks[newest].at < pause))
        return;
    if (store_kept_end(publisher->store, &end) != ERR_OK)
        return;
    size_t next = (keeping->first + keeping->count) % KEEP_MARKS;
    keeping->marks[next].end = end;
    keeping->marks[next].at = clock_monotonic_ms();
    keeping->count++;
}

void publisher_forget_kept(struct publisher *publisher)
{
    struct keeping *keeping = &publisher->upkeep.keeping;
    int64_t window_ms = publisher->config->heal_window_s * 1000;
    uint64_t deleted;

    mark_end(publisher, window_ms);
    while (keeping->count > 0 &&
           publisher->outgoing.alive_at - keeping->marks[keeping->first].at >= window_ms) {
        keeping->forget = keeping->marks[keeping->first].end;
        keeping->first = (keeping->first + 1) % KEEP_MARKS;
        keeping->count--;
    }
    if (keeping->forget == 0)
        return;
    if (store_kept_forget(publisher->store, keeping->forget, FORGET_ROWS, &deleted) != ERR_OK)
        return;
    if (deleted < FORGET_ROWS)
        keeping->forget = 0;
    else
        publisher->upkeep.sweep_at = clock_monotonic_ms() + AGAIN_MS;
}
