/* SPDX-License-Identifier: MIT */
/* A state for each byte of a frame's head; payloads are passed over, except of pings and closes, which are
 * short and kept until they are whole. */
#include "ws-notifier/guard.h"

#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

#define CONTROL_MAX    125
#define FIN            0x80
#define OPCODE_CONTROL 0x08
#define BYTE_CLOSE     (FIN | 0x08)
#define BYTE_PING      (FIN | 0x09)
#define BYTE_PONG      (FIN | 0x0A)
#define BYTE_NONSENSE  (FIN | 0x03)
#define MASKED         0x80
#define RESERVED       0x70 /* bits of extensions, of which there are none */

/* Where the next byte belongs. */
enum stage {
    FIRST,
    SECOND,
    LENGTH,            /* so many bytes of it are still to come: LENGTH + 1 to LENGTH + 8 */
    MASK = LENGTH + 9, /* likewise */
    PAYLOAD = MASK + 5,
    OVER /* the peer has closed, or the library has been given the reason to */
};

struct guard_control {
    unsigned char mask[4];
    uint8_t size, taken;
    bool close_came;
    uint16_t closed_with, pongs_length;
    unsigned char payload[CONTROL_MAX];
    unsigned char pongs[GUARD_PONGS_MAX];
};

/* ---- what is kept -------------------------------------------------------------------------------- */

static bool is_kept(const struct guard *guard)
{
    return guard->first == BYTE_PING || guard->first == BYTE_CLOSE;
}

static struct guard_control *control_of(struct guard *guard)
{
    if (!guard->control) {
        guard->control = calloc(1, sizeof *guard->control);
        if (!guard->control)
            abort();
    }
    return guard->control;
}

void guard_free(struct guard *guard)
{
    free(guard->control);
    guard->control = NULL;
}

const unsigned char *guard_answers(const struct guard *guard, size_t *length)
{
    *length = guard->control ? guard->control->pongs_length : 0;
    return guard->control ? guard->control->pongs : NULL;
}

void guard_answered(struct guard *guard)
{
    if (!guard->control)
        return;
    guard->control->pongs_length = 0;
    if (!is_kept(guard) && !guard->control->close_came)
        guard_free(guard);
}

/* ---- control frames that are whole --------------------------------------------------------------- */

static void answer_ping(struct guard_control *control)
{
    size_t length = (size_t)control->size + 2;
    if (control->pongs_length + length > sizeof control->pongs)
        control->pongs_length = 0;
    unsigned char *at = control->pongs + control->pongs_length;
    at[0] = BYTE_PONG;
    at[1] = control->size;
    memcpy(at + 2, control->payload, control->size);
    control->pongs_length += (uint16_t)length;
}

