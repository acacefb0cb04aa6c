/* SPDX-License-Identifier: MIT */
/* A load program of scripts/scale: thousands of clients of one notifier that stay, and changes at a rate.
 * Several of it make a crowd that one process could not hold, and bench/scale.py tells them what to do.
 *
 *   crowd --ws HOST:PORT/PATH --clients N --user-base U [--http HOST:PORT]
 *
 * Client i hears user U + i. What standard input says, a line each:
 *
 *   connect                       all clients connect and subscribe
 *   share USER                    all, when they are in, hear this user, too
 *   send COUNT RATE TASK TASKS    COUNT PATCHes, RATE a second, of random tasks from TASK to TASK + TASKS - 1
 *   report                        prints one JSON object: what happened since the last report
 *
 * Nothing but `report` is answered. It ends when standard input ends. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/member.h"
#include "bench/trigger.h"

#define SLOTS        64
#define STEP_NS      100000000LL /* the loop turns so often when nothing is due */
#define COMMAND_SIZE 256

static struct {
    uint32_t count, next, accepted, refused, free_count;
    unsigned free_slots[SLOTS];
    uint32_t task, tasks;
    double rate;
    int64_t begin;
    int64_t due[SLOTS];
    struct samples answer_us; /* from due to answered */
} load;

/* ---- changes ------------------------------------------------------------------------------------- */

static void on_done(unsigned slot, uint32_t event, int status)
{
    (void)event;
    load.free_slots[load.free_count++] = slot;
    if (status >= 200 && status < 300)
        load.accepted++;
    else
        load.refused++;
    samples_add(&load.answer_us, (double)(now_ns() - load.due[slot]) / 1e3);
}

static int64_t next_due(void)
{
    if (load.next == load.count || load.free_count == 0)
        return INT64_MAX;
    return load.begin + (int64_t)(load.next / load.rate * 1e9);
}

static void send_due(void)
{
    int64_t due;
    while ((due = next_due()) <= now_ns()) {
        char content[48];
        unsigned slot = load.free_slots[--load.free_count];
        load.due[slot] = due;
        snprintf(content, sizeof content, MEMBER_MARK "%lld", (long long)due);
        trigger_send(slot, load.next++, load.task + (uint32_t)random() % load.tasks, 0, content);
    }
}

/* ---- commands ------------------------------------------------------------------------------------ */

static void print_values(const char *name, struct samples *samples)
{
    printf(",\"%s\":[", name);
    for (size_t i = 0; i < samples->count; i++)
        printf("%s%.0f", i == 0 ? "" : ",", samples->values[i]);
    printf("]");
    samples_clear(samples);
}

static void report(void)
{
    printf(
        "{\"members\":%u,\"in\":%u,\"in_at\":%lld,\"ended\":%llu,\"refused_connections\":%llu,\"back\":%llu,"
        "\"forgotten\":%llu,\"replayed\":%llu,\"heard\":%llu,\"disorder\":%llu,\"shared\":%llu,"
        "\"shared_first_at\":%lld,\"shared_last_at\":%lld,\"shared_due_at\":%lld,\"sent\":%u,\"accepted\":%u,"
        "\"refused\":%u",
        figures.members, figures.in, (long long)figures.in_at, (unsigned long long)figures.ended,
        (unsigned long long)figures.refused, (unsigned long long)figures.back,
        (unsigned long long)figures.forgotten, (unsigned long long)figures.replayed,
        (unsigned long long)figures.heard, (unsigned long long)figures.disorder,
        (unsigned long long)figures.shared, (long long)figures.shared_first_at,
        (long long)figures.shared_last_at, (long long)figures.shared_due_at, load.next, load.accepted,
        load.refused);
    print_values("own_us", &figures.own_us);
    print_values("answer_us", &load.answer_us);
    printf("}\n");
    fflush(stdout);
    figures_clear();
}

static void start_sending(const char *arguments)
{
    unsigned count, task, tasks;
    double rate;
    if (sscanf(arguments, "%u %lf %u %u", &count, &rate, &task, &tasks) != 4 || rate <= 0 || tasks == 0)
        fail("'send%s' is not like: send COUNT RATE TASK TASKS", arguments);
    if (load.next != load.count || load.free_count != SLOTS)
        fail("told to send while it still does");
    load.count = count;
    load.next = load.accepted = load.refused = 0;
    load.rate = rate;
    load.task = task;
    load.tasks = tasks;
    load.begin = now_ns();
}

static void obey(const char *line)
{
    unsigned user;
    if (strcmp(line, "connect") == 0)
        members_connect();
    else if (strcmp(line, "report") == 0)
        report();
    else if (strncmp(line, "send", 4) == 0)
        start_sending(line + 4);
    else if (sscanf(line, "share %u", &user) == 1)
        members_share(user);
    else
        fail("'%s' is no command", line);
}

static void on_input(struct watch *watch, uint32_t ready)
{
    static char held[COMMAND_SIZE];
    static size_t length;
    char *end;
    (void)ready;
    ssize_t got = read(watch->fd, held + length, sizeof held - 1 - length);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0)
        exit(0); /* the sockets are the kernel's to close */
    length += (size_t)got;
    held[length] = '\0';
    while ((end = strchr(held, '\n'))) {
        *end = '\0';
        obey(held);
        length -= (size_t)(end + 1 - held);
        memmove(held, end + 1, length + 1);
    }
    if (length == sizeof held - 1)
        fail("a command of more than %d bytes", COMMAND_SIZE);
}

/* ---- the program --------------------------------------------------------------------------------- */

static uint32_t number(const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > 4000000000UL)
        fail("'%s' is no sensible number", text);
    return (uint32_t)value;
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {{"ws", 1, NULL, 'w'},
                                          {"http", 1, NULL, 'h'},
                                          {"clients", 1, NULL, 'c'},
                                          {"user-base", 1, NULL, 'u'},
                                          {NULL, 0, NULL, 0}};
    struct address ws = {0}, http = {0};
    uint32_t clients = 0, user_base = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'w':
            address_parse(optarg, &ws);
            break;
        case 'h':
            address_parse(optarg, &http);
            break;
        case 'c':
            clients = number(optarg);
            break;
        case 'u':
            user_base = number(optarg);
            break;
        default:
            fail("the head of bench/crowd.c says what it takes");
        }
    }
    if (clients > 0 && (ws.port == 0 || user_base == 0))
        fail("--clients needs --ws and --user-base");
    members_init(&ws, clients, user_base);
    trigger_init(TRIGGER_PATCH, &http, SLOTS, on_done);
}

int main(int argc, char **argv)
{
    static struct watch input = {.fd = STDIN_FILENO, .ready = on_input};
    loop_init();
    parse(argc, argv);
    while (load.free_count < SLOTS) {
        load.free_slots[load.free_count] = load.free_count;
        load.free_count++;
    }
    srandom((unsigned)getpid());
    loop_watch(&input, EPOLLIN);
    for (;;) {
        int64_t now = now_ns(), until = members_tick(now), due;
        send_due();
        due = next_due();
        until = due < until ? due : until;
        loop_step(until < now + STEP_NS ? until : now + STEP_NS);
    }
}
