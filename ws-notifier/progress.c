/* SPDX-License-Identifier: MIT */
/* The first marker of a link waits until history is over: a fresh message, or a quiet moment. A broker under
 * an alarm stops listening to a connection once it has published, to its acknowledgements too: one that asked
 * at once would not get the rest of its history before the alarm is over. One that asked too early all the
 * same (a moment's quiet was not the end) is given up for another link, which waits longer.
 *
 * A broker that comes back from a power cut may begin its stream several times, each for a part of a second.
 * A marker that was sent to one of these is lost when it ends, and a reader gets no more messages. So a
 * marker that does not come back is sent again, the same one: the first copy that comes proves that
 * everything before it was read. And a link that has brought none back yet is given up for its silence sooner
 * than others. */
#include "ws-notifier/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/random_id.h"

#define QUIET_MS   100  /* without a delivery: history is over, probably */
#define BUSY_MS    2000 /* a backlog, it is never quiet: ask all the same */
#define BLOCKED_MS 1000 /* no publisher can publish, and nothing comes: this is the end */
#define REPEAT_MS  2000 /* then twice as long each time: history may be long, and the marker at its end */

void progress_init(struct progress *progress, int64_t marker_interval_ms, int64_t proof_limit_ms,
                   int64_t silence_limit_ms)
{
    *progress = (struct progress){.marker_interval_ms = marker_interval_ms,
                                  .proof_limit_ms = proof_limit_ms,
                                  .silence_limit_ms = silence_limit_ms};
    random_id_hex(progress->instance, PROGRESS_INSTANCE_DIGITS);
    progress_forget(progress);
}

void progress_forget(struct progress *progress)
{
    progress->place = progress->last_offset = -1;
    progress->place_marker[0] = '\0';
    progress->proving = false;
}

void progress_begin(struct progress *progress, int64_t now_ms)
{
    if (progress->place < 0)
        progress_forget(progress);
    progress->proving = progress->place >= 0;
    progress->blocked = progress->fresh = false;
    progress->first_marker = 0;
    progress->link_ms = progress->delivery_ms = now_ms;
}

/* ---- markers ------------------------------------------------------------------------------------- */

/* A marker's id cannot be guessed: one that another program put into the stream beforehand proves nothing. */
void progress_next_marker(struct progress *progress, char id[PROGRESS_MARKER_SIZE])
{
    char nonce[PROGRESS_NONCE_DIGITS + 1];
    random_id_hex(nonce, PROGRESS_NONCE_DIGITS);
    snprintf(progress->marker, sizeof progress->marker, "%s:%" PRIu64 ":%s", progress->instance,
             progress->sent + 1, nonce);
    memcpy(id, progress->marker, sizeof progress->marker);
}

void progress_marker_sent(struct progress *progress, int64_t now_ms, int64_t wall_s)
{
    progress->sent++;
    if (!progress->first_marker)
        progress->first_marker = progress->sent;
    progress->sent_ms = progress->asked_ms = now_ms;
    progress->sent_wall_s = wall_s;
}

void progress_marker_repeated(struct progress *progress, int64_t now_ms)
{
    progress->asked_ms = now_ms;
}

static void marker_is_back(struct progress *progress, int64_t offset, const char *id, int64_t now_ms,
                           struct progress_step *step)
{
    if (offset >= 0) {
        progress->place = offset;
        snprintf(progress->place_marker, sizeof progress->place_marker, "%s", id);
    }
    if (progress->first_marker && progress->back == progress->sent)
        return; /* a second copy */
    progress->back = progress->sent;
    step->marker_ms = now_ms - progress->sent_ms;
    step->all_read = progress->first_marker != 0;
    if (!step->all_read)
        return;
    progress->patient = false;
    progress->silent_links = 0;
    /* What follows is new. The offset is lower than before where the stream has lost its end. */
    progress->last_offset = offset;
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct progress_step progress_take(struct progress *progress, int64_t offset, const char *marker_id,
                                   int64_t now_ms)
{
    struct progress_step step = {.marker_ms = -1};

    progress->delivery_ms = now_ms;
    if (progress->proving) {
        step.proved =
            offset == progress->place && marker_id && strcmp(marker_id, progress->place_marker) == 0;
        step.other_stream = !step.proved;
        if (step.other_stream)
            return step;
        progress->proving = false;
    }
    step.known = offset >= 0 && offset <= progress->last_offset;
    if (!step.known)
        progress->last_offset = offset;
    /* One of ours that another has followed was on a link that is no more. */
    if (marker_id && progress->sent > 0 && strcmp(marker_id, progress->marker) == 0)
        marker_is_back(progress, offset, marker_id, now_ms, &step);
    return step;
}

bool progress_alarm(struct progress *progress, bool blocked, bool caught_up)
{
    bool begins_early = blocked && !caught_up && !progress->patient;
    progress->blocked = blocked;
    progress->patient = begins_early || (blocked && progress->patient);
    return begins_early;
}

void progress_is_fresh(struct progress *progress)
{
    progress->fresh = true;
}

static bool marker_is_due(const struct progress *progress, int64_t now_ms)
{
    if (progress->first_marker)
        return progress->back == progress->sent && now_ms - progress->sent_ms >= progress->marker_interval_ms;
    if (progress->patient)
        return progress->fresh || now_ms - progress->delivery_ms >= BLOCKED_MS;
    return progress->fresh || now_ms - progress->delivery_ms >= QUIET_MS ||
           now_ms - progress->link_ms >= BUSY_MS;
}

/* Since the marker was sent, and nothing came meanwhile. */
static bool silent_for(const struct progress *progress, int64_t limit_ms, int64_t now_ms)
{
    return progress->first_marker && progress->back < progress->sent &&
           now_ms - progress->sent_ms >= limit_ms && now_ms - progress->delivery_ms >= limit_ms;
}

static bool link_is_good(const struct progress *progress)
{
    return progress->first_marker && progress->back >= progress->first_marker;
}

/* Grows from link to link: a broker that is slow to deliver must not be asked anew for ever. */
static int64_t silence_limit(const struct progress *progress)
{
    int64_t limit_ms = progress->proof_limit_ms << (progress->silent_links < 8 ? progress->silent_links : 8);
    return link_is_good(progress) || limit_ms > progress->silence_limit_ms ? progress->silence_limit_ms
                                                                           : limit_ms;
}

static bool repeat_is_due(const struct progress *progress, int64_t now_ms)
{
    int64_t pause_ms = progress->asked_ms - progress->sent_ms;
    return progress->first_marker && progress->back < progress->sent &&
           now_ms - progress->asked_ms >= (pause_ms > REPEAT_MS ? pause_ms : REPEAT_MS);
}

enum progress_due progress_check(struct progress *progress, bool caught_up, int64_t now_ms)
{
    if (progress->proving && now_ms - progress->link_ms >= progress->proof_limit_ms)
        return PROGRESS_OTHER_STREAM;
    if (progress->proving)
        return PROGRESS_NOTHING;
    if (progress->blocked)
        return !caught_up && silent_for(progress, BLOCKED_MS, now_ms) ? PROGRESS_ALL_READ : PROGRESS_NOTHING;
    if (silent_for(progress, silence_limit(progress), now_ms)) {
        progress->silent_links += !link_is_good(progress);
        return PROGRESS_SILENT;
    }
    if (marker_is_due(progress, now_ms))
        return PROGRESS_MARKER;
    return repeat_is_due(progress, now_ms) ? PROGRESS_REPEAT : PROGRESS_NOTHING;
}
