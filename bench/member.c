/* SPDX-License-Identifier: MIT */
/* Reads frames by their beginning, as the notifier writes them: a load program needs no parser. */
#include "bench/member.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/wsock.h"

#define MS      1000000LL
#define WINDOW  256 /* connections that are being made at a time: no backlog overflows */
#define TICK_NS (20 * MS)
/* The kernel takes every second of its 28,000 ports first; when those are used up, it looks through all of
 * them for each connection, which takes 5 ms. So there is another address for each so many users: 127.1.0.0,
 * 127.1.0.1 ... */
#define FIRST_SOURCE   0x7f010000U
#define SOURCE_SOCKETS 8000
#define PLACE_SIZE     64
#define RESTART        1012 /* close codes: of a notifier that stops, */
#define FIRST_REFUSAL  4000 /* and the first of those that end a measurement */
#define RESTART_SPREAD (5000 * MS)
#define FIRST_PAUSE    (1000 * MS)
#define MOST_DOUBLINGS 5 /* pauses of 1 s, 2 s ... 32 s, where feed.js ends at 30 */

enum state { OUT, OPENING, IN };

struct member {
    struct wsock wsock; /* first: a wsock is turned into its member */
    uint32_t user;
    uint8_t state, answers, failures;
    int64_t again_at; /* OUT: when it may connect */
    uint64_t seq;
    char place[PLACE_SIZE]; /* its cursor; empty before the first answer */
};

struct figures figures;
static struct member *members;
static struct address address;
static uint32_t shared_user, opening, out;

void figures_clear(void)
{
    samples_clear(&figures.own_us);
    figures = (struct figures){
        .members = figures.members, .in = figures.in, .in_at = figures.in_at, .own_us = figures.own_us};
}

/* ---- frames -------------------------------------------------------------------------------------- */

/* What follows `key` in the payload, or NULL. The byte behind a payload is not its own: numbers are read from
 * a copy. */
static const char *value_of(const char *payload, size_t length, const char *key, size_t *left)
{
    const char *at = memmem(payload, length, key, strlen(key));
    if (!at)
        return NULL;
    at += strlen(key);
    *left = (size_t)(payload + length - at);
    return at;
}

static uint64_t number_of(const char *payload, size_t length, const char *key)
{
    char digits[24];
    size_t left;
    const char *at = value_of(payload, length, key, &left);
    if (!at)
        return 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(left < sizeof digits - 1 ? left : sizeof digits - 1), at);
    return strtoull(digits, NULL, 10);
}

/* Keeps the frame's cursor. Returns its number. */
static uint64_t keep_place(struct member *member, const char *payload, size_t length)
{
    size_t left;
    const char *at = value_of(payload, length, "\"cursor\":\"", &left);
    const char *end = at ? memchr(at, '"', left) : NULL;
    if (!end || end - at >= PLACE_SIZE)
        fail("a frame without a cursor: %.*s", (int)length, payload);
    snprintf(member->place, PLACE_SIZE, "%.*s", (int)(end - at), at);
    const char *colon = strchr(member->place, ':');
    return colon ? strtoull(colon + 1, NULL, 10) : 0;
}

static void subscribe(struct member *member, uint32_t user)
{
    char text[200];
    int length;
    if (user != member->user)
        length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u}", user);
    else if (member->place[0] == '\0')
        length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u,\"since\":null}", user);
    else
        length = snprintf(text, sizeof text, "{\"type\":\"subscribe\",\"user_id\":%u,\"since\":\"%s\"}", user,
                          member->place);
    wsock_send(&member->wsock, WSOCK_TEXT, text, (size_t)length);
}

static void take_answer(struct member *member, uint32_t user, const char *payload, size_t length)
{
    if (user == member->user) {
        bool returns = member->place[0] != '\0';
        bool recovered = memmem(payload, length, "\"recovered\":true", 16) != NULL;
        uint64_t seq = keep_place(member, payload, length);
        if (!returns || !recovered)
            member->seq = seq;
        figures.back += returns;
        figures.forgotten += returns && !recovered;
        figures.replayed += number_of(payload, length, "\"replayed\":");
    }
    if (++member->answers < (shared_user ? 2 : 1))
        return;
    member->state = IN;
    member->failures = 0;
    opening--;
    if (++figures.in == figures.members)
        figures.in_at = now_ns();
}

