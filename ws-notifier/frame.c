/* SPDX-License-Identifier: MIT */
/* Frames: one allocation each, counted references. An event for a thousand sockets is one frame and a
 * thousand references: a burst costs pointers, not copies. */
#include "ws-notifier/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t living; /* bytes */

size_t frames_bytes(void)
{
    return living;
}

struct frame *frame_new(const char *text, size_t length)
{
    assert(length < UINT32_MAX - FRAME_HEADROOM - 1);
    struct frame *frame = malloc(sizeof *frame + FRAME_HEADROOM + length + 1);
    if (!frame)
        abort();
    frame->references = 1;
    frame->length = (uint32_t)length;
    memset(frame->bytes, 0, FRAME_HEADROOM);
    memcpy(frame->bytes + FRAME_HEADROOM, text, length);
    frame->bytes[FRAME_HEADROOM + length] = '\0';
    living += frame_size(frame);
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    assert(frame->references > 0);
    frame->references++;
    return frame;
}

void frame_unref(struct frame **frame)
{
    if (*frame && --(*frame)->references == 0) {
        living -= frame_size(*frame);
        free(*frame);
    }
    *frame = NULL;
}
