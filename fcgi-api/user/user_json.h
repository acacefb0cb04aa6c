/* SPDX-License-Identifier: MIT */
/* A user as JSON: the one form it has on the wire. */
#ifndef CARILLON_USER_JSON_H
#define CARILLON_USER_JSON_H

#include "common/strbuf.h"
#include "fcgi-api/user/user.h"

void user_json_add(struct strbuf *out, const struct user *user);

#endif
