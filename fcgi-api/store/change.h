/* SPDX-License-Identifier: MIT */
/* A change on its way into the database: from the thread whose request it is, through its process's commit
 * group (group.h), to the transaction that it shares with others (batch.h). Made on that thread's stack. */
#ifndef CARILLON_STORE_CHANGE_H
#define CARILLON_STORE_CHANGE_H

#include <semaphore.h>

#include "common/strbuf.h"
#include "fcgi-api/store/store.h"

enum change_kind { CHANGE_CREATE, CHANGE_UPDATE, CHANGE_DELETE, CHANGE_EMIT };

struct change {
    enum change_kind kind;
    const struct store_origin *origin;
    const struct task_new *asked;            /* create */
    const struct event_new *emitted;         /* emit: an event of another program, and nothing else */
    uint32_t task_id;                        /* update, delete */
    const struct task_patch *patch;          /* update */
    const struct store_condition *condition; /* update, delete; NULL: none */
    int64_t deadline;                        /* monotonic ms: not begun by then, it is not begun at all */

    /* the result */
    enum err err;
    struct store_answer *answer;
    struct strbuf body; /* the answer's JSON; empty for a delete */
    enum event_type type;
    struct cursor at; /* the event's epoch and number */
    int64_t now_ms;   /* when it was made */
    struct outbox_event event;

    /* the commit group's */
    enum change_state {
        CHANGE_WAITS,
        CHANGE_LEADS,       /* its thread leads the next group */
        CHANGE_LEADS_THESE, /* its thread leads those behind it, which were left out */
        CHANGE_GOES_ALONE,
        CHANGE_DONE,
    } state;
    sem_t woken;     /* the state is not CHANGE_WAITS any more */
    bool goes_alone; /* what it needs cannot be had together with others */
    struct change *next;
};

#endif
