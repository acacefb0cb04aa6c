/* SPDX-License-Identifier: MIT */
#include "fcgi-api/api/write.h"

#include "fcgi-api/api/idempotency.h"
#include "fcgi-api/http/precondition.h"
#include "fcgi-api/http/problem.h"

struct store_origin write_origin(const struct request *request)
{
    return (struct store_origin){
        .request_id = request->id, .traceparent = request->traceparent, .grant = &request->identity.grant};
}

bool write_read_key(const struct request *request, struct store_idempotency *idempotency,
                    struct store_origin *origin, struct response *response)
{
    enum err err = idempotency_read(request, idempotency);
    if (err == ERR_INVALID)
        problem_answer(response, request, PROBLEM_BAD_REQUEST,
                       "An Idempotency-Key is 1 to %d visible ASCII characters, in quotes or not.",
                       IDEMPOTENCY_KEY_MAX);
    else if (err != ERR_OK)
        problem_answer_err(response, request, err);
    if (err == ERR_OK && idempotency->key[0] != '\0')
        origin->idempotency = idempotency;
    return err == ERR_OK;
}

bool write_list_allows(struct app *app, struct request *request, struct response *response,
                       route_handler *get_list)
{
    struct response list = {0};
    if (!precondition_is_given(request))
        return true;
    response_begin(&list);
    get_list(app, request, &list);
    int status = list.status;
    response_free(&list);
    if (status == 404)
        return true; /* the call itself says what is not there */
    if (status == 304 || status == 412)
        precondition_answer_failed(response, request);
    else if (status != 200)
        problem_answer(response, request, status == 400 ? PROBLEM_BAD_REQUEST : PROBLEM_UNAVAILABLE,
                       "If-Match and If-None-Match could not be compared with the list.");
    return status == 200;
}

void write_note_repeated(struct response *response, const struct store_answer *answer)
{
    if (answer->repeated)
        response_header(response, "Idempotency-Replayed", "true");
}
