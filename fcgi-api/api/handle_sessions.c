/* SPDX-License-Identifier: MIT */
/* Ending a user's sessions: tokens issued before are refused from now on, and sockets that they opened
 * closed. While the service is open it is noted all the same, for the time when tokens are wanted. */
#include <stdlib.h>

#include "common/clock.h"
#include "fcgi-api/api/handlers.h"
#include "fcgi-api/api/write.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/http/precondition.h"
#include "fcgi-api/http/problem.h"

static enum err end_sessions(struct app *app, uint32_t user_id, const struct store_origin *origin,
                             struct store_answer *answer)
{
    /* A token that is issued in this second may be from before: it is refused, too. */
    int64_t before_s = clock_wall_ms() / 1000 + 1;
    enum err err = store_sessions_end(app->store, user_id, before_s, origin, answer);

    if (err == ERR_OK || err == ERR_UNCERTAIN) { /* it may be there: all workers are to look */
        metrics_add(app->service->metrics, API_SESSIONS_ENDED, 1);
        publisher_wake(app->publisher);
    }
    return err;
}

void handle_sessions_end(struct app *app, struct request *request, struct response *response)
{
    struct store_idempotency idempotency;
    struct store_answer answer = {0};
    struct store_origin origin = write_origin(request);
    struct precondition precondition;
    struct user user;
    enum err err;

    if (!precondition_read(request, &precondition, response) ||
        !write_read_key(request, &idempotency, &origin, response))
        return;
    if (precondition.if_match == NULL)
        err = end_sessions(app, request->target_id, &origin, &answer);
    else if ((err = store_user_get(app->store, request->target_id, NULL, &user)) == ERR_OK)
        err = ERR_STALE; /* there is nothing at this address that it could be true of */
    if (err == ERR_OK) {
        response->status = 204;
        write_note_repeated(response, &answer);
    } else if (err == ERR_NOT_FOUND) {
        problem_answer(response, request, PROBLEM_NOT_FOUND, "There is no user %u.", request->target_id);
    } else if (err == ERR_STALE) {
        precondition_answer_failed(response, request);
    } else {
        problem_answer_err(response, request, err);
    }
    free(answer.body);
}
