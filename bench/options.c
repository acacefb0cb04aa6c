/* SPDX-License-Identifier: MIT */
/* The options of wsload. */
#include "bench/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/loop.h"

#define PATIENCE_S 20

struct options options = {.dialect = "carillon",
                          .users = 1,
                          .user_base = 1,
                          .task_base = 1,
                          .slots = 32,
                          .window = 256,
                          .rounds = 1,
                          .patience_ns = PATIENCE_S * NS_PER_S};

static uint32_t number(const char *name, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value > 1000000000)
        fail("--%s is '%s', which is no sensible number", name, text);
    return (uint32_t)value;
}

static enum trigger_kind trigger_kind(const char *name)
{
    static const char *const names[] = {
        [TRIGGER_PATCH] = "patch", [TRIGGER_GET] = "get", [TRIGGER_POST] = "post", [TRIGGER_MQTT] = "mqtt"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum trigger_kind)i;
    fail("no trigger '%s'", name);
}

enum {
    O_DIALECT,
    O_WS,
    O_HTTP,
    O_TRIGGER,
    O_CLIENTS,
    O_USERS,
    O_USER_BASE,
    O_TASKS,
    O_TASK_BASE,
    O_EVENTS,
    O_SLOTS,
    O_WINDOW,
    O_COMEBACK,
    O_ROUNDS,
    O_PATIENCE,
    O_RATE,
    O_ONE,
    O_IN_TURN,
    O_HOLD,
    O_TOLERATE,
    O_REPEATS,
    O_HELP
};

static const struct option known[] = {
    {"dialect", 1, NULL, O_DIALECT},
    {"ws", 1, NULL, O_WS},
    {"http", 1, NULL, O_HTTP},
    {"trigger", 1, NULL, O_TRIGGER},
    {"clients", 1, NULL, O_CLIENTS},
    {"users", 1, NULL, O_USERS},
    {"user-base", 1, NULL, O_USER_BASE},
    {"tasks", 1, NULL, O_TASKS},
    {"task-base", 1, NULL, O_TASK_BASE},
    {"events", 1, NULL, O_EVENTS},
    {"slots", 1, NULL, O_SLOTS},
    {"window", 1, NULL, O_WINDOW},
    {"comeback", 1, NULL, O_COMEBACK},
    {"rounds", 1, NULL, O_ROUNDS},
    {"patience", 1, NULL, O_PATIENCE},
    {"rate", 1, NULL, O_RATE},
    {"one-at-a-time", 0, NULL, O_ONE},
    {"in-turn", 0, NULL, O_IN_TURN},
    {"hold", 0, NULL, O_HOLD},
    {"tolerate", 0, NULL, O_TOLERATE},
    {"repeats", 0, NULL, O_REPEATS},
    {"help", 0, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

static uint32_t *number_of(int option)
{
    switch (option) {
    case O_CLIENTS:
        return &options.clients;
    case O_USERS:
        return &options.users;
    case O_USER_BASE:
        return &options.user_base;
    case O_TASKS:
        return &options.tasks;
    case O_TASK_BASE:
        return &options.task_base;
    case O_EVENTS:
        return &options.events;
    case O_SLOTS:
        return &options.slots;
    case O_WINDOW:
        return &options.window;
    case O_COMEBACK:
        return &options.comeback;
    case O_ROUNDS:
        return &options.rounds;
    default:
        return NULL;
    }
}

static void show_help(void)
{
    puts("usage: wsload [OPTION VALUE]...; the head of bench/wsload.c tells what they do:");
    for (const struct option *option = known; option->name; option++)
        printf("  --%s\n", option->name);
    exit(0);
}

static void take_option(int option, int index, const char *value)
{
    switch (option) {
    case O_DIALECT:
        options.dialect = value;
        break;
    case O_WS:
        address_parse(value, &options.ws);
        break;
    case O_HTTP:
        address_parse(value, &options.http);
        break;
    case O_TRIGGER:
        options.trigger = trigger_kind(value);
        options.triggers = true;
        break;
    case O_PATIENCE:
        options.patience_ns = number("patience", value) * NS_PER_S;
        break;
    case O_RATE:
        options.rate = atof(value);
        break;
    case O_ONE:
        options.one_at_a_time = true;
        break;
    case O_IN_TURN:
        options.in_turn = true;
        break;
    case O_HOLD:
        options.hold = true;
        break;
    case O_TOLERATE:
        options.tolerate = true;
        break;
    case O_REPEATS:
        options.repeats = true;
        break;
    case O_HELP:
        show_help();
        break;
    case '?':
        fail("see --help");
        break;
    default:
        *number_of(option) = number(known[index].name, value);
    }
}

void options_parse(int argc, char **argv)
{
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", known, &index)) != -1)
        take_option(option, index, optarg);
    if (options.users == 0 || options.slots == 0 || options.window == 0)
        fail("--users, --slots and --window are at least 1");
    if (options.tasks == 0)
        options.tasks = options.users;
    if (options.comeback > 0)
        options.events = options.comeback * options.users;
    if (options.events > 0 && !options.triggers)
        fail("--events needs --trigger and --http");
}
