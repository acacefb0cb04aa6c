/* SPDX-License-Identifier: MIT */
/* The publisher thread: from the outbox to the broker. Each worker has one, and one of a pool is at work
 * (turn.c).
 *
 * The prefix rule: an event of a user is never published while a lower one of that user is still in the
 * outbox and has not been published before it on this connection. Numbers rise in commit order, so a
 * transaction that sees event n sees all before it. Therefore reading a user's outbox from the lowest row up,
 * by a plain read that skips nothing, keeps the rule, however many publishers there are and wherever one of
 * them dies. Readers drop events they have seen, so publishing twice is harmless; publishing out of order is
 * not. An event whose predecessor was sent on this connection keeps the rule without a read of the outbox, so
 * hints carry their events (flight_place(); docs/models/outbox.pml has the whole rule).
 *
 * A second rule: nothing is published that could still be lost. InnoDB shows a commit to other connections
 * before its log is on disk. If the broker had an event that a crashed database then lacked, another event
 * would get its number, and readers would drop it. So a hint carries the number of an event whose commit has
 * returned, and the outbox is read up to that number. Events that the sweeper finds are first made durable by
 * a commit of our own (store_barrier). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher/internal.h"
#include "fcgi-api/publisher/look.h"

#define WAIT_MOST_MS  1000
#define BACKOFF_FIRST 200
#define BACKOFF_MOST  3000
#define NUDGE         SIGURG /* interrupts the wait for the turn */
#define NUDGE_MS      20

/* ---- hints --------------------------------------------------------------------------------------- */

void publisher_hint(struct publisher *publisher, const struct outbox_event *event)
{
    (void)pool_hint(publisher->pool, &event->meta, event->queued_at_ms, event->payload, event->length);
}

void publisher_wake(struct publisher *publisher)
{
    (void)pool_wake(publisher->pool);
}

static bool takes_hints(const struct publisher *publisher)
{
    /* Otherwise hints wait in the pipe. A worker that stops takes those that are there, and no more. */
    return publisher->link.state == LINK_READY && !publisher->hints_closed &&
           worklist_count(&publisher->outgoing.todo) + PUBLISHER_HINTS <= TODO_MAX;
}

static enum err take_hint(struct publisher *publisher, struct pool_hint *hint)
{
    if (hint->meta.user_id == 0)
        return ERR_OK;
    enum err err = publisher_send_hinted(publisher, hint);
    if (err != ERR_AGAIN)
        return err;
    (void)worklist_add(&publisher->outgoing.todo, hint->meta.user_id, hint->meta.seq);
    return ERR_OK;
}

/* Events whose hints had been read when the connection is lost are found again in the outbox. */
static enum err take_hints(struct publisher *publisher)
{
    bool last = atomic_load(&publisher->stopping);

    while (takes_hints(publisher)) {
        size_t count = pool_take_hints(publisher->pool, publisher->hints, PUBLISHER_HINTS);
        for (size_t i = 0; i < count; i++) {
            enum err err = take_hint(publisher, &publisher->hints[i]);
            if (err)
                return err;
        }
        if (count < PUBLISHER_HINTS) {
            publisher->hints_closed = last;
            return ERR_OK;
        }
    }
    return ERR_OK;
}

/* ---- the connection ------------------------------------------------------------------------------ */

/* Every failure is handled in the same way: close the connection, forget what was in flight (it is still in
 * the outbox), reconnect after a growing pause and read the outbox again. */
static void lose(struct publisher *publisher)
{
    publisher_link_complain(publisher, "connection lost", publisher->why);
    publisher_heal_abandon(publisher);
    publisher_link_close(publisher);
    publisher_forget_batch(publisher);
    worklist_clear(&publisher->outgoing.todo); /* publisher_catch_up() finds them again */
    publisher->outgoing.alive_at = publisher->upkeep.keeping.since = 0;
    flight_clear(&publisher->sending.flight);
}

static void lose_if(struct publisher *publisher, enum err err)
{
    if (err == ERR_CLOSED && publisher->link.amqp)
        lose(publisher);
}

static void get_ready(struct publisher *publisher)
{
    publisher->link.state = LINK_READY;
    publisher->upkeep.sweep_at = 0;
    publisher_ends_begin(publisher);
    health_connected(publisher->metrics, true, clock_monotonic_ms());
    health_blocked(publisher->metrics, publisher->link.blocked);
    publisher_catch_up(publisher);
    lose_if(publisher, publisher_send_beacon(publisher)); /* its confirm shows that the connection works */
}

