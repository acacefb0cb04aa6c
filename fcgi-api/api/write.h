/* SPDX-License-Identifier: MIT */
/* What all writes share: their origin, their Idempotency-Key, the list that they belong to. */
#ifndef CARILLON_API_WRITE_H
#define CARILLON_API_WRITE_H

#include <stdbool.h>

#include "fcgi-api/api/handlers.h"
#include "fcgi-api/store/store.h"

/* What a write carries into its event. */
struct store_origin write_origin(const struct request *request);

/* Reads the request's Idempotency-Key, if it has one, into the origin. False: the response says what is wrong
 * with it. */
bool write_read_key(const struct request *request, struct store_idempotency *idempotency,
                    struct store_origin *origin, struct response *response);

/* A POST is to the list, and so are its preconditions: they are looked at as a GET of it would, by its
 * handler (and hold for that moment; the list's tags are weak, which If-Match never takes). False: the
 * response says why not. */
bool write_list_allows(struct app *app, struct request *request, struct response *response,
                       route_handler *get_list);

/* After a write that went well: says whether the answer is a remembered one. */
void write_note_repeated(struct response *response, const struct store_answer *answer);

#endif
