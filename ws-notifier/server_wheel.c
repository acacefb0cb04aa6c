/* When each session is to be looked at again: for its ping, its pong, its goodbye. One tick of one timer
 * looks only at those whose time has come; with ten thousand sockets, walking past all of them each time was
 * half of what the notifier did at rest.
 *
 * A session that has shown life meanwhile is not moved: it is found when its old time comes, and put further.
 * A time beyond the wheel's end is looked at earlier, likewise. */
#include "ws-notifier/server_internal.h"

#include <utlist.h>

void wheel_put(struct server *server, struct session *session, int64_t due_ms)
{
    int64_t ticks = (due_ms - server->turned_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    if (ticks < 1)
        ticks = 1;
    if (ticks > WHEEL_SLOTS - 1)
        ticks = WHEEL_SLOTS - 1;
    session->slot = (uint8_t)((server->turned_ms / WHEEL_TICK_MS + ticks) % WHEEL_SLOTS);
    DL_APPEND(server->slots[session->slot], session);
}

void wheel_take(struct server *server, struct session *session)
{
    DL_DELETE(server->slots[session->slot], session);
}

void wheel_turn(struct server *server, int64_t now_ms)
{
    while (server->turned_ms + WHEEL_TICK_MS <= now_ms) {
        server->turned_ms += WHEEL_TICK_MS;
        struct session **slot = &server->slots[server->turned_ms / WHEEL_TICK_MS % WHEEL_SLOTS];
        while (*slot) {
            struct session *session = *slot;
            DL_DELETE(*slot, session);
            wheel_put(server, session, session_check(server, session, now_ms));
        }
    }
}
