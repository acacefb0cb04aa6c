/* SPDX-License-Identifier: MIT */
/* Strict reading of JSON (RFC 8259) from outside, on top of cJSON, which forgives too much: it keeps
 * duplicate keys, cuts strings at \u0000, takes bad UTF-8 and numbers such as 1e400. */
#ifndef CARILLON_JSON_H
#define CARILLON_JSON_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define JSON_DEPTH_MAX 32
#define JSON_KEYS_MAX  64 /* of one object: finding duplicates compares each with each */

/* Parses the whole of text[0..length) as one object. On ERR_INVALID *why is a static sentence for
 * people ("the body is not valid UTF-8"-like, without subject: "is not valid UTF-8").
 * The caller frees *object with cJSON_Delete(). */
MUST_CHECK enum err json_parse_object(const char *text, size_t length, cJSON **object, const char **why);

/* The text of a value of an object that was parsed from text[0..length): its member number `index`, counted
 * from 0, as it stands there. */
const char *json_member_text(const char *text, size_t length, int index, size_t *size);

/* What a value is, for people: "a string", "the number 3" is "a number". */
const char *json_kind(const cJSON *item);

/* ERR_INVALID unless the item is a number and a whole one within [min, max], |max| <= 2^53 - 1. */
MUST_CHECK enum err json_whole_number(const cJSON *item, int64_t min, int64_t max, int64_t *number);

#endif
