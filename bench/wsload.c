/* SPDX-License-Identifier: MIT */
/* A load program for push servers: opens clients, makes events, and counts every delivery.
 *
 *   wsload --dialect carillon|twin|nchan|nchan-meta|mqtt --ws HOST:PORT/PATH --clients N [--users U]
 *          [--trigger patch|get|post|mqtt --http HOST:PORT/PATH] [--events N] ...
 *
 * Client i hears user `user-base` + i % users; task `task-base` + k belongs to user `user-base` + k % users.
 * Modes:
 *
 *   nothing else            connect and subscribe all of them at once, as long as that takes
 *   --hold                  then stay until standard input ends, so that the server can be measured
 *   --events N --slots K    N events over K connections, the next one as soon as there is an answer
 *   --events N --rate R     N events, R a second, whatever the answers do; times count from when an event
 *                           was due, not from when there was a connection for it
 *   --events N --one-at-a-time  the next event when all clients have the one before
 *   --comeback M            clients leave, each user gets M events, clients come back with their place
 *   --repeats               for a server that reads a task after changing it, in no transaction: its message
 *                           can have the text of a later change. Messages are counted; "repeated" says how
 *                           many had another's text
 *
 * An event that a client missed, got twice, or got out of order (where the dialect has numbers) ends the
 * program with status 1, and so does a request that failed, unless --tolerate. Prints one JSON object. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/dialect.h"
#include "bench/options.h"
#include "bench/tally.h"
#include "bench/trigger.h"

#define MS               1000000LL
#define KEEP_ALIVE_S     25
#define GRACE_NS         (300 * MS) /* time for a surplus delivery to arrive */
#define PAUSE_NS         (50 * MS)  /* between two events in --one-at-a-time */
#define COMEBACK_WAIT_NS (1500 * MS)
#define STATUS_MAX       600

static struct client *clients;
static struct tally tally;
static uint32_t subscribed_count, opened_count;
static uint64_t disorder;
static bool leaving;

static struct load {
    uint32_t next, answered, free_count;
    unsigned *free_slots;
    uint32_t *slot_task; /* the task that a slot is changing */
    uint8_t *busy;       /* tasks */
    int64_t begin, answered_at, progress_at;
    uint64_t status[STATUS_MAX];
    struct samples response;
} load;

/* ---- time ---------------------------------------------------------------------------------------- */

static int64_t tick_at;
static uint32_t tick;

/* Every second another part of the clients sends a keep-alive. */
static void keep_alive(int64_t now)
{
    if (now < tick_at)
        return;
    tick_at = now + NS_PER_S;
    tick++;
    for (uint32_t i = tick % KEEP_ALIVE_S; i < options.clients; i += KEEP_ALIVE_S)
        client_keep_alive(&clients[i]);
}

static void step(int64_t until)
{
    keep_alive(now_ns());
    loop_step(until < tick_at ? until : tick_at);
}

static void run_for(int64_t ns)
{
    int64_t until = now_ns() + ns;
    while (now_ns() < until)
        step(until);
}

/* ---- clients ------------------------------------------------------------------------------------- */

static void on_subscribed(struct client *client)
{
    (void)client;
    subscribed_count++;
}

static void on_heard(struct client *client, const char *payload, size_t length)
{
    tally_heard(&tally, client->index, payload, length, now_ns());
}

static void on_out_of_order(struct client *client, uint64_t expected, uint64_t seq)
{
    if (disorder++ == 0)
        fprintf(stderr, "wsload: client %u expected number %llu and heard %llu\n", client->index,
                (unsigned long long)expected, (unsigned long long)seq);
}

static void on_failed(struct client *client, const char *why)
{
    if (!leaving)
        fail("client %u of %u: %s", client->index, options.clients, why);
}

static const struct client_events client_events = {on_subscribed, on_heard, on_out_of_order, on_failed};

static void make_clients(void)
{
    const struct dialect *dialect = dialect_find(options.dialect);
    if (!dialect)
        fail("no dialect '%s'", options.dialect);
    clients_use(dialect, &options.ws, &client_events, options.comeback > 0);
    clients = calloc(options.clients + 1, sizeof *clients);
    if (!clients)
        abort();
    for (uint32_t i = 0; i < options.clients; i++) {
        clients[i].index = i;
        clients[i].user = options.user_base + i % options.users;
        clients[i].wsock.watch.fd = -1;
    }
}

/* Connects all clients, a window at a time, so that no server's backlog overflows. Returns the seconds until
 * the last one has subscribed. */
static double connect_all(void)
{
    int64_t begin = now_ns();
    subscribed_count = opened_count = 0;
    while (subscribed_count < options.clients) {
        while (opened_count < options.clients && opened_count - subscribed_count < options.window)
            client_open(&clients[opened_count++]);
        step(now_ns() + NS_PER_S);
        if (now_ns() - begin > options.patience_ns * 3)
            fail("only %u of %u clients could subscribe", subscribed_count, options.clients);
    }
    return (double)(now_ns() - begin) / 1e9;
}

