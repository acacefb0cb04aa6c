/* SPDX-License-Identifier: MIT */
/* Measured values, all of them kept: percentiles are exact. */
#ifndef CARILLON_BENCH_SAMPLES_H
#define CARILLON_BENCH_SAMPLES_H

#include <stddef.h>

struct samples {
    double *values;
    size_t count, size;
};

void samples_add(struct samples *samples, double value);
/* Sorts. 0 when there are none. */
double samples_percentile(struct samples *samples, double percent);
/* "name":{"count":..,"p50":..,"p90":..,"p99":..,"p999":..,"max":..} */
void samples_print(struct samples *samples, const char *name);
void samples_clear(struct samples *samples);

#endif
