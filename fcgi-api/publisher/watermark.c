/* SPDX-License-Identifier: MIT */
/* The rows that one time waits for. */
#include "fcgi-api/publisher/watermark.h"

#include <stdlib.h>
#include <string.h>

void watermark_reset(struct watermark *mark)
{
    free(mark->waiting);
    *mark = (struct watermark){0};
}

static int by_user_and_seq(const void *one, const void *other)
{
    const struct outbox_key *a = one, *b = other;
    if (a->user_id != b->user_id)
        return a->user_id < b->user_id ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* What lies behind a list that is not whole may be there. */
static bool may_be_there(const struct outbox_key *key, const struct outbox_key *outbox, size_t count,
                         bool whole)
{
    if (!whole && count > 0 && by_user_and_seq(key, &outbox[count - 1]) > 0)
        return true;
    return count > 0 && bsearch(key, outbox, count, sizeof *outbox, by_user_and_seq) != NULL;
}

static void drop_what_left(struct watermark *mark, const struct outbox_key *outbox, size_t count, bool whole)
{
    size_t left = 0;
    for (size_t i = 0; i < mark->count; i++)
        if (may_be_there(&mark->waiting[i], outbox, count, whole))
            mark->waiting[left++] = mark->waiting[i];
    mark->count = left;
}

static void wait_for(struct watermark *mark, int64_t now_ms, const struct outbox_key *outbox, size_t count)
{
    free(mark->waiting);
    mark->waiting = calloc(count, sizeof *outbox);
    if (!mark->waiting)
        abort();
    memcpy(mark->waiting, outbox, count * sizeof *outbox);
    mark->count = count;
    mark->next_ms = now_ms;
}

bool watermark_look(struct watermark *mark, int64_t now_ms, const struct outbox_key *outbox, size_t count,
                    bool whole)
{
    int64_t before = mark->complete_ms;

    if (mark->next_ms != 0)
        drop_what_left(mark, outbox, count, whole);
    if (mark->next_ms != 0 && mark->count == 0) {
        mark->complete_ms = mark->next_ms;
        mark->next_ms = 0;
    }
    if (count == 0) {
        mark->complete_ms = now_ms;
        mark->next_ms = 0;
    } else if (mark->next_ms == 0 && whole) {
        wait_for(mark, now_ms, outbox, count);
    }
    return mark->complete_ms != before;
}
