/* SPDX-License-Identifier: MIT */
/* Tells notifiers which users' sessions were ended: new ends at once, in a beacon, and from time to time all
 * ends that still matter, for a notifier that starts. Like the epoch, this goes through the exchange to which
 * only the API may write. */
#include "common/clock.h"
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
    if (session_ends_add(&ending->all, user_id, before_s))
        (void)session_ends_add(&ending->news, user_id, before_s);
}

static enum err read_ends(struct publisher *publisher)
{
    struct ending *ending = &publisher->ending;
    int64_t life_s = publisher->config->jwt_max_life_s;
    if (store_session_ends(publisher->store, &ending->last_id, take, ending) != ERR_OK)
        return ERR_AGAIN;
    if (life_s > 0)
        session_ends_forget(&ending->all, clock_wall_ms() / 1000 - life_s);
    return ERR_OK;
}

static enum err say(struct publisher *publisher, const struct session_ends *ends, bool all)
{
    enum err err = ERR_OK;
    for (size_t at = 0; (at < ends->count || (all && at == 0)) && !err; at += ENDS_A_MESSAGE) {
        struct strbuf body = {0};
        size_t left = ends->count - at;
        bool last = left <= ENDS_A_MESSAGE;
        session_ends_write(ends->list + at, last ? left : ENDS_A_MESSAGE, all && at == 0, all && last, &body);
        err = publisher_send_word(publisher, body.text, body.length);
        strbuf_free(&body);
    }
    return err;
}

static int64_t pause_of(const struct session_ends *all)
{
    int64_t pause_ms = ALL_LEAST_MS * (1 + (int64_t)(all->count / MANY));
    return pause_ms < ALL_MOST_MS ? pause_ms : ALL_MOST_MS;
}

void publisher_ends_begin(struct publisher *publisher)
{
    publisher->ending.all_at = publisher->ending.look_at = 0;
}

/* Ends that could not be sent are sent at once with the next whole list. */
enum err publisher_tell_ends(struct publisher *publisher)
{
    struct ending *ending = &publisher->ending;
    int64_t counted = metrics_get(publisher->metrics, API_SESSIONS_ENDED), now = clock_monotonic_ms();
    bool all = now >= ending->all_at;

    if (publisher->link.state != LINK_READY || publisher->link.blocked ||
        (now < ending->look_at && (counted == ending->counted || ending->failed)))
        return ERR_OK;
    ending->look_at = now + LOOK_MS;
    if (all)
        ending->last_id = 0; /* as in api/sessions.c: the whole table */
    enum err err = read_ends(publisher);
    if (!err)
        err = say(publisher, all ? &ending->all : &ending->news, all);
    ending->failed = err != ERR_OK;
    if (err) {
        ending->all_at = 0;
        return err;
    }
    session_ends_free(&ending->news);
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
