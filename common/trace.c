/* SPDX-License-Identifier: MIT */
/* Traceparents and spans. */
#include "common/trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/random_id.h"

/* Where the parts of a traceparent begin. */
#define TRACE_ID 3
#define SPAN_ID  36
#define FLAGS    53

#define TRACE_ID_DIGITS 32
#define SPAN_ID_DIGITS  16
#define SPAN_FIELDS     7
#define START_SIZE      40

static bool on; /* set by main() before any thread starts */

void trace_init(bool traces)
{
    on = traces;
}

bool trace_is_on(void)
{
    return on;
}

static bool is_hex(const char *text, size_t digits)
{
    return strspn(text, "0123456789abcdef") >= digits;
}

bool traceparent_valid(const char *text)
{
    if (text == NULL || strnlen(text, TRACEPARENT_SIZE) != TRACEPARENT_SIZE - 1)
        return false;
    if (text[TRACE_ID - 1] != '-' || text[SPAN_ID - 1] != '-' || text[FLAGS - 1] != '-')
        return false;
    if (!is_hex(text, 2) || !is_hex(text + TRACE_ID, TRACE_ID_DIGITS) ||
        !is_hex(text + SPAN_ID, SPAN_ID_DIGITS) || !is_hex(text + FLAGS, 2))
        return false;
    return memcmp(text, "ff", 2) != 0 && strspn(text + TRACE_ID, "0") < TRACE_ID_DIGITS &&
           strspn(text + SPAN_ID, "0") < SPAN_ID_DIGITS;
}

bool trace_wants(const char *traceparent)
{
    if (!on || !traceparent_valid(traceparent))
        return false;
    return strchr("13579bdf", traceparent[FLAGS + 1]) != NULL; /* the lowest bit: sampled */
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void span_begin_as(struct span *span, const char *parent, const char *id, int64_t elapsed_us)
{
    char trace_id[TRACE_ID_DIGITS + 1];

    *span = (struct span){.start_us = now_us(CLOCK_REALTIME) - elapsed_us,
                          .begun_us = now_us(CLOCK_MONOTONIC) - elapsed_us};
    if (parent[0] == '\0') {
        random_id_hex(trace_id, TRACE_ID_DIGITS);
    } else {
        assert(traceparent_valid(parent));
        snprintf(trace_id, sizeof trace_id, "%.*s", TRACE_ID_DIGITS, parent + TRACE_ID);
        snprintf(span->parent_id, sizeof span->parent_id, "%.*s", SPAN_ID_DIGITS, parent + SPAN_ID);
    }
    snprintf(span->traceparent, sizeof span->traceparent, "00-%s-%.*s-01", trace_id, SPAN_ID_DIGITS, id);
}

void span_begin(struct span *span, const char *parent, int64_t elapsed_us)
{
    char id[SPAN_ID_SIZE];
    random_id_hex(id, SPAN_ID_DIGITS);
    span_begin_as(span, parent, id, elapsed_us);
}

const char *span_id(const struct span *span)
{
    return span->traceparent + SPAN_ID;
}

/* "2026-01-02T03:04:05.678901Z" */
static void format_start(int64_t wall_us, char text[START_SIZE])
{
    char ms[CLOCK_ISO_SIZE];
    clock_format_iso(wall_us / 1000, ms);
    snprintf(text, START_SIZE, "%.*s%03dZ", (int)(CLOCK_ISO_SIZE - 2), ms, (int)(wall_us % 1000));
}

void span_end(const struct span *span, const char *name, const struct log_field *more, size_t count)
{
    char trace_id[TRACE_ID_DIGITS + 1], id[SPAN_ID_SIZE], start[START_SIZE], message[32];
    struct log_field fields[SPAN_FIELDS + LOG_FIELDS_MAX];
    size_t n = 0;

    assert(count <= LOG_FIELDS_MAX);
    if (span->traceparent[0] == '\0' || !log_enabled(LOG_INFO))
        return;
    int64_t duration_us = now_us(CLOCK_MONOTONIC) - span->begun_us;
    snprintf(trace_id, sizeof trace_id, "%.*s", TRACE_ID_DIGITS, span->traceparent + TRACE_ID);
    snprintf(id, sizeof id, "%.*s", SPAN_ID_DIGITS, span_id(span));
    format_start(span->start_us, start);
    snprintf(message, sizeof message, "span %s", name);

    fields[n++] = (struct log_field){"trace_id", trace_id, 0};
    fields[n++] = (struct log_field){"span_id", id, 0};
    if (span->parent_id[0] != '\0')
        fields[n++] = (struct log_field){"parent_span_id", span->parent_id, 0};
    fields[n++] = (struct log_field){"name", name, 0};
    fields[n++] = (struct log_field){"service", log_program(), 0};
    fields[n++] = (struct log_field){"start", start, 0};
    fields[n++] = (struct log_field){"duration_us", NULL, duration_us > 0 ? duration_us : 0};
    for (size_t i = 0; i < count; i++)
        fields[n++] = more[i];
    log_fields(LOG_INFO, message, fields, n);
}
