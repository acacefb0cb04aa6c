/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing. Removal moves later entries of the same run back, so there are no
 * tombstones and a long-lived map stays as fast as a new one. */
#include "fcgi-api/publisher/user_map.h"

#include <stdlib.h>
#include <string.h>

void user_map_init(struct user_map *map, size_t limit)
{
    size_t places = 16;
    while (places < 2 * limit)
        places *= 2;
    *map = (struct user_map){.mask = places - 1, .limit = limit};
    map->places = calloc(places, sizeof *map->places);
    if (!map->places)
        abort();
}

void user_map_free(struct user_map *map)
{
    free(map->places);
    map->places = NULL;
}

void user_map_clear(struct user_map *map)
{
    memset(map->places, 0, (map->mask + 1) * sizeof *map->places);
    map->count = 0;
}

static size_t home_of(const struct user_map *map, uint32_t user_id)
{
    return (user_id * UINT32_C(2654435761) >> 7) & map->mask;
}

/* The user's place, or the free one where it would go. */
static size_t place_of(const struct user_map *map, uint32_t user_id)
{
    size_t place = home_of(map, user_id);
    while (map->places[place].user_id != 0 && map->places[place].user_id != user_id)
        place = (place + 1) & map->mask;
    return place;
}

struct user_entry *user_map_find(const struct user_map *map, uint32_t user_id)
{
    struct user_entry *entry = &map->places[place_of(map, user_id)];
    return entry->user_id != 0 ? entry : NULL;
}

struct user_entry *user_map_add(struct user_map *map, uint32_t user_id)
{
    struct user_entry *entry = &map->places[place_of(map, user_id)];
    if (entry->user_id != 0)
        return entry;
    if (map->count == map->limit)
        return NULL;
    map->count++;
    *entry = (struct user_entry){.user_id = user_id};
    return entry;
}

void user_map_remove(struct user_map *map, uint32_t user_id)
{
    size_t hole = place_of(map, user_id);
    if (map->places[hole].user_id == 0)
        return;
    map->count--;
    for (size_t next = (hole + 1) & map->mask; map->places[next].user_id != 0;
         next = (next + 1) & map->mask) {
        /* An entry may move back to the hole unless its home lies after it. */
        size_t home = home_of(map, map->places[next].user_id);
        if (((next - home) & map->mask) < ((next - hole) & map->mask))
            continue;
        map->places[hole] = map->places[next];
        hole = next;
    }
    map->places[hole] = (struct user_entry){0};
}
