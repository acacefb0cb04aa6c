/* SPDX-License-Identifier: MIT */
/* Reading the fields of an event of another program. */
#ifndef CARILLON_API_EVENT_INPUT_H
#define CARILLON_API_EVENT_INPUT_H

#include "common/event.h"
#include "fcgi-api/http/request.h"

/* From the request's JSON object; what is wrong goes to request->errors. The event's texts are the request's.
 */
void event_input_read(struct request *request, struct event_new *event);

#endif
