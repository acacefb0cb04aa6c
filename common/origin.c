/* Comparing origins. */
#include "common/origin.h"

#include <string.h>
#include <strings.h>

bool origin_listed(const char *list, const char *origin)
{
    static const char between[] = " ,\t";
    size_t length = strlen(origin);

    for (const char *word = list + strspn(list, between); *word != '\0'; word += strspn(word, between)) {
        size_t size = strcspn(word, between);
        if (size == 1 && *word == '*')
            return true;
        if (size == length && strncasecmp(word, origin, size) == 0)
            return true;
        word += size;
    }
    return false;
}

bool origin_is_own(const char *origin, const char *host)
{
    const char *name = strstr(origin, "://");
    return name != NULL && host[0] != '\0' && strcasecmp(name + 3, host) == 0;
}

bool origin_welcome(const char *list, bool open, const char *origin, const char *host)
{
    if (origin[0] == '\0' || origin_is_own(origin, host))
        return true;
    return list[0] == '\0' ? open : origin_listed(list, origin);
}
