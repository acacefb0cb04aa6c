/* Signals. A blocking accept() is interrupted by them because no handler restarts calls. A signal that
 * arrives just before the accept would be missed; therefore an alarm follows it every second. */
#include "fcgi-api/http/drain.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int drain_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#define DRAIN_SIGNAL_COUNT (sizeof drain_signals / sizeof drain_signals[0])

static volatile sig_atomic_t asked;
static volatile sig_atomic_t seconds;
static void (*wake_acceptor)(void);

static void on_drain(int signal_number)
{
    (void)signal_number;
    if (asked)
        return;
    asked = 1;
    wake_acceptor();
    alarm(1);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    if (++seconds >= DRAIN_DEADLINE_S)
        _exit(3);
    alarm(1);
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART */
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void mask(int how)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGALRM);
    for (size_t i = 0; i < DRAIN_SIGNAL_COUNT; i++)
        sigaddset(&signals, drain_signals[i]);
    pthread_sigmask(how, &signals, NULL);
}

void drain_install(void (*wake)(void))
{
    wake_acceptor = wake;
    mask(SIG_BLOCK);
    for (size_t i = 0; i < DRAIN_SIGNAL_COUNT; i++)
        handle(drain_signals[i], on_drain);
    handle(SIGALRM, on_alarm);
    handle(SIGPIPE, SIG_IGN); /* a peer that left is an error of its write */
}

void drain_open(void)
{
    mask(SIG_UNBLOCK);
}

bool drain_asked(void)
{
    return asked;
}
