/* SPDX-License-Identifier: MIT */
#include "bench/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK "load-"

static uint32_t clients_of(const struct tally *tally, uint32_t user)
{
    return tally->clients / tally->users + (user < tally->clients % tally->users ? 1 : 0);
}

void tally_init(struct tally *tally, uint32_t users, uint32_t clients, uint32_t events)
{
    *tally = (struct tally){.run = (uint32_t)getpid(), .users = users, .clients = clients, .events = events};
    tally->slots = (clients + users - 1) / users;
    tally->event = calloc(events + 1, sizeof *tally->event);
    tally->got = calloc((size_t)events * tally->slots + 1, 1);
    if (!tally->event || !tally->got)
        abort();
}

void tally_again(struct tally *tally)
{
    memset(tally->got, 0, (size_t)tally->events * tally->slots);
    tally->delivered = tally->doubled = tally->misdirected = tally->repeated = 0;
    for (uint32_t i = 0; i < tally->events; i++) {
        struct tally_event *event = &tally->event[i];
        event->missing = clients_of(tally, event->user);
        event->first_at = event->last_at = 0;
    }
}

void tally_content(const struct tally *tally, uint32_t event, char content[TALLY_CONTENT_SIZE])
{
    snprintf(content, TALLY_CONTENT_SIZE, MARK "%08x-%08u", tally->run, event);
}

void tally_sent(struct tally *tally, uint32_t number, uint32_t user, int64_t at)
{
    struct tally_event *event = &tally->event[number];
    *event = (struct tally_event){.user = user, .sent_at = at, .missing = clients_of(tally, user)};
}

void tally_accepted(struct tally *tally, uint32_t number, bool accepted)
{
    struct tally_event *event = &tally->event[number];
    if (!accepted || event->counted)
        return;
    event->counted = true;
    tally->expected += clients_of(tally, event->user);
}

/* The event of this run that it is, or none. */
static bool recognize(const struct tally *tally, const char *payload, size_t length, uint32_t *number)
{
    unsigned run, event;
    char text[TALLY_CONTENT_SIZE];
    const char *at = memmem(payload, length, MARK, sizeof MARK - 1);
    if (!at || length - (size_t)(at - payload) < sizeof MARK - 1 + 17)
        return false;
    memcpy(text, at, sizeof MARK - 1 + 17);
    text[sizeof MARK - 1 + 17] = '\0';
    if (sscanf(text, MARK "%8x-%8u", &run, &event) != 2 || run != tally->run || event >= tally->events)
        return false;
    *number = event;
    return true;
}

void tally_heard(struct tally *tally, uint32_t client, const char *payload, size_t length, int64_t at)
{
    uint32_t number;
    if (!recognize(tally, payload, length, &number))
        return; /* an event of an earlier run */
    if (tally->event[number].user != client % tally->users) {
        tally->misdirected++;
        return;
    }
    struct tally_event *event = &tally->event[number];
    uint8_t *got = &tally->got[(size_t)number * tally->slots + client / tally->users];
    if (*got && tally->repeats) {
        tally->repeated++;
        tally->delivered++;
        tally->last_at = at;
        return;
    }
    if (*got) {
        tally->doubled++;
        return;
    }
    *got = 1;
    tally->delivered++;
    event->missing--;
    if (event->first_at == 0)
        event->first_at = at;
    event->last_at = tally->last_at = at;
    samples_add(&tally->latency, (double)(at - event->sent_at) / 1e6);
}

bool tally_event_complete(const struct tally *tally, uint32_t event)
{
    return tally->event[event].counted && tally->event[event].missing == 0;
}

uint64_t tally_missing(const struct tally *tally)
{
    uint64_t missing = 0;
    if (tally->expected > tally->delivered)
        return tally->expected - tally->delivered;
    /* A refused event that was delivered all the same must not make up for a lost one. */
    for (uint32_t i = 0; !tally->repeats && i < tally->events; i++)
        missing += tally->event[i].counted ? tally->event[i].missing : 0;
    return missing;
}