static enum err on_event(struct publisher *publisher, const struct amqp_event *event)
{
    switch (event->kind) {
    case AMQP_ACK:
        publisher->outgoing.event_confirmed = false;
        publisher_on_confirm(publisher, event->tag, event->multiple);
        /* While events wait, a confirmed beacon does not make the connection good. */
        if (publisher->outgoing.event_confirmed || publisher_idle(publisher))
            publisher_link_is_good(publisher);
        return ERR_OK;
    case AMQP_NACK:
        return publisher_on_refusal(publisher, event->tag, event->multiple);
    case AMQP_RETURN:
        metrics_add(publisher->metrics, API_EVENTS_UNCONFIRMED, 1);
        return publisher_lost(publisher, "%s came back: the stream is gone, or a new one", event->message_id);
    default:
        return ERR_OK; /* the publisher consumes nothing */
    }
}

static void listen_to(struct publisher *publisher)
{
    struct amqp_event event;
    for (;;) {
        switch (publisher_link_next(publisher, &event)) {
        case LINK_NOTHING:
            return;
        case LINK_UP:
            publisher->link.state = LINK_UNHEALED;
            publisher_heal_begin(publisher);
            break;
        case LINK_EVENT:
            lose_if(publisher, on_event(publisher, &event));
            break;
        case LINK_LOST:
            lose(publisher);
            return;
        }
    }
}