static void leave_all(void)
{
    leaving = true;
    for (uint32_t i = 0; i < options.clients; i++) {
        client_leave(&clients[i]);
        if (i % 100 == 0)
            run_for(2 * MS);
    }
    run_for(GRACE_NS);
    leaving = false;
}

/* ---- load ---------------------------------------------------------------------------------------- */

static void on_done(unsigned slot, uint32_t event, int status)
{
    load.answered_at = load.progress_at = now_ns();
    load.free_slots[load.free_count++] = slot;
    load.busy[load.slot_task[slot]] = 0;
    load.answered++;
    load.status[status > 0 && status < STATUS_MAX ? status : 0]++;
    tally_accepted(&tally, event, status >= 200 && status < 300);
    samples_add(&load.response, (double)(load.answered_at - tally.event[event].sent_at) / 1e6);
}

/* When the next event may be sent; INT64_MAX: not before something else happens. */
static int64_t next_due(void)
{
    if (load.next == options.events || load.free_count == 0)
        return INT64_MAX;
    if (options.rate > 0)
        return load.begin + (int64_t)(load.next / options.rate * 1e9);
    if (!options.one_at_a_time || load.next == 0)
        return 0;
    return tally_event_complete(&tally, load.next - 1) ? tally.last_at + PAUSE_NS : INT64_MAX;
}

/* A task that no request is changing now: the order of two changes would be unknown, and a peer that reads
 * the row again after its change would report the same change twice. */
static uint32_t choose_task(uint32_t event)
{
    uint32_t k = options.in_turn ? event % options.tasks : (uint32_t)random() % options.tasks;
    for (uint32_t tries = 0; load.busy[k] && tries < options.slots; tries++)
        k = (k + 1) % options.tasks;
    return k;
}

static void send_next(int64_t due)
{
    char content[TALLY_CONTENT_SIZE];
    uint32_t event = load.next++;
    uint32_t k = choose_task(event), place = k % options.users;
    unsigned slot = load.free_slots[--load.free_count];
    load.slot_task[slot] = k;
    load.busy[k] = 1;
    tally_content(&tally, event, content);
    tally_sent(&tally, event, place, options.rate > 0 ? due : now_ns());
    trigger_send(slot, event, options.task_base + k, options.user_base + place, content);
}

static void load_init(void)
{
    load.free_slots = calloc(options.slots, sizeof *load.free_slots);
    load.slot_task = calloc(options.slots, sizeof *load.slot_task);
    load.busy = calloc(options.tasks, sizeof *load.busy);
    if (!load.free_slots || !load.slot_task || !load.busy)
        abort();
}

static void load_reset(void)
{
    load.next = load.answered = load.free_count = 0;
    for (unsigned i = 0; i < options.slots; i++)
        load.free_slots[load.free_count++] = i;
    load.begin = load.progress_at = now_ns();
}

static void run_load(void)
{
    load_reset();
    while (load.answered < options.events) {
        int64_t due;
        while ((due = next_due()) <= now_ns())
            send_next(due);
        int64_t limit = load.progress_at + options.patience_ns;
        step(due < limit ? due : limit);
        if (now_ns() > limit && next_due() == INT64_MAX)
            fail("no answer for a while: %u of %u events sent, %u answered", load.next, options.events,
                 load.answered);
    }
}

/* Runs until all accepted events were delivered, or nothing happens any more. */
static void wait_for_deliveries(void)
{
    uint64_t before = 0;
    int64_t limit = now_ns() + options.patience_ns;
    while (tally_missing(&tally) > 0 && now_ns() < limit) {
        step(now_ns() + NS_PER_S / 10);
        if (tally.delivered != before)
            limit = now_ns() + options.patience_ns;
        before = tally.delivered;
    }
}

/* ---- results ------------------------------------------------------------------------------------- */

static void print_load(void)
{
    double answered_s = (double)(load.answered_at - load.begin) / 1e9;
    double heard_s = tally.last_at > load.begin ? (double)(tally.last_at - load.begin) / 1e9 : answered_s;
    printf(",\"events\":%u,\"answered_s\":%.4f,\"delivered_s\":%.4f,\"status\":{", options.events, answered_s,
           heard_s);
    const char *before = "";
    for (int i = 0; i < STATUS_MAX; i++)
        if (load.status[i] > 0)
            printf("%s\"%d\":%llu", before, i, (unsigned long long)load.status[i]), before = ",";
    printf("}");
    samples_print(&load.response, "response_ms");
}

static void print_fan_out(void)
{
    struct samples spread = {0}, whole = {0};
    for (uint32_t i = 0; i < options.events; i++) {
        const struct tally_event *event = &tally.event[i];
        samples_add(&spread, (double)(event->last_at - event->first_at) / 1e6);
        samples_add(&whole, (double)(event->last_at - event->sent_at) / 1e6);
    }
    samples_print(&spread, "first_to_last_ms");
    samples_print(&whole, "sent_to_last_ms");
}

