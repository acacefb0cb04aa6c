/* SPDX-License-Identifier: MIT */
/* The rows of api_metrics.h as a table. */
#include "fcgi-api/api_metrics.h"

const struct metric_def api_metric_defs[API_METRIC_COUNT] = {
#define X(index, kind, name, labels, help) [index] = {kind, name, labels, help},
    API_METRICS(X)
#undef X
};
