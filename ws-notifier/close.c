/* SPDX-License-Identifier: MIT */
/* The table of close.h, by code. */
#include "ws-notifier/close.h"

#include <assert.h>

static const struct {
    const char *reason;
    int status, retry_after_s;
    enum notifier_metric metric;
    bool keeps_queue;
} rows[] = {[CLOSE_NOT] = {"", 0, 0, NOTIFIER_METRIC_COUNT, false},
#define X(name, status, reason, metric, keeps_queue) [name] = {reason, status, 0, metric, keeps_queue},
            CLOSE_CODES(X)
#undef X
#define X(name, retry_s, reason, metric)                                                                     \
    [name] = {reason "; retry after " #retry_s " s", 4429, retry_s, metric, false},
                CLOSE_LIMITS(X)
#undef X
};

int close_status(enum close_code code)
{
    assert(code != CLOSE_NOT);
    return rows[code].status;
}

const char *close_reason(enum close_code code)
{
    return rows[code].reason;
}

int close_retry_after(enum close_code code)
{
    return rows[code].retry_after_s;
}

enum notifier_metric close_metric(enum close_code code)
{
    assert(code != CLOSE_NOT);
    return rows[code].metric;
}

bool close_keeps_queue(enum close_code code)
{
    return rows[code].keeps_queue;
}