static void take_notification(struct member *member, uint32_t user, const char *payload, size_t length)
{
    int64_t now = now_ns(), due = (int64_t)number_of(payload, length, MEMBER_MARK);
    if (user == shared_user) {
        figures.shared++;
        figures.shared_due_at = due;
        figures.shared_last_at = now;
        if (figures.shared_first_at == 0)
            figures.shared_first_at = now;
        return;
    }
    if (user != member->user)
        fail("the client of user %u heard user %u", member->user, user);
    uint64_t seq = keep_place(member, payload, length);
    figures.disorder += seq != member->seq + 1;
    member->seq = seq;
    figures.heard++;
    if (due > 0)
        samples_add(&figures.own_us, (double)(now - due) / 1e3);
}

static bool starts_with(const char *payload, size_t length, const char *text)
{
    return length >= strlen(text) && memcmp(payload, text, strlen(text)) == 0;
}

static void on_message(struct wsock *wsock, const char *payload, size_t length)
{
    struct member *member = (struct member *)wsock;
    uint32_t user = (uint32_t)number_of(payload, length, "\"user_id\":");
    if (starts_with(payload, length, "{\"type\":\"notification\""))
        take_notification(member, user, payload, length);
    else if (starts_with(payload, length, "{\"type\":\"heartbeat\""))
        keep_place(member, payload, length);
    else if (starts_with(payload, length, "{\"type\":\"subscribe\""))
        take_answer(member, user, payload, length);
    else
        fail("the client of user %u was told %.*s", member->user, (int)length, payload);
}

/* ---- connections --------------------------------------------------------------------------------- */

static void on_request(struct wsock *wsock, char *path, size_t path_size, char *headers, size_t headers_size)
{
    (void)wsock;
    snprintf(path, path_size, "%s", address.path);
    snprintf(headers, headers_size, "%s", "");
}

static void on_opened(struct wsock *wsock)
{
    struct member *member = (struct member *)wsock;
    subscribe(member, member->user);
    if (shared_user)
        subscribe(member, shared_user);
}

static int64_t spread(int64_t ns)
{
    return (int64_t)((double)random() / RAND_MAX * (double)ns);
}

/* As client/feed.js: a pause between half and the whole of 1 s, 2 s, 4 s ...; after 1012 any within 5 s. */
static int64_t pause_of(const struct member *member, unsigned code)
{
    int64_t longest = FIRST_PAUSE << member->failures, pause = longest / 2 + spread(longest / 2);
    if (code != RESTART)
        return pause;
    int64_t restart = spread(RESTART_SPREAD);
    return member->failures > 0 && pause > restart ? pause : restart;
}

static void on_closed(struct wsock *wsock, const char *why)
{
    struct member *member = (struct member *)wsock;
    unsigned code = 0;
    if (sscanf(why, "closed by the server with %u", &code) == 1 && code >= FIRST_REFUSAL)
        fail("the client of user %u: %s", member->user, why);
    if (member->state == IN) {
        figures.in--;
        figures.ended++;
    } else {
        opening--;
        figures.refused++;
    }
    member->again_at = now_ns() + pause_of(member, code);
    if (member->failures < MOST_DOUBLINGS)
        member->failures++;
    member->state = OUT;
    member->answers = 0;
    out++;
}

static const struct wsock_events events = {on_request, on_opened, on_message, on_closed};

void members_init(const struct address *ws, uint32_t count, uint32_t user_base)
{
    address = *ws;
    figures.members = count;
    members = calloc(count + 1, sizeof *members);
    if (!members)
        abort();
    for (uint32_t i = 0; i < count; i++) {
        members[i].user = user_base + i;
        members[i].wsock.watch.fd = -1;
    }
}

void members_connect(void)
{
    out = figures.members;
}

void members_share(uint32_t user)
{
    shared_user = user;
    for (uint32_t i = 0; i < figures.members; i++) {
        struct member *member = &members[i];
        if (member->state != IN)
            continue;
        member->state = OPENING;
        opening++;
        figures.in--;
        subscribe(member, user);
    }
}

/* Not at each turn of the loop: it looks at all of them. */
int64_t members_tick(int64_t now)
{
    static int64_t due;
    if (now < due)
        return due;
    for (uint32_t i = 0; i < figures.members && out > 0 && opening < WINDOW; i++) {
        struct member *member = &members[i];
        if (member->state != OUT || member->again_at > now)
            continue;
        member->state = OPENING;
        out--;
        opening++;
        address.source = htonl(FIRST_SOURCE + member->user / SOURCE_SOCKETS);
        wsock_open(&member->wsock, &address, &events);
    }
    due = now + TICK_NS;
    return out > 0 ? due : INT64_MAX;
}
