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

/* The frame must not be taken. Whose first byte has gone already, in a piece of its own, is left to the
 * caller. */
static void refuse(struct guard *guard, unsigned char *first_at, struct guard_verdict *verdict)
{
    guard->stage = OVER;
    if (first_at)
        *first_at = BYTE_NONSENSE;
    else
        verdict->fault = CLOSE_PROTOCOL;
}

static void end_frame(struct guard *guard, unsigned char *first_at, struct guard_verdict *verdict)
{
    guard->stage = FIRST;
    if (guard->first == BYTE_PING) {
        answer_ping(control_of(guard));
        verdict->pings++;
    } else if (guard->first == BYTE_CLOSE) {
        guard->stage = OVER;
        verdict->fault = judge_close(control_of(guard));
        if (verdict->fault != CLOSE_NOT && first_at)
            *first_at = BYTE_PONG;
    }
    guard->first = 0;
}

/* After the head. */
static void begin_payload(struct guard *guard, unsigned char *first_at, struct guard_verdict *verdict)
{
    guard->stage = PAYLOAD;
    if (guard->left == 0)
        end_frame(guard, first_at, verdict);
}

static void take_second(struct guard *guard, unsigned char byte, unsigned char *first_at,
                        struct guard_verdict *verdict)
{
    unsigned length = byte & ~MASKED;

    if (!(byte & MASKED) || ((guard->first & OPCODE_CONTROL) && length > CONTROL_MAX)) {
        refuse(guard, first_at, verdict);
        return;
    }
    guard->left = length > CONTROL_MAX ? 0 : length;
    guard->stage = length == 126 ? LENGTH + 2 : length == 127 ? LENGTH + 8 : MASK + 4;
    if (is_kept(guard)) {
        struct guard_control *control = control_of(guard);
        control->size = (uint8_t)length;
        control->taken = 0;
    }
}

/* A length of more than 4 GiB is as good as one of 4: it is too long, and the end. */
static void take_length(struct guard *guard, unsigned char byte, unsigned char *first_at,
                        struct guard_verdict *verdict)
{
    bool full = guard->left > UINT32_MAX >> 8;
    if (guard->stage == LENGTH + 8 && (byte & 0x80)) { /* a negative one */
        refuse(guard, first_at, verdict);
        return;
    }
    guard->left = full ? UINT32_MAX : guard->left << 8 | byte;
    if (--guard->stage == LENGTH)
        guard->stage = MASK + 4;
}

static void take_mask(struct guard *guard, unsigned char byte, unsigned char *first_at,
                      struct guard_verdict *verdict)
{
    if (is_kept(guard))
        guard->control->mask[MASK + 4 - guard->stage] = byte;
    if (--guard->stage == MASK)
        begin_payload(guard, first_at, verdict);
}

/* Returns how many of the bytes it was. */
static size_t take_payload(struct guard *guard, const unsigned char *bytes, size_t length,
                           unsigned char *first_at, struct guard_verdict *verdict)
{
    size_t taken = length < guard->left ? length : guard->left;
    if (is_kept(guard)) {
        struct guard_control *control = guard->control;
        for (size_t i = 0; i < taken; i++, control->taken++)
            control->payload[control->taken] = bytes[i] ^ control->mask[control->taken % 4];
    }
    guard->left -= (uint32_t)taken;
    if (guard->left == 0)
        end_frame(guard, first_at, verdict);
    return taken;
}

struct guard_verdict guard_look(struct guard *guard, unsigned char *bytes, size_t length)
{
    struct guard_verdict verdict = {.fault = CLOSE_NOT};
    unsigned char *first_at = NULL; /* of this frame, when it is among these bytes */

    for (size_t i = 0; i < length && guard->stage != OVER; i++) {
        if (guard->stage == FIRST) {
            first_at = bytes + i;
            guard->first = bytes[i];
            guard->stage = SECOND;
            if (bytes[i] == BYTE_PING)
                bytes[i] = BYTE_PONG;
            else if (bytes[i] & RESERVED)
                bytes[i] = BYTE_NONSENSE;
        } else if (guard->stage == SECOND) {
            take_second(guard, bytes[i], first_at, &verdict);
        } else if (guard->stage < MASK) {
            take_length(guard, bytes[i], first_at, &verdict);
        } else if (guard->stage < PAYLOAD) {
            take_mask(guard, bytes[i], first_at, &verdict);
        } else {
            i += take_payload(guard, bytes + i, length - i, first_at, &verdict) - 1;
        }
    }
    return verdict;
}
