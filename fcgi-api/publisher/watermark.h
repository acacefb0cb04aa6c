/* SPDX-License-Identifier: MIT */
/* Up to which time the stream of this node has every event of all nodes. No I/O.
 *
 * After a barrier of the database, whatever was committed on any node before it is visible here, its row in
 * this node's outbox among it. So the stream is complete up to the time before that barrier once the rows
 * that were there after it have left: a row leaves when the broker has confirmed its event. Rows that come
 * meanwhile do not count, or there would be no such time while many events come. */
#ifndef CARILLON_PUBLISHER_WATERMARK_H
#define CARILLON_PUBLISHER_WATERMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi-api/store/store.h"

/* Zero-initialized: nothing is known. Times are the database's. */
struct watermark {
    int64_t complete_ms;        /* all that was committed before is in the stream; 0: not known */
    int64_t next_ms;            /* the same, when `waiting` have left; 0: none */
    struct outbox_key *waiting; /* in the order of users and numbers */
    size_t count;
};

/* Forgets all, and frees it. */
void watermark_reset(struct watermark *mark);

/* What waits in the outbox, in the order of users and numbers, read after a barrier that came after `now_ms`.
 * With `whole` false it is only the beginning. True: complete_ms has moved. */
bool watermark_look(struct watermark *mark, int64_t now_ms, const struct outbox_key *outbox, size_t count,
                    bool whole);

#endif
