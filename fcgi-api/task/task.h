/* SPDX-License-Identifier: MIT */
/* A task and its rules. No I/O: what a task may be is decided here, whatever its source. */
#ifndef CARILLON_TASK_H
#define CARILLON_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/event.h"

#define TASK_ID_MAX       EVENT_ID_MAX
#define TASK_CONTENT_MAX  1000 /* Unicode code points */
#define TASK_CONTENT_SIZE (TASK_CONTENT_MAX * 4 + 1)

enum task_status { TASK_OPEN = 0, TASK_COMPLETED = 1 };

struct task {
    uint32_t id;
    uint32_t user_id;
    enum task_status status;
    char content[TASK_CONTENT_SIZE]; /* of content_length bytes: one written past the API may hold a NUL */
    size_t content_length;
    int64_t created_at_ms;
    int64_t completed_at_ms; /* CLOCK_NEVER: not completed */
    uint32_t version;        /* changes with every accepted change; the ETag */
};

/* What a POST asks for. */
struct task_new {
    uint32_t user_id;
    const char *content;
};

/* A new task as asked for, at that moment. It has no id yet. */
void task_begin(struct task *task, const struct task_new *asked, int64_t now_ms);

/* What a client says a task's other fields are: those it read and sent back. `given` is a set of
 * TASK_GIVES_*. */
#define TASK_GIVES_ID           1u
#define TASK_GIVES_USER_ID      2u
#define TASK_GIVES_CREATED_AT   4u
#define TASK_GIVES_COMPLETED_AT 8u
struct task_expected {
    unsigned given;
    int64_t id, user_id;
    int64_t created_at_ms, completed_at_ms;
};

/* What a PATCH asks for; at least one of status and content is there. */
struct task_patch {
    struct task_expected expected;
    bool has_status;
    enum task_status status;
    const char *content; /* NULL: unchanged */
};

/* NULL when a task may have this content (valid UTF-8); else a static sentence for people that says
 * what it must be, without subject. */
const char *task_content_fault(const char *content);

/* Sets the content; at most TASK_CONTENT_MAX code points. */
void task_set_content(struct task *task, const char *content);

/* Those of the given fields that the task has another value in; 0: none. */
unsigned task_differs(const struct task *task, const struct task_expected *expected);

/* Whether a patch asks for anything. */
bool task_patch_asks(const struct task_patch *patch);

/* Applies the patch at that moment (status 1 sets completed_at, 0 clears it) and tells which event it makes:
 * the status decides when both are given. The version
 * grows, and begins again at 1 when it cannot. */
enum event_type task_apply(struct task *task, const struct task_patch *patch, int64_t now_ms);

#endif
