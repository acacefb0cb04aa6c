/* SPDX-License-Identifier: MIT */
#include "bench/samples.h"

#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, double value)
{
    if (samples->count == samples->size) {
        samples->size = samples->size ? samples->size * 2 : 1024;
        samples->values = realloc(samples->values, samples->size * sizeof *samples->values);
        if (!samples->values)
            abort();
    }
    samples->values[samples->count++] = value;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_percentile(struct samples *samples, double percent)
{
    if (samples->count == 0)
        return 0;
    qsort(samples->values, samples->count, sizeof *samples->values, ascending);
    size_t rank = (size_t)((double)samples->count * percent / 100);
    return samples->values[rank < samples->count ? rank : samples->count - 1];
}

void samples_print(struct samples *samples, const char *name)
{
    printf(",\"%s\":{\"count\":%zu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name,
           samples->count, samples_percentile(samples, 50), samples_percentile(samples, 90),
           samples_percentile(samples, 99), samples_percentile(samples, 99.9),
           samples_percentile(samples, 100));
}

void samples_clear(struct samples *samples)
{
    samples->count = 0;
}
