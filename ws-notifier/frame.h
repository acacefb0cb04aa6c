/* SPDX-License-Identifier: MIT */
/* A text for browsers, made once and shared by all that get it: the ring keeps it for clients that come back,
 * each socket's queue holds a reference until it is sent. One thread only. */
#ifndef CARILLON_FRAME_H
#define CARILLON_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* The WebSocket library writes a frame's head into the bytes before the text; every socket writes the same
 * one, so the buffer can be shared. server.c checks that this is enough. */
#define FRAME_HEADROOM 16

struct frame {
    uint32_t references;
    uint32_t length;       /* of the text */
    unsigned char bytes[]; /* FRAME_HEADROOM, the text, a NUL */
};

/* The caller owns the one reference. `length` is bounded by what may arrive: far below 4 GiB. */
struct frame *frame_new(const char *text, size_t length);

struct frame *frame_ref(struct frame *frame); /* returns its argument */
void frame_unref(struct frame **frame);       /* accepts NULL, leaves NULL */

static inline const char *frame_text(const struct frame *frame)
{
    return (const char *)frame->bytes + FRAME_HEADROOM;
}

/* Memory of all frames that exist. */
size_t frames_bytes(void);

/* Memory of one frame, for callers that keep count. */
static inline size_t frame_size(const struct frame *frame)
{
    return sizeof *frame + FRAME_HEADROOM + frame->length + 1;
}

#endif