unsigned guard_close_code(unsigned code)
{
    bool exists =
        (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
    return exists ? code : 1002;
}

unsigned guard_closed_with(const struct guard *guard)
{
    return guard->control ? guard->control->closed_with : 0;
}

static enum close_code judge_close(struct guard_control *control)
{
    control->close_came = true;
    if (control->size == 1)
        return CLOSE_PROTOCOL;
    if (control->size >= 2)
        control->closed_with = (uint16_t)(control->payload[0] << 8 | control->payload[1]);
    if (control->size > 2 && !utf8_valid((const char *)control->payload + 2, control->size - 2u))
        return CLOSE_NO_TEXT;
    return CLOSE_NOT;
}

/* ---- bytes --------------------------------------------------------------------------------------- */

/* What comes is read at `in`; what is left of it is written at `out`, which is never ahead. */
struct piece {
    unsigned char *in, *end, *out;
    unsigned char *first; /* of the frame, as it is left; NULL: not in this piece */
    struct guard_verdict verdict;
};

static bool is_taken_out(const struct guard *guard)
{
    return guard->first == BYTE_PING || guard->first == BYTE_PONG;
}

static void pass(const struct guard *guard, struct piece *piece, size_t length)
{
    if (!is_taken_out(guard)) {
        if (piece->out != piece->in)
            memmove(piece->out, piece->in, length);
        piece->out += length;
    }
    piece->in += length;
}

/* The frame must not be taken. Whose first byte has gone already, in a piece of its own, is left to the
 * caller. */
static void refuse(struct guard *guard, struct piece *piece)
{
    bool taken_out = is_taken_out(guard);

    guard->stage = OVER;
    guard->first = 0;
    if (!piece->first)
        piece->verdict.fault = CLOSE_PROTOCOL;
    else if (taken_out)
        *piece->out++ = BYTE_NONSENSE; /* in its place */
    else
        *piece->first = BYTE_NONSENSE;
    if (!piece->first && taken_out)
        piece->in = piece->end; /* without its beginning the rest is no frame */
}

static void end_frame(struct guard *guard, struct piece *piece)
{
    guard->stage = FIRST;
    if (guard->first == BYTE_PING) {
        answer_ping(control_of(guard));
        piece->verdict.pings++;
    } else if (guard->first == BYTE_PONG) {
        piece->verdict.pongs++;
    } else if (guard->first == BYTE_CLOSE) {
        guard->stage = OVER;
        piece->verdict.fault = judge_close(control_of(guard));
        if (piece->verdict.fault != CLOSE_NOT && piece->first)
            piece->out = piece->first;
    }
    guard->first = 0;
}

static void take_first(struct guard *guard, struct piece *piece)
{
    piece->first = piece->out;
    guard->first = *piece->in;
    guard->stage = SECOND;
    pass(guard, piece, 1);
    if (guard->first & RESERVED)
        *piece->first = BYTE_NONSENSE;
}

static void take_second(struct guard *guard, struct piece *piece)
{
    unsigned char byte = *piece->in;
    unsigned length = byte & ~MASKED;

    if (!(byte & MASKED) || ((guard->first & OPCODE_CONTROL) && length > CONTROL_MAX)) {
        refuse(guard, piece);
        return;
    }
    guard->left = length > CONTROL_MAX ? 0 : length;
    guard->stage = length == 126 ? LENGTH + 2 : length == 127 ? LENGTH + 8 : MASK + 4;
    if (is_kept(guard)) {
        struct guard_control *control = control_of(guard);
        control->size = (uint8_t)length;
        control->taken = 0;
    }
    pass(guard, piece, 1);
}

/* A length of more than 4 GiB is as good as one of 4: it is too long, and the end. */
static void take_length(struct guard *guard, struct piece *piece)
{
    unsigned char byte = *piece->in;
    bool full = guard->left > UINT32_MAX >> 8;

    if (guard->stage == LENGTH + 8 && (byte & 0x80)) { /* a negative one */
        refuse(guard, piece);
        return;
    }
    guard->left = full ? UINT32_MAX : guard->left << 8 | byte;
    if (--guard->stage == LENGTH)
        guard->stage = MASK + 4;
    pass(guard, piece, 1);
}

static void take_mask(struct guard *guard, struct piece *piece)
{
    if (is_kept(guard))
        guard->control->mask[MASK + 4 - guard->stage] = *piece->in;
    pass(guard, piece, 1);
    if (--guard->stage > MASK)
        return;
    guard->stage = PAYLOAD;
    if (guard->left == 0)
        end_frame(guard, piece);
}

static void take_payload(struct guard *guard, struct piece *piece)
{
    size_t come = (size_t)(piece->end - piece->in);
    size_t taken = come < guard->left ? come : guard->left;

    if (is_kept(guard)) {
        struct guard_control *control = guard->control;
        for (size_t i = 0; i < taken; i++, control->taken++)
            control->payload[control->taken] = piece->in[i] ^ control->mask[control->taken % 4];
    }
    pass(guard, piece, taken);
    guard->left -= (uint32_t)taken;
    if (guard->left == 0)
        end_frame(guard, piece);
}

struct guard_verdict guard_look(struct guard *guard, unsigned char *bytes, size_t length)
{
    struct piece piece = {.in = bytes, .end = bytes + length, .out = bytes, .verdict = {.fault = CLOSE_NOT}};

    while (piece.in < piece.end && guard->stage != OVER) {
        if (guard->stage == FIRST)
            take_first(guard, &piece);
        else if (guard->stage == SECOND)
            take_second(guard, &piece);
        else if (guard->stage < MASK)
            take_length(guard, &piece);
        else if (guard->stage < PAYLOAD)
            take_mask(guard, &piece);
        else
            take_payload(guard, &piece);
    }
    pass(guard, &piece, (size_t)(piece.end - piece.in));
    piece.verdict.length = (size_t)(piece.out - bytes);
    return piece.verdict;
}