static void heal(struct publisher *publisher)
{
    if (publisher->link.state != LINK_UNHEALED)
        return;
    enum heal_state state = publisher_heal_step(publisher);
    if (state == HEAL_DONE)
        get_ready(publisher);
    else if (state == HEAL_LOST)
        lose(publisher);
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Every time in here is one that the loop moves on when it has come: otherwise it would not sleep at all. */
static int64_t wake_time(const struct publisher *publisher, int64_t now)
{
    int64_t wake = earlier(now + WAIT_MOST_MS, publisher->upkeep.sweep_at);
    wake = earlier(wake, publisher_compare_time(publisher));
    if (publisher->link.state == LINK_DOWN)
        return earlier(wake, publisher->link.retry_at);
    /* Only calls of the link send heartbeats. */
    wake = earlier(wake, now + publisher->config->amqp_heartbeat_s * 1000 / 3);
    if (publisher->link.state == LINK_UNHEALED)
        return earlier(wake, publisher->healing.next_at);
    wake = earlier(wake, publisher_ends_time(publisher));
    if (publisher->sending.flight.landed_count > 0)
        wake = earlier(wake, later(publisher->outgoing.take_out_at, publisher->db_retry_at));
    wake = earlier(wake, publisher_emitted_time(publisher));
    wake = earlier(wake, publisher_complete_time(publisher));
    if (publisher_gathers(publisher))
        wake = earlier(wake, pace_next(&publisher->sending.pace));
    else if (publisher_may_send(publisher))
        wake = earlier(wake, publisher->db_retry_at);
    if (atomic_load(&publisher->stopping))
        wake = earlier(wake, atomic_load(&publisher->stop_at));
    return wake;
}

static void wait_for_something(struct publisher *publisher)
{
    struct link *link = &publisher->link;
    int64_t now = clock_monotonic_ms(), wait = wake_time(publisher, now) - now;
    struct pollfd fds[2] = {{.fd = -1, .events = POLLIN}, {.fd = -1, .events = POLLIN}};

    if (wait <= 0)
        return;
    if (takes_hints(publisher) && !publisher_gathers(publisher))
        fds[0].fd = pool_fd(publisher->pool);
    if (link->amqp)
        fds[1].fd = amqp_link_fd(link->amqp);
    if (link->no_room && !link->blocked)
        fds[1].events |= POLLOUT;
    log_flush();
    (void)poll(fds, 2, (int)wait);
    link->no_room = false;
}

/* True when all hinted events are sent, or no time or no broker is left: the outbox keeps the rest. */
static bool finished(struct publisher *publisher)
{
    if (!atomic_load(&publisher->stopping))
        return false;
    if (publisher->link.state != LINK_READY || clock_monotonic_ms() >= atomic_load(&publisher->stop_at))
        return true;
    return publisher_idle(publisher) && publisher->hints_closed;
}

/* ---- the thread ----------------------------------------------------------------------------------- */

static void work(struct publisher *publisher)
{
    log_keep(true);
    publisher->store = store_new(publisher->config);
    publisher->comparing.connection = 0;
    store_use_metrics(publisher->store, publisher->metrics);
    health_connected(publisher->metrics, false, 0);
    health_blocked(publisher->metrics, false);
    while (!finished(publisher) && !publisher_turn_is_over(publisher)) {
        publisher_show_up(publisher);
        listen_to(publisher);
        lose_if(publisher, publisher_compare(publisher));
        heal(publisher);
        if (!publisher_gathers(publisher)) {
            lose_if(publisher, take_hints(publisher));
            lose_if(publisher, publisher_drain(publisher));
        }
        lose_if(publisher, publisher_take_out(publisher));
        publisher_count_life(publisher);
        lose_if(publisher, publisher_sweep(publisher));
        publisher_find_emitted(publisher);
        lose_if(publisher, publisher_say_complete(publisher));
        lose_if(publisher, publisher_tell_ends(publisher));
        wait_for_something(publisher);
    }
    if (!atomic_load(&publisher->stopping)) {
        (void)publisher_lost(publisher, "the pool's publisher moves again, and this one waits");
        lose(publisher);
    }
    publisher_forget_batch(publisher);
    look_end(&publisher->healing.look); /* it may leave in the middle of a heal */
    amqp_link_close(&publisher->link.amqp);
    publisher->link.state = LINK_DOWN;
    store_free(&publisher->store); /* and with it the locks */
    log_keep(false);
}

static void *run(void *argument)
{
    struct publisher *publisher = argument;
    while (publisher_wait_for_turn(publisher))
        work(publisher);
    atomic_store(&publisher->ended, true);
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------ */

static void free_publisher(struct publisher *publisher)
{
    store_free(&publisher->store);
    worklist_free(&publisher->outgoing.todo);
    flight_free(&publisher->sending.flight);
    publisher_ends_free(publisher);
    watermark_reset(&publisher->upkeep.watermark);
    free(publisher);
}

static void ignore(int signal_number)
{
    (void)signal_number;
}

/* The request thread handles signals, except the one that a thread's own calls raise (common/sandbox.h) and
 * the one that ends the wait for the turn. */
static int start_thread(struct publisher *publisher)
{
    struct sigaction nudge = {.sa_handler = ignore}; /* no SA_RESTART */
    sigset_t all, before;
    sigemptyset(&nudge.sa_mask);
    sigaction(NUDGE, &nudge, NULL);
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    sigdelset(&all, NUDGE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&publisher->thread, NULL, run, publisher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum err publisher_start(const struct config *config, struct metrics *metrics, struct pool *pool,
                         struct publisher **out)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        abort();
    publisher->config = config;
    publisher->metrics = metrics;
    publisher->pool = pool;
    publisher->link.backoff = BACKOFF_INIT(BACKOFF_FIRST, BACKOFF_MOST);
    worklist_init(&publisher->outgoing.todo, TODO_MAX);
    flight_init(&publisher->sending.flight);
    atomic_store(&publisher->waiting, true);
    if (start_thread(publisher) != 0) {
        free_publisher(publisher);
        return ERR_SYSTEM;
    }
    *out = publisher;
    return ERR_OK;
}

/* A signal that comes before the wait has begun is lost, so it is sent repeatedly. */
static void join(struct publisher *publisher)
{
    const struct timespec pause = {.tv_nsec = NUDGE_MS * 1000000L};
    while (!atomic_load(&publisher->ended)) {
        if (atomic_load(&publisher->waiting))
            (void)pthread_kill(publisher->thread, NUDGE);
        (void)nanosleep(&pause, NULL);
    }
    pthread_join(publisher->thread, NULL);
}

void publisher_stop(struct publisher **publisher, int deadline_ms)
{
    struct publisher *self = *publisher;

    if (!self)
        return;
    atomic_store(&self->stop_at, clock_monotonic_ms() + deadline_ms);
    atomic_store(&self->stopping, true);
    (void)pool_wake(self->pool); /* in case it sleeps */
    join(self);
    free_publisher(self);
    *publisher = NULL;
}
