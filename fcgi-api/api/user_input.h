/* SPDX-License-Identifier: MIT */
/* From a body's JSON to what a client asks of a user. What is wrong goes to the field errors; then the result
 * is not to be used. Texts in the result belong to the JSON. */
#ifndef CARILLON_API_USER_INPUT_H
#define CARILLON_API_USER_INPUT_H

#include <cjson/cJSON.h>

#include "fcgi-api/http/field_errors.h"
#include "fcgi-api/user/user.h"

void user_input_new(const cJSON *object, struct user_new *user, struct field_errors *errors);
void user_input_patch(const cJSON *object, struct user_patch *patch, struct field_errors *errors);

/* The errors of a patch that the user refuses: read-only fields with another value than the user's. */
void user_input_refuse(const struct user *user, const struct user_patch *patch, struct field_errors *errors);

#endif
