/* SPDX-License-Identifier: MIT */
/* Browsers' messages, through the whole notifier except its sockets (tests/property/shim.c). An input is
 * lines:
 *   o|k              the first: open, or a service with keys
 *   a|b|c TEXT       one of three browsers sends it
 *   h                each browser reads its waiting frames
 *   e USER           the user's next event comes
 *   w USER           the same, with one lost before it
 *   f TEXT           another program's message comes
 *   x EPOCH          the API announces its epoch
 *   y TEXT           a beacon with this body, about ended sessions
 *   m                a marker comes: all has been read
 *   n|d|g            connected anew, disconnected, heartbeats
 *   j HEADER         a request with this Authorization asks over HTTP to hear user 1
 *   t SECONDS        time passes */
#include "fuzz/fuzz.h"

#include "tests/property/shim.c"

#include "ws-notifier/protocol.h"

#define CLIENTS 3
#define USERS   4

static struct token_keys *keys;

static struct world {
    struct shim *shim;
    struct client *clients[CLIENTS];
    uint64_t last_seq[USERS];       /* of the stream */
    int64_t next_offset;            /* in it */
    uint64_t heard[CLIENTS][USERS]; /* the last that each heard */
    char epoch[CURSOR_EPOCH_MAX + 1];
    bool guarded;
} world;

static void start(void)
{
    static struct config config = {.jwt_secret = "0123456789abcdef0123456789abcdef",
                                   .jwt_public_key_file = "",
                                   .jwt_kid = "",
                                   .jwt_secret_2 = "",
                                   .jwt_public_key_2_file = "",
                                   .jwt_kid_2 = "",
                                   .jwt_audience = "",
                                   .jwt_issuer = ""};
    char why[256];
    CHECK(token_keys_new(&config, &keys, why, sizeof why) == ERR_OK);
}

