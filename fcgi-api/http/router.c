/* SPDX-License-Identifier: MIT */
/* Matching paths with patterns. A dozen routes are compared one after the other: cheaper than any tree. */
#include "fcgi-api/http/router.h"

#include <stdbool.h>
#include <string.h>

#define ID "{id}"

static bool matches(const char *pattern, const char *path, struct route_match *match)
{
    match->id = NULL;
    match->id_length = 0;
    while (*pattern != '\0') {
        if (strncmp(pattern, ID, sizeof ID - 1) == 0) {
            match->id = path;
            match->id_length = strcspn(path, "/");
            if (match->id_length == 0)
                return false;
            path += match->id_length;
            pattern += sizeof ID - 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

enum err router_find(const struct route_table *table, enum method method, const char *path,
                     struct route_match *match)
{
    bool known = false;
    if (method == METHOD_HEAD)
        method = METHOD_GET;
    for (size_t i = 0; i < table->count; i++) {
        if (!matches(table->routes[i].pattern, path, match))
            continue;
        known = true;
        match->route = &table->routes[i];
        if (table->routes[i].method == method)
            return ERR_OK;
    }
    match->route = NULL;
    return known ? ERR_OK : ERR_NOT_FOUND;
}

void router_add_allowed(const struct route_table *table, const char *path, struct strbuf *out)
{
    struct route_match match;
    for (size_t i = 0; i < table->count; i++) {
        if (!matches(table->routes[i].pattern, path, &match))
            continue;
        strbuf_add_text(out, method_name(table->routes[i].method));
        strbuf_add_text(out, table->routes[i].method == METHOD_GET ? ", HEAD, " : ", ");
    }
    strbuf_add_text(out, "OPTIONS");
}
