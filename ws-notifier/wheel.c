/* SPDX-License-Identifier: MIT */
/* Slots are doubly linked circles, so that an entry leaves without knowing which one it is in. */
#include "ws-notifier/wheel.h"

#include <stdbool.h>

void wheel_entry_init(struct wheel_entry *entry)
{
    entry->prev = entry->next = entry;
}

void wheel_init(struct wheel *wheel, int64_t now_ms, wheel_look *look, void *context)
{
    for (int i = 0; i < WHEEL_SLOTS; i++)
        wheel_entry_init(&wheel->slots[i]);
    wheel->turned_ms = now_ms;
    wheel->look = look;
    wheel->context = context;
}

void wheel_take(struct wheel_entry *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
    wheel_entry_init(entry);
}

static struct wheel_entry *slot_of(struct wheel *wheel, int64_t time_ms)
{
    return &wheel->slots[time_ms / WHEEL_TICK_MS % WHEEL_SLOTS];
}

void wheel_put(struct wheel *wheel, struct wheel_entry *entry, int64_t due_ms)
{
    int64_t ticks = due_ms > wheel->turned_ms ? (due_ms - wheel->turned_ms - 1) / WHEEL_TICK_MS + 1 : 1;
    if (ticks > WHEEL_SLOTS - 1)
        ticks = WHEEL_SLOTS - 1;
    struct wheel_entry *slot = slot_of(wheel, wheel->turned_ms + ticks * WHEEL_TICK_MS);
    wheel_take(entry);
    entry->prev = slot->prev;
    entry->next = slot;
    slot->prev->next = entry;
    slot->prev = entry;
}

int64_t wheel_spread(uint32_t number, int64_t ms)
{
    uint64_t mixed = number * 0x9E3779B97F4A7C15U; /* 2^64 by the golden ratio */
    int64_t share = (int64_t)(mixed >> 54);        /* of 1024 */
    return ms - ms / 4 * share / 1024;
}

void wheel_turn(struct wheel *wheel, int64_t now_ms)
{
    while (wheel->turned_ms + WHEEL_TICK_MS <= now_ms) {
        wheel->turned_ms += WHEEL_TICK_MS;
        struct wheel_entry *slot = slot_of(wheel, wheel->turned_ms);
        while (slot->next != slot) {
            struct wheel_entry *entry = slot->next;
            wheel_take(entry);
            wheel_put(wheel, entry, wheel->look(wheel->context, entry, now_ms));
        }
    }
}

void wheel_each(struct wheel *wheel, wheel_visit *visit, void *context)
{
    for (int i = 0; i < WHEEL_SLOTS; i++) {
        struct wheel_entry *slot = &wheel->slots[i], *next;
        for (struct wheel_entry *entry = slot->next; entry != slot; entry = next) {
            next = entry->next;
            if (!visit(context, entry))
                return;
        }
    }
}
