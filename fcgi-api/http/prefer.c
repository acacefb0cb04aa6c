/* SPDX-License-Identifier: MIT */
/* Reading preferences. */
#include "fcgi-api/http/prefer.h"

#include <string.h>
#include <strings.h>

bool prefer_has(const char *header, const char *preference)
{
    size_t wanted = strlen(preference);
    while (header != NULL && *header != '\0') {
        header += strspn(header, " \t,");
        size_t length = strcspn(header, " \t,;");
        if (length == wanted && strncasecmp(header, preference, wanted) == 0)
            return true;
        header += strcspn(header, ",");
    }
    return false;
}
