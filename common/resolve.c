/* SPDX-License-Identifier: MIT */
/* One entry for each name, and at most one look-up for each at a time: a detached thread that ends with its
 * answer. It may outlive everything else in the process, whose end does not wait for it. So entries are never
 * freed (a program knows those of its settings), and a thread touches nothing but its entry.
 *
 * There is no look-up at regular times. Connections last for hours; an address matters when one is made, and
 * then a name server that works has a new answer within milliseconds. An answer of hours ago may by then be
 * the address of another machine, so the new one is waited for, but not for long. */
#include "common/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define FRESH_MS    1000 /* many connections are made at once, by one answer */
#define PATIENCE_MS 300  /* with a look-up, while an earlier answer is there */

struct host {
    struct host *next;
    char *name;
    bool looking;                 /* a look-up is under way... */
    int64_t began_at;             /* ...since then, monotonic ms */
    unsigned ended;               /* look-ups so far */
    pthread_cond_t has_ended;     /* one of them */
    int fault;                    /* of the last one, of getaddrinfo(); 0: none */
    struct resolve_answer answer; /* count 0: there is none */
    int64_t answered_at;
    size_t first;    /* of the answer's addresses: the one to try first, modulo their number */
    bool complained; /* that the answer is an earlier one */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct host *hosts;

/* ---- looking up ---------------------------------------------------------------------------------- */

static int look_up(const char *name, int flags, struct resolve_answer *answer)
{
    const struct addrinfo hints = {
        .ai_flags = flags, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    struct addrinfo *found = NULL;

    answer->count = 0;
    int fault = getaddrinfo(name, NULL, &hints, &found);
    if (fault)
        return fault;
    for (const struct addrinfo *at = found; at && answer->count < RESOLVE_MAX; at = at->ai_next)
        if (getnameinfo(at->ai_addr, at->ai_addrlen, answer->text[answer->count], RESOLVE_SIZE, NULL, 0,
                        NI_NUMERICHOST) == 0)
            answer->count++;
    freeaddrinfo(found);
    return answer->count > 0 ? 0 : EAI_NONAME;
}

/* Any other fault is a name server's, the network's or our own, and says nothing about the name. */
static bool tells(int fault)
{
    return fault == 0 || fault == EAI_NONAME || fault == EAI_NODATA || fault == EAI_ADDRFAMILY;
}

enum word { NO_WORD, WORD_OLD, WORD_NEW };

static enum word end_look_up(struct host *host, int fault, const struct resolve_answer *found)
{
    bool complained = host->complained;

    host->looking = false;
    host->ended++;
    host->fault = fault;
    if (tells(fault)) {
        host->answer = *found;
        host->answered_at = clock_monotonic_ms();
    }
    host->complained = !tells(fault) && host->answer.count > 0;
    pthread_cond_broadcast(&host->has_ended);
    return host->complained == complained ? NO_WORD : host->complained ? WORD_OLD : WORD_NEW;
}

static void *run(void *argument)
{
    struct host *host = argument;
    struct resolve_answer found;
    int fault = look_up(host->name, 0, &found);

    pthread_mutex_lock(&mutex);
    enum word word = end_look_up(host, fault, &found);
    pthread_mutex_unlock(&mutex);
    if (word == WORD_OLD)
        log_warn("no answer about the host %s (%s): going on with the one from before", host->name,
                 gai_strerror(fault));
    else if (word == WORD_NEW)
        log_info("the host %s can be looked up again", host->name);
    log_keep(false);
    return NULL;
}

/* Signals are for other threads, except the one that a thread's own calls raise (common/sandbox.h). */
static void begin_look_up(struct host *host)
{
    pthread_attr_t detached;
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    host->looking = pthread_create(&thread, &detached, run, host) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    host->began_at = clock_monotonic_ms();
    if (!host->looking)
        host->fault = EAI_MEMORY;
}

/* ---- answering ----------------------------------------------------------------------------------- */

static struct host *find(const char *name)
{
    struct host *host = hosts;
    while (host && strcmp(host->name, name) != 0)
        host = host->next;
    return host;
}

static struct host *add(const char *name)
{
    struct host *host = calloc(1, sizeof *host);
    pthread_condattr_t attributes;

    if (!host || !(host->name = strdup(name)))
        abort();
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&host->has_ended, &attributes);
    pthread_condattr_destroy(&attributes);
    host->next = hosts;
    hosts = host;
    return host;
}

static void wait_for_look_up(struct host *host, int64_t until)
{
    const struct timespec end = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    unsigned ended = host->ended;
    int waited = 0;

    while (host->looking && host->ended == ended && waited == 0)
        waited = pthread_cond_timedwait(&host->has_ended, &mutex, &end);
}

static void have_new_answer(struct host *host, int64_t deadline)
{
    bool known = host->answer.count > 0;

    if (known && clock_monotonic_ms() - host->answered_at < FRESH_MS)
        return;
    if (!host->looking)
        begin_look_up(host);
    int64_t patience_ends = host->began_at + PATIENCE_MS;
    wait_for_look_up(host, known && patience_ends < deadline ? patience_ends : deadline);
}

enum err resolve_name(const char *name, int64_t deadline, struct resolve_answer *answer, const char **why)
{
    if (look_up(name, AI_NUMERICHOST, answer) == 0)
        return ERR_OK;
    pthread_mutex_lock(&mutex);
    struct host *host = find(name);
    if (!host)
        host = add(name);
    have_new_answer(host, deadline);
    answer->count = host->answer.count;
    for (size_t i = 0; i < answer->count; i++)
        memcpy(answer->text[i], host->answer.text[(host->first + i) % answer->count], RESOLVE_SIZE);
    *why = host->looking ? "the name server does not answer" : gai_strerror(host->fault);
    pthread_mutex_unlock(&mutex);
    return answer->count > 0 ? ERR_OK : ERR_UNAVAILABLE;
}

/* Only the first one is passed over: several threads may have met the same fault. */
void resolve_failed(const char *name, const char *address)
{
    pthread_mutex_lock(&mutex);
    struct host *host = find(name);
    if (host && host->answer.count > 0 &&
        strcmp(host->answer.text[host->first % host->answer.count], address) == 0)
        host->first = (host->first + 1) % host->answer.count;
    pthread_mutex_unlock(&mutex);
}
