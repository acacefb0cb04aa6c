/* The publisher thread: from the outbox to the broker.
 *
 * The prefix rule: an event of a user is never published while a lower one of his is still in the outbox
 * and has not been published before it on this connection. Numbers rise in commit order, so whoever sees
 * event n sees all before it: reading a user's outbox from the lowest row up, by a plain read that skips
 * nothing, keeps the rule however many publishers there are and wherever one of them dies. Readers drop
 * what they have seen, so publishing twice does no harm; publishing out of order would.
 *
 * And a rule beside it: nothing is published that could still be lost. InnoDB shows a commit to other
 * connections before its log is on disk. An event that the broker had and a crashed database then had
 * not would leave its number to another event, which readers would drop. So a hint carries the number of
 * an event whose commit has returned, and the outbox is read up to that; what the sweeper finds is made
 * durable by a commit of our own first (store_barrier). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "fcgi-api/publisher_internal.h"

#define HINTS_MAX     1024
#define TODO_MAX      4096
#define WAIT_MOST_MS  1000
#define BACKOFF_FIRST 200
#define BACKOFF_MOST  3000

/* ---- hints --------------------------------------------------------------------------------------- */

void publisher_hint(struct publisher *publisher, uint32_t user_id, uint64_t seq)
{
    uint64_t one = 1;
    pthread_mutex_lock(&publisher->mutex); /* the thread holds it only to take what is there */
    bool wake = worklist_count(&publisher->hints) == 0;
    (void)worklist_add(&publisher->hints, user_id, seq);
    pthread_mutex_unlock(&publisher->mutex);
    if (wake)
        (void)!write(publisher->wake_fd, &one, sizeof one);
}

static void take_hints(struct publisher *publisher)
{
    struct work work;
    uint64_t count;

    (void)!read(publisher->wake_fd, &count, sizeof count);
    if (publisher->state != LINK_READY)
        return; /* they wait in their place */
    pthread_mutex_lock(&publisher->mutex);
    while (worklist_count(&publisher->todo) < TODO_MAX && worklist_take(&publisher->hints, &work))
        (void)worklist_add(&publisher->todo, work.user_id, work.upto);
    pthread_mutex_unlock(&publisher->mutex);
}

static bool has_hints(struct publisher *publisher)
{
    pthread_mutex_lock(&publisher->mutex);
    bool any = worklist_count(&publisher->hints) > 0;
    pthread_mutex_unlock(&publisher->mutex);
    return any;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t wake_time(const struct publisher *publisher, int64_t now)
{
    int64_t wake = earlier(now + WAIT_MOST_MS, publisher->sweep_at);
    if (publisher->state == LINK_DOWN)
        return earlier(wake, publisher->retry_at);
    /* Heartbeats are sent inside calls of the link only. */
    wake = earlier(wake, now + publisher->config->amqp_heartbeat_s * 1000 / 3);
    if (publisher->state == LINK_UNHEALED)
        return earlier(wake, publisher->healing.next_at);
    if (publisher->flight.landed_count > 0)
        wake = earlier(wake, publisher->delete_at);
    if (publisher_may_send(publisher))
        wake = earlier(wake, publisher->db_retry_at);
    if (atomic_load(&publisher->stopping))
        wake = earlier(wake, atomic_load(&publisher->stop_at));
    return wake;
}

static void wait_for_something(struct publisher *publisher)
{
    int64_t now = clock_monotonic_ms(), wait = wake_time(publisher, now) - now;
    struct pollfd fds[2] = {{.fd = publisher->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};

    if (wait <= 0)
        return;
    if (publisher->link)
        fds[1].fd = amqp_link_fd(publisher->link);
    if (publisher->no_room && !publisher->blocked)
        fds[1].events |= POLLOUT;
    (void)poll(fds, 2, (int)wait);
    publisher->no_room = false;
}

/* What was hinted is out, or there is no time or no broker left: the outbox keeps the rest. */
static bool finished(struct publisher *publisher)
{
    if (!atomic_load(&publisher->stopping))
        return false;
    if (publisher->state != LINK_READY || clock_monotonic_ms() >= atomic_load(&publisher->stop_at))
        return true;
    return publisher_idle(publisher) && !has_hints(publisher);
}

static void *run(void *argument)
{
    struct publisher *publisher = argument;
    while (!finished(publisher)) {
        publisher_link_step(publisher);
        take_hints(publisher);
        publisher_drain(publisher);
        publisher_delete_confirmed(publisher);
        publisher_sweep(publisher);
        wait_for_something(publisher);
    }
    publisher_forget_batch(publisher);
    amqp_link_close(&publisher->link);
    store_free(&publisher->store); /* and with it the locks */
    return NULL;
}

/* ---- start and stop ------------------------------------------------------------------------------ */

static void free_publisher(struct publisher *publisher)
{
    store_free(&publisher->store);
    worklist_free(&publisher->hints);
    worklist_free(&publisher->todo);
    flight_free(&publisher->flight);
    pthread_mutex_destroy(&publisher->mutex);
    if (publisher->wake_fd >= 0)
        close(publisher->wake_fd);
    free(publisher);
}

/* Signals are the request thread's business, except the one its own calls raise (common/sandbox.h). */
static int start_thread(struct publisher *publisher)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&publisher->thread, NULL, run, publisher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

enum err publisher_start(const struct config *config, struct metrics *metrics, struct publisher **out)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        abort();
    publisher->config = config;
    publisher->metrics = metrics;
    publisher->store = store_new(config);
    store_use_metrics(publisher->store, metrics);
    publisher->backoff = (struct backoff)BACKOFF_INIT(BACKOFF_FIRST, BACKOFF_MOST);
    pthread_mutex_init(&publisher->mutex, NULL);
    worklist_init(&publisher->hints, HINTS_MAX);
    worklist_init(&publisher->todo, TODO_MAX);
    flight_init(&publisher->flight);
    publisher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (publisher->wake_fd < 0 || start_thread(publisher) != 0) {
        free_publisher(publisher);
        return ERR_SYSTEM;
    }
    *out = publisher;
    return ERR_OK;
}

bool publisher_connected(const struct publisher *publisher)
{
    return atomic_load(&publisher->connected);
}

void publisher_stop(struct publisher **publisher, int deadline_ms)
{
    uint64_t one = 1;
    struct publisher *self = *publisher;

    if (!self)
        return;
    atomic_store(&self->stop_at, clock_monotonic_ms() + deadline_ms);
    atomic_store(&self->stopping, true);
    (void)!write(self->wake_fd, &one, sizeof one);
    pthread_join(self->thread, NULL);
    free_publisher(self);
    *publisher = NULL;
}
