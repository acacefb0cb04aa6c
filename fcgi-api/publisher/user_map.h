/* SPDX-License-Identifier: MIT */
/* A bounded map from a user to a sequence number and a count: which users have something to publish and up to
 * which event, or which have events in flight. No allocation after user_map_init(). */
#ifndef CARILLON_PUBLISHER_USER_MAP_H
#define CARILLON_PUBLISHER_USER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct user_entry {
    uint32_t user_id; /* 0: the place is free */
    uint32_t count;
    uint64_t seq;
};

struct user_map {
    struct user_entry *places; /* a power of two, at most half full */
    size_t mask;
    size_t count, limit;
};

void user_map_init(struct user_map *map, size_t limit);
void user_map_free(struct user_map *map);
void user_map_clear(struct user_map *map);

/* NULL: not there. The pointer is good until the map changes. user_id is never 0. */
struct user_entry *user_map_find(const struct user_map *map, uint32_t user_id);

/* The user's entry; a new one is all zeros. NULL: the map is full. */
struct user_entry *user_map_add(struct user_map *map, uint32_t user_id);

void user_map_remove(struct user_map *map, uint32_t user_id);

#endif
