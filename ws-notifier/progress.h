/* SPDX-License-Identifier: MIT */
/* How far one reader has read the stream: pure bookkeeping. It is told what was sent and received, and asked
 * what to do next. No I/O and no clock of its own: all `now_ms` are monotonic milliseconds.
 *
 * Markers: messages of our own that go into the stream and come back; then everything before them has been
 * read. The place: where the last marker came back. Its id is random, so a reader that starts there and gets
 * it first is on the same stream, and has missed nothing up to there. What follows can be other messages than
 * before: a power cut takes the end of a stream, and the next messages get the same offsets. */
#ifndef CARILLON_PROGRESS_H
#define CARILLON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define PROGRESS_INSTANCE_DIGITS 12
#define PROGRESS_NONCE_DIGITS    12
#define PROGRESS_MARKER_SIZE     48

struct progress {
    char instance[PROGRESS_INSTANCE_DIGITS + 1];
    int64_t marker_interval_ms; /* between two markers */
    int64_t proof_limit_ms;     /* the message at our place must come within */
    int64_t silence_limit_ms;   /* a marker that brings nothing back: something is wrong */
    unsigned silent_links;      /* one after the other that never brought one back */

    int64_t place;                           /* offset of the marker that came back last; -1: none */
    char place_marker[PROGRESS_MARKER_SIZE]; /* its id */
    int64_t last_offset;                     /* everything up to here has been taken; -1: nothing */

    bool proving; /* this link began at our place: the first message will tell whether it is still ours */
    bool blocked; /* the broker takes no messages */
    bool fresh;   /* a message of this link was made just now: history is over */
    bool patient; /* an alarm began in the middle of history: this time it is to be over for certain */
    uint64_t sent, back;               /* markers, over all links */
    char marker[PROGRESS_MARKER_SIZE]; /* the last one's id */
    uint64_t first_marker;             /* of this link; 0: not sent yet */
    int64_t sent_ms, sent_wall_s;      /* the last one, for the first time ... */
    int64_t asked_ms;                  /* ... and for the last time */
    int64_t link_ms, delivery_ms;      /* since when there is this link; its last delivery */
};

void progress_init(struct progress *progress, int64_t marker_interval_ms, int64_t proof_limit_ms,
                   int64_t silence_limit_ms);

/* The stream is another one, or may be: nothing is known of it. */
void progress_forget(struct progress *progress);

/* A new link reads from progress->place on, or from further back when that is -1. */
void progress_begin(struct progress *progress, int64_t now_ms);

void progress_next_marker(struct progress *progress, char id[PROGRESS_MARKER_SIZE]);
void progress_marker_sent(struct progress *progress, int64_t now_ms, int64_t wall_s);
void progress_marker_repeated(struct progress *progress, int64_t now_ms);

struct progress_step {
    bool other_stream; /* not the message that is at our place: all else is unset */
    bool proved;       /* it is: the stream goes on where it was left */
    bool known;        /* a message with this offset was taken before */
    bool all_read;     /* the marker this link sent last is back */
    int64_t marker_ms; /* and took so long; -1: none, or an old one */
};

/* `marker_id` NULL: no marker. */
struct progress_step progress_take(struct progress *progress, int64_t offset, const char *marker_id,
                                   int64_t now_ms);

/* An alarm begins or ends. True: it holds the rest of history back, which another link would still get. */
bool progress_alarm(struct progress *progress, bool blocked, bool caught_up);

/* The message just taken was made a moment ago, says its timestamp. */
void progress_is_fresh(struct progress *progress);

enum progress_due {
    PROGRESS_NOTHING,
    PROGRESS_MARKER,       /* send one */
    PROGRESS_REPEAT,       /* send the last one once more */
    PROGRESS_OTHER_STREAM, /* nothing came from our place: the stream does not reach so far */
    PROGRESS_SILENT,       /* nothing comes at all: the link is to be given up */
    PROGRESS_ALL_READ,     /* the marker is held back by an alarm, but so are all other messages */
};

/* Ask several times a second. */
enum progress_due progress_check(struct progress *progress, bool caught_up, int64_t now_ms);

#endif