/* A frame's number after "name": 0 when it has none. */
static uint64_t number_in(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found != NULL ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Events come in order, and only to clients that may hear them. */
static void check_event(size_t who, const char *text)
{
    uint64_t user = number_in(text, "\"fuzz_user\":"), seq = number_in(text, "\"fuzz_seq\":");
    const struct client_identity *identity = client_identity(world.clients[who]);

    if (user == 0 || user >= USERS || strncmp(text, "{\"fuzz_user\"", 12) != 0)
        return;
    CHECK(seq > world.heard[who][user]);
    world.heard[who][user] = seq;
    CHECK(!world.guarded || identity->admin || identity->user_id == user ||
          grant_lists(identity->groups, identity->group_count, (uint32_t)user));
}

static void hear(size_t who)
{
    const char *text;
    while ((text = shim_hear(world.clients[who])) != NULL) {
        CHECK(fuzz_is_object(text, strlen(text)));
        if (strncmp(text, "{\"type\":\"reset\"", 15) == 0)
            memset(world.heard[who], 0, sizeof world.heard[who]);
        check_event(who, text);
    }
}

static void check_message(const char *text, size_t length)
{
    struct protocol_message message, again;
    char why[PROTOCOL_WHY_SIZE];

    if (protocol_parse(text, length, &message, why) != ERR_OK) {
        CHECK(message.text == NULL && message.token == NULL && strlen(why) > 0);
        CHECK(!reception_understands(text, length));
        return;
    }
    CHECK(message.user_id >= 1 && fuzz_is_object(message.text, strlen(message.text)));
    CHECK(message.token == NULL || strlen(message.token) < 64 || strstr(message.text, message.token) == NULL);
    CHECK(protocol_parse(message.text, strlen(message.text), &again, why) == ERR_OK);
    CHECK(again.kind == message.kind && again.user_id == message.user_id && again.token == NULL);
    CHECK(again.since_kind == message.since_kind && strcmp(again.since.epoch, message.since.epoch) == 0);
    CHECK(again.since.seq == message.since.seq && again.since.time_s == message.since.time_s);
    protocol_clear(&again);
    protocol_clear(&message);
}

static void say(size_t who, const char *text, size_t length)
{
    char *exact = malloc(length + 1); /* of exactly this size: the sanitizer sees an access beyond it */
    memcpy(exact, text, length);
    exact = realloc(exact, length > 0 ? length : 1);
    check_message(exact, length);
    hear(who);
    reception_take(world.shim->reception, world.clients[who], exact, length);
    memset(world.heard[who], 0, sizeof world.heard[who]); /* the browser may have asked to hear it again */
    free(exact);
}

static void event(uint64_t user, uint64_t lost)
{
    char body[128];
    if (user == 0 || user >= USERS || world.epoch[0] == '\0')
        return;
    world.last_seq[user] += 1 + lost;
    snprintf(body, sizeof body, "{\"fuzz_user\":%d,\"fuzz_seq\":%llu}", (int)user,
             (unsigned long long)world.last_seq[user]);
    shim_event(world.shim, world.next_offset++, world.epoch, (uint32_t)user, world.last_seq[user], now_ms,
               body);
}

static void foreign(const char *text, size_t length)
{
    struct amqp_delivery delivery = {.offset = world.next_offset++,
                                     .type = "",
                                     .message_id = "",
                                     .account = "",
                                     .body = text,
                                     .body_length = length};
    feed_take(world.shim->feed, &delivery);
}

static void change_epoch(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (length == 0 || length > CURSOR_EPOCH_MAX || strncmp(text, world.epoch, sizeof world.epoch) == 0)
        return;
    for (size_t i = 0; i < CLIENTS; i++)
        hear(i);
    snprintf(world.epoch, sizeof world.epoch, "%.*s", (int)length, text);
    memset(world.last_seq, 0, sizeof world.last_seq);
    shim_control(world.shim, world.next_offset++, EVENT_BEACON_TYPE, world.epoch, now_ms / 1000);
}

/* A client that may hear this user has the user's token, or an administrator's. */
static void judge(const char *header)
{
    struct token token;
    const char *why = NULL, *text = token_in_header(header);

    if (reception_judge(world.shim->reception, header, 1, &why) != ADMISSION_GRANTED) {
        CHECK(world.guarded && why != NULL && why[0] != '\0');
        return;
    }
    if (!world.guarded)
        return;
    CHECK(text != NULL && token_verify(keys, text, clock_wall_ms() / 1000, &token, &why) == ERR_OK);
    CHECK(grant_covers(&token.grant, 1));
}

static void step(const char *line, size_t length)
{
    const char *rest = length > 2 ? line + 2 : "";
    size_t rest_length = length > 2 ? length - 2 : 0;

    switch (line[0]) {
    case 'a':
    case 'b':
    case 'c':
        say((size_t)(line[0] - 'a'), rest, rest_length);
        break;
    case 'h':
        for (size_t i = 0; i < CLIENTS; i++)
            hear(i);
        break;
    case 'e':
    case 'w':
        event(strtoull(rest, NULL, 10), line[0] == 'w');
        break;
    case 'f':
        foreign(rest, rest_length);
        break;
    case 'x':
        change_epoch(rest);
        break;
    case 'y':
        reception_take_word(world.shim->reception, rest, rest_length);
        break;
    case 'm':
        shim_control(world.shim, world.next_offset++, EVENT_MARKER_TYPE, "", now_ms / 1000);
        break;
    case 'j':
        judge(rest);
        break;
    case 'n':
        shim_connected(world.shim, rest[0] == 'r');
        break;
    case 'd':
        shim_disconnected(world.shim);
        break;
    case 'g':
        shim_beat(world.shim);
        break;
    case 't':
        shim_set_clock(now_ms + (int64_t)(strtoull(rest, NULL, 10) % 100000) * 1000);
        for (size_t i = 0; i < CLIENTS; i++)
            reception_check(world.shim->reception, world.clients[i]);
        shim_tick(world.shim);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t length = 0;
    char *line;

    if (keys == NULL)
        start();
    shim_set_clock(1700000000000);
    memset(&world, 0, sizeof world);
    world.guarded = size > 0 && data[0] == 'k';
    world.shim = shim_new(65536, 900, 5, 64, 65536);
    if (world.guarded) {
        reception_use_keys(world.shim->reception, keys);
        reception_take_word(world.shim->reception, "{}", 2);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        world.clients[i] = shim_connect(world.shim);
        reception_welcome(world.shim->reception, world.clients[i], NULL);
    }
    (void)fuzz_next(&input, '\n', NULL);
    while ((line = fuzz_next(&input, '\n', &length)) != NULL)
        step(line, length);
    for (size_t i = 0; i < CLIENTS; i++) {
        hear(i);
        shim_leave(world.shim, world.clients[i]);
    }
    shim_free(world.shim);
    fuzz_free_texts();
    return 0;
}
