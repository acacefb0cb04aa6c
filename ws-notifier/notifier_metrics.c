/* SPDX-License-Identifier: MIT */
/* The table of notifier_metrics.h as data. */
#include "ws-notifier/notifier_metrics.h"

const struct metric_def notifier_metric_defs[NOTIFIER_METRIC_COUNT] = {
#define X(index, kind, name, labels, help) [index] = {kind, name, labels, help},
    NOTIFIER_METRICS(X)
#undef X
};
