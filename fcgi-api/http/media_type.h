/* SPDX-License-Identifier: MIT */
/* Which Content-Types may come with a JSON body. */
#ifndef CARILLON_HTTP_MEDIA_TYPE_H
#define CARILLON_HTTP_MEDIA_TYPE_H

#include <stdbool.h>

/* A body is read as JSON whatever its type says (curl's --data calls everything a form), unless the type
 * claims another format outright. NULL and "" pass. */
bool media_type_may_be_json(const char *content_type);

/* Whether Content-Encoding leaves the body as it is: nothing here unpacks gzip. */
bool media_type_is_plain(const char *content_encoding);

#endif
