/* SPDX-License-Identifier: MIT */
/* Tells notifiers which users' sessions were ended: new ends at once, in a beacon, and from time to time all
 * ends that still matter, for a notifier that starts. Like the epoch, this goes through the exchange to which
 * only the API may write. */
#include <string.h>

#include "common/clock.h"
#include "common/random_id.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/publisher/internal.h"

#define ENDS_A_MESSAGE 4000
#define ALL_LEAST_MS   60000  /* between two whole lists ... */
#define ALL_MOST_MS    300000 /* ... when they are long; notifiers read back further: ENDS_HISTORY_S */
#define MANY           1000
#define LOOK_MS        500 /* for sessions that another pool ended */

static void take(void *context, uint32_t user_id, int64_t before_s)
{
    struct ending *ending = context;
    if (before_s >= ending->oldest_s && session_ends_add(&ending->all, user_id, before_s))
        (void)session_ends_add(&ending->news, user_id, before_s);
}

/* As the table is purged (upkeep.c): a token is good for the leeway longer than for its life. */
static int64_t oldest_of(const struct config *config)
{
    int64_t life_s = config->jwt_max_life_s;
    return life_s > 0 ? clock_wall_ms() / 1000 - life_s - config->jwt_leeway_s : 0;
}

static enum err read_ends(struct publisher *publisher)
{
    struct ending *ending = &publisher->ending;
    ending->oldest_s = oldest_of(publisher->config);
    if (store_session_ends(publisher->store, &ending->last_id, take, ending) != ERR_OK)
        return ERR_AGAIN;
    session_ends_forget(&ending->all, ending->oldest_s);
    return ERR_OK;
}

static enum err say(struct publisher *publisher, const struct session_end *ends, size_t count,
                    const struct session_ends_message *message)
{
    struct strbuf body = {0};
    session_ends_write(ends, count, message, &body);
    enum err err = publisher_send_word(publisher, body.text, body.length);
    strbuf_free(&body);
    return err;
}

static size_t piece_of(size_t left)
{
    return left < ENDS_A_MESSAGE ? left : ENDS_A_MESSAGE;
}

static enum err say_news(struct publisher *publisher)
{
    static const struct session_ends_message of_no_list = {0};
    struct session_ends *news = &publisher->ending.news;
    const struct session_end *list = session_ends_list(news);
    size_t count = session_ends_count(news);
    enum err err = ERR_OK;
    for (size_t at = 0; at < count && !err; at += ENDS_A_MESSAGE)
        err = say(publisher, list + at, piece_of(count - at), &of_no_list);
    if (!err)
        session_ends_free(news);
    return err;
}

/* Goes on where the last call had to stop: a long list does not fit into what may be unconfirmed at a time.
 * It can change in between, so the place is a user. */
static enum err say_all(struct publisher *publisher)
{
    struct ending *ending = &publisher->ending;
    const struct session_end *all = session_ends_list(&ending->all);
    size_t at = 0, whole = session_ends_count(&ending->all);
    struct session_ends_message message = {.last = false};

    if (ending->told == 0)
        random_id_hex(ending->list, sizeof ending->list - 1);
    memcpy(message.list, ending->list, sizeof message.list);
    while (at < whole && all[at].user_id <= ending->told)
        at++;
    while (!message.last) {
        size_t count = piece_of(whole - at);
        message.first = ending->told == 0;
        message.last = at + count == whole;
        enum err err = say(publisher, count > 0 ? all + at : NULL, count, &message);
        if (err)
            return err;
        at += count;
        ending->told = message.last ? 0 : all[at - 1].user_id;
    }
    return ERR_OK;
}

static int64_t pause_of(const struct session_ends *all)
{
    int64_t pause_ms = ALL_LEAST_MS * (1 + (int64_t)(session_ends_count(all) / MANY));
    return pause_ms < ALL_MOST_MS ? pause_ms : ALL_MOST_MS;
}

void publisher_ends_begin(struct publisher *publisher)
{
    publisher->ending.all_at = publisher->ending.look_at = 0;
    publisher->ending.told = 0;
}

int64_t publisher_ends_time(const struct publisher *publisher)
{
    const struct link *link = &publisher->link;
    return link->state == LINK_READY && !link->blocked ? publisher->ending.look_at : INT64_MAX;
}

static enum err read_and_say(struct publisher *publisher, bool all)
{
    struct ending *ending = &publisher->ending;
    bool begins = all && ending->told == 0;
    if (begins)
        ending->last_id = 0; /* as in api/sessions.c: the whole table */
    enum err err = read_ends(publisher);
    if (begins)
        session_ends_free(&ending->news); /* the list has them */
    if (!err)
        err = say_news(publisher);
    return err || !all ? err : say_all(publisher);
}

/* New ends that could not be sent are sent at once with the next whole list. */
enum err publisher_tell_ends(struct publisher *publisher)
{
    struct ending *ending = &publisher->ending;
    int64_t counted = metrics_get(publisher->metrics, API_SESSIONS_ENDED), now = clock_monotonic_ms();
    int64_t look_at = publisher_ends_time(publisher);
    bool all = now >= ending->all_at;

    if (look_at == INT64_MAX || (now < look_at && (counted == ending->counted || ending->failed)))
        return ERR_OK;
    ending->look_at = now + LOOK_MS;
    enum err err = read_and_say(publisher, all);
    ending->failed = err != ERR_OK;
    if (err) {
        ending->all_at = 0;
        return err;
    }
    ending->counted = counted;
    if (all)
        ending->all_at = now + pause_of(&ending->all);
    return ERR_OK;
}

void publisher_ends_free(struct publisher *publisher)
{
    session_ends_free(&publisher->ending.all);
    session_ends_free(&publisher->ending.news);
}