static void print_tally(void)
{
    printf(",\"expected\":%llu,\"delivered\":%llu,\"repeated\":%llu,\"lost\":%llu,\"doubled\":%llu,"
           "\"misdirected\":%llu,\"disorder\":%llu",
           (unsigned long long)tally.expected, (unsigned long long)tally.delivered,
           (unsigned long long)tally.repeated, (unsigned long long)tally_missing(&tally),
           (unsigned long long)tally.doubled, (unsigned long long)tally.misdirected,
           (unsigned long long)disorder);
    samples_print(&tally.latency, "frame_ms");
}

static uint64_t failed_requests(void)
{
    uint64_t failed = 0;
    for (int i = 0; i < STATUS_MAX; i++)
        failed += i < 200 || i > 299 ? load.status[i] : 0;
    return failed;
}

/* Whether all deliveries were as expected. */
static bool verdict(void)
{
    uint64_t missing = tally_missing(&tally), failed = options.tolerate ? 0 : failed_requests();
    if (missing + tally.doubled + tally.misdirected + disorder + failed == 0)
        return true;
    fprintf(stderr,
            "wsload: %llu lost, %llu doubled, %llu misdirected, %llu out of order, %llu requests failed\n",
            (unsigned long long)missing, (unsigned long long)tally.doubled,
            (unsigned long long)tally.misdirected, (unsigned long long)disorder, (unsigned long long)failed);
    return false;
}

/* ---- measures ------------------------------------------------------------------------------------ */

/* Until standard input ends. */
static void hold(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char ignored[256];
    fflush(stdout);
    while (poll(&input, 1, 0) == 0 || read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        step(now_ns() + NS_PER_S / 10);
}

static bool measure_live(void)
{
    double connect_s = connect_all();
    printf("{\"dialect\":\"%s\",\"clients\":%u,\"users\":%u,\"connect_s\":%.4f", options.dialect,
           options.clients, options.users, connect_s);
    if (options.events > 0) {
        run_load();
        wait_for_deliveries();
        run_for(options.clients > 0 ? GRACE_NS : 0);
        print_load();
        if (options.clients > 0)
            print_tally();
        if (options.one_at_a_time)
            print_fan_out();
    }
    printf("}\n");
    if (options.hold)
        hold();
    return verdict();
}

/* nchan gives a client its place with the first message. */
static void seed(void)
{
    load_reset();
    while (load.answered < options.users) {
        while (load.next < options.users && load.free_count > 0) {
            uint32_t place = load.next++;
            trigger_send(load.free_slots[--load.free_count], place, options.task_base + place,
                         options.user_base + place, "seed");
        }
        step(now_ns() + NS_PER_S);
    }
    load.response.count = 0;
}

static void come_back(uint32_t round)
{
    bool again = options.trigger == TRIGGER_MQTT; /* a session delivers its messages once */
    if (round == 0 || again) {
        tally_again(&tally);
        tally.expected = 0;
        run_load();
        run_for(COMEBACK_WAIT_NS);
    } else {
        tally_again(&tally);
    }
    int64_t begin = now_ns();
    double subscribed_s = connect_all();
    wait_for_deliveries();
    printf("%s{\"subscribed_s\":%.4f,\"complete_s\":%.4f}", round == 0 ? "" : ",", subscribed_s,
           (double)(tally.last_at - begin) / 1e9);
    run_for(GRACE_NS);
    leave_all();
}

static bool measure_comeback(void)
{
    bool good = true;
    options.tasks = options.users;
    options.in_turn = true;
    if (options.trigger == TRIGGER_POST)
        seed();
    double connect_s = connect_all();
    leave_all();
    printf("{\"dialect\":\"%s\",\"clients\":%u,\"users\":%u,\"missed\":%u,\"connect_s\":%.4f,\"rounds\":[",
           options.dialect, options.clients, options.users, options.comeback, connect_s);
    for (uint32_t i = 0; i < options.clients; i++)
        clients[i].resumes = true;
    for (uint32_t round = 0; round < options.rounds && good; round++) {
        come_back(round);
        good = verdict();
    }
    printf("]");
    print_load();
    print_tally();
    printf("}\n");
    return good;
}

int main(int argc, char **argv)
{
    options_parse(argc, argv);
    loop_init();
    make_clients();
    tally_init(&tally, options.users, options.clients, options.events);
    tally.repeats = options.repeats;
    load_init();
    if (options.triggers)
        trigger_init(options.trigger, &options.http, options.slots, on_done);
    while (options.triggers && !trigger_ready())
        step(now_ns() + NS_PER_S);
    srandom(1);
    return (options.comeback > 0 ? measure_comeback() : measure_live()) ? 0 : 1;
}
