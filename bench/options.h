/* SPDX-License-Identifier: MIT */
/* The options of a run of wsload; the head of bench/wsload.c explains them. */
#ifndef CARILLON_BENCH_OPTIONS_H
#define CARILLON_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/trigger.h"

struct options {
    const char *dialect;
    struct address ws, http;
    enum trigger_kind trigger;
    uint32_t clients, users, user_base, tasks, task_base, events, slots, window, comeback, rounds;
    double rate;
    int64_t patience_ns;
    bool triggers, one_at_a_time, in_turn, hold, tolerate, repeats;
};

extern struct options options;

/* Ends the program with one line when something is wrong with them. */
void options_parse(int argc, char **argv);

#endif
