/* A task and its rules. No I/O: what a task may be is decided here, wherever it came from. */
#ifndef CARILLON_TASK_H
#define CARILLON_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/event.h"

#define TASK_ID_MAX       2147483647
#define TASK_CONTENT_MAX  1000 /* Unicode code points */
#define TASK_CONTENT_SIZE (TASK_CONTENT_MAX * 4 + 1)

enum task_status { TASK_OPEN = 0, TASK_COMPLETED = 1 };

struct task {
    uint32_t id;
    uint32_t user_id;
    enum task_status status;
    char content[TASK_CONTENT_SIZE];
    int64_t created_at_ms;
    int64_t completed_at_ms; /* -1: not completed */
    uint32_t version;        /* grows with every accepted change; the ETag */
};

/* What a PATCH asks for; at least one of the two is there. */
struct task_patch {
    bool has_status;
    enum task_status status;
    const char *content; /* NULL: unchanged */
};

/* NULL when a task may have this content (valid UTF-8); else a static sentence for people that says
 * what it must be, without subject. */
const char *task_content_fault(const char *content);

/* Applies the patch at that moment (status 1 sets completed_at, 0 clears it) and tells which event it makes:
 * the status decides when both are given. The version grows. */
enum event_type task_apply(struct task *task, const struct task_patch *patch, int64_t now_ms);

#endif
