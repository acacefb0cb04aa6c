/* SPDX-License-Identifier: MIT */
/* What was published, against what the journal says. */
#include "fcgi-api/publisher/witness.h"

#include <string.h>

#include "common/clock.h"

void witness_clear(struct witness *witness)
{
    witness->count = witness->next = 0;
}

void witness_note(struct witness *witness, const struct event_meta *meta, int64_t unit_ms)
{
    if (strcmp(witness->epoch, meta->epoch) != 0) {
        memcpy(witness->epoch, meta->epoch, sizeof witness->epoch);
        witness_clear(witness);
    }
    witness->events[witness->next] =
        (struct published_event){meta->user_id, meta->seq, meta->created_at_ms, unit_ms};
    witness->next = (witness->next + 1) % WITNESS_MAX;
    if (witness->count < WITNESS_MAX)
        witness->count++;
}

/* A number that is given a second time is given later than the first time. So an event that is older than the
 * published one is not taken for proof: an administrator has changed its time. */
static bool denies(const struct journal_entry *entry, const struct published_event *event)
{
    if (event->seq > entry->last_seq)
        return true;
    return entry->created_at_ms != CLOCK_NEVER &&
           entry->created_at_ms / event->unit_ms > event->created_at_ms / event->unit_ms;
}

const struct published_event *witness_denied(const struct witness *witness,
                                             const struct journal_entry *entries)
{
    for (size_t i = 0; i < witness->count; i++)
        if (denies(&entries[i], &witness->events[i]))
            return &witness->events[i];
    return NULL;
}
