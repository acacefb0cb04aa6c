/* SPDX-License-Identifier: MIT */
/* Signals. No handler runs: they stay blocked in every thread, and the main thread takes them one by one. */
#include "fcgi-api/http/drain.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "common/clock.h"

static const int drain_signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
#define DRAIN_SIGNAL_COUNT (sizeof drain_signals / sizeof drain_signals[0])

static atomic_bool asked;
static pthread_t waiting; /* the main thread */
static int64_t asked_at_ms;

static sigset_t all_of_them(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < DRAIN_SIGNAL_COUNT; i++)
        sigaddset(&signals, drain_signals[i]);
    return signals;
}

static void ignore(int signal_number)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void drain_install(void)
{
    sigset_t signals = all_of_them();
    waiting = pthread_self();
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    ignore(SIGHUP);
    ignore(SIGPIPE); /* a peer that left is an error of its write */
}

void drain_wait(void)
{
    sigset_t signals = all_of_them();
    int taken;
    while (sigwait(&signals, &taken) != 0)
        ;
    atomic_store(&asked, true);
    asked_at_ms = clock_monotonic_ms();
}

void drain_ask(void)
{
    atomic_store(&asked, true);
    pthread_kill(waiting, SIGUSR1);
}

bool drain_asked(void)
{
    return atomic_load(&asked);
}

int drain_left_ms(void)
{
    int64_t left = asked_at_ms + DRAIN_DEADLINE_MS - clock_monotonic_ms();
    return left > 0 ? (int)left : 0;
}
