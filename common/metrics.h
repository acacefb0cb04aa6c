/* SPDX-License-Identifier: MIT */
/* Counters, gauges and histograms, written out as Prometheus text (exposition format 0.0.4).
 *
 * A program has one table of metrics (an X-macro of its own) and one struct metrics over it. The
 * values live in a file mapped by every process that names it, so a pool of workers shares one set
 * and a scrape of any worker tells of all; without a file they are the process's own. Updates are
 * lock-free; a killed process leaves the counts it had made. */
#ifndef CARILLON_METRICS_H
#define CARILLON_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/strbuf.h"

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_SECONDS, /* a gauge that is set in milliseconds and shown in seconds, Prometheus' unit of time */
    METRIC_INFO,    /* a gauge that is always 1: its labels are what it tells */
    METRIC_HISTOGRAM,
};

struct metric_def {
    enum metric_kind kind;
    const char *name;   /* family, such as "carillon_api_requests_total" */
    const char *labels; /* "method=\"GET\"" or ""; rows of one family stand together */
    const char *help;
};

struct metrics; /* opaque */

/* Opens (and creates) the shared file, or anonymous memory when `path` is "". The table must outlive
 * the result. A file of another table's shape is replaced. ERR_SYSTEM: errno tells why. */
MUST_CHECK enum err metrics_open(const char *path, const struct metric_def *defs, size_t count,
                                 struct metrics **out);
void metrics_close(struct metrics **metrics);

void metrics_add(struct metrics *metrics, size_t index, int64_t delta); /* counters and gauges */
void metrics_set(struct metrics *metrics, size_t index, int64_t value); /* gauges, seconds */
int64_t metrics_count(struct metrics *metrics, size_t index); /* adds 1; the new value, no two alike */
int64_t metrics_get(const struct metrics *metrics, size_t index);

/* Histograms take microseconds and are shown in seconds, buckets from 0.25 ms to 16 s by twos. */
void metrics_observe_us(struct metrics *metrics, size_t index, int64_t microseconds);

void metrics_render(const struct metrics *metrics, struct strbuf *out);

#endif
