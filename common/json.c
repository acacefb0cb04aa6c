/* SPDX-License-Identifier: MIT */
/* Strict reading of JSON. The text is checked before cJSON sees it (encoding, NUL, escaped NUL, depth) and
 * the tree after it (duplicate keys, numbers out of range). */
#include "common/json.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"

/* cJSON reads \u without four hexadecimal digits as \u0000. */
static bool is_malformed_escape(const char *text, size_t length)
{
    if (length == 0 || text[0] != 'u')
        return false;
    for (size_t i = 1; i <= 4; i++)
        if (i >= length || !isxdigit((unsigned char)text[i]))
            return true;
    return false;
}

/* One pass over the raw text. Brackets inside strings do not count. */
static const char *check_text(const char *text, size_t length)
{
    int depth = 0;
    bool in_string = false;

    if (memchr(text, '\0', length) != NULL)
        return "contains a NUL byte";
    if (!utf8_valid(text, length))
        return "is not valid UTF-8";
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return "begins with a byte order mark";
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string && (unsigned char)c < 0x20)
            return "has a control character inside a string";
        if ((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r') /* cJSON takes any as a space */
            return "has a control character";
        if (in_string && c == '\\') {
            if (length - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                return "contains \\u0000";
            if (is_malformed_escape(text + i + 1, length - i - 1))
                return "has a malformed escape";
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[')) {
            if (++depth > JSON_DEPTH_MAX)
                return "is nested too deeply";
        } else if (!in_string && (c == '}' || c == ']')) {
            depth--;
        }
    }
    return NULL;
}

static bool has_twin(const cJSON *item)
{
    for (const cJSON *other = item->next; other != NULL; other = other->next)
        if (strcmp(item->string, other->string) == 0)
            return true;
    return false;
}

/* Depth is bounded by check_text(), the number of keys by the size of the text. */
static const char *check_tree(const cJSON *parent) /* NOLINT(misc-no-recursion) */
{
    int keys = 0;
    for (const cJSON *item = parent->child; item != NULL; item = item->next) {
        if (cJSON_IsObject(parent) && ++keys > JSON_KEYS_MAX)
            return "has an object with too many keys";
        if (cJSON_IsObject(parent) && has_twin(item))
            return "has the same key twice in one object";
        if (cJSON_IsNumber(item) && !isfinite(item->valuedouble))
            return "has a number out of range";
        const char *why = check_tree(item);
        if (why != NULL)
            return why;
    }
    return NULL;
}

static size_t digits(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* Length of the number at the start of the text by RFC 8259's grammar; 0: it is none. */
static size_t number_length(const char *text, size_t length)
{
    size_t at = text[0] == '-';
    size_t whole = digits(text + at, length - at);
    if (whole == 0 || (whole > 1 && text[at] == '0'))
        return 0;
    at += whole;
    if (at < length && text[at] == '.') {
        size_t fraction = digits(text + at + 1, length - at - 1);
        if (fraction == 0)
            return 0;
        at += 1 + fraction;
    }
    if (at < length && (text[at] == 'e' || text[at] == 'E')) {
        at += 1 + (at + 1 < length && (text[at + 1] == '+' || text[at + 1] == '-'));
        size_t exponent = digits(text + at, length - at);
        if (exponent == 0)
            return 0;
        at += exponent;
    }
    return at;
}

/* cJSON takes numbers such as "01" or "1."; RFC 8259 has none of them. */
static const char *check_numbers(const char *text, size_t length)
{
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string && c == '\\')
            i++;
        if (in_string || !((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.'))
            continue;
        size_t size = number_length(text + i, length - i);
        if (size == 0)
            return "has a malformed number";
        i += size - 1;
    }
    return NULL;
}

/* Many shells turn an object into a text in quotes. */
static const char *no_object(const cJSON *tree)
{
    if (cJSON_IsString(tree))
        return "is a string, not a JSON object";
    if (cJSON_IsArray(tree))
        return "is a list, not a JSON object";
    if (cJSON_IsNumber(tree))
        return "is a number, not a JSON object";
    return "is not a JSON object";
}

enum err json_parse_object(const char *text, size_t length, cJSON **object, const char **why)
{
    cJSON *tree = NULL;
    const char *end = NULL;

    *object = NULL;
    *why = length == 0 ? "is empty" : check_text(text, length);
    if (*why != NULL)
        return ERR_INVALID;
    *why = check_numbers(text, length);
    if (*why != NULL)
        return ERR_INVALID;

    tree = cJSON_ParseWithLengthOpts(text, length, &end, false);
    if (tree == NULL) {
        *why = "is not valid JSON";
        return ERR_INVALID;
    }
    while (end < text + length && strchr(" \t\r\n", *end) != NULL)
        end++;
    if (end != text + length)
        *why = "has something behind the JSON value";
    else if (!cJSON_IsObject(tree))
        *why = no_object(tree);
    else
        *why = check_tree(tree);
    if (*why != NULL) {
        cJSON_Delete(tree);
        return ERR_INVALID;
    }
    *object = tree;
    return ERR_OK;
}

/* Behind the string that begins there. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the value that begins there: at the comma or the bracket that ends it. */
static const char *skip_value(const char *at)
{
    for (int depth = 0;;) {
        if (depth == 0 && (*at == ',' || *at == '}'))
            return at;
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at = *at == '"' ? skip_string(at) : at + 1;
    }
}

/* No bounds are looked at: the text is a whole object. */
const char *json_member_text(const char *text, size_t length, int index, size_t *size)
{
    const char *at = memchr(text, '{', length), *end;
    for (;; index--) {
        at = skip_string(strchr(at + 1, '"'));
        at = strchr(at, ':') + 1;
        end = skip_value(at);
        if (index == 0)
            break;
        at = end;
    }
    while (is_space(*at))
        at++;
    while (is_space(end[-1]))
        end--;
    *size = (size_t)(end - at);
    return at;
}

const char *json_kind(const cJSON *item)
{
    if (cJSON_IsString(item))
        return "a string";
    if (cJSON_IsNumber(item))
        return "a number";
    if (cJSON_IsNull(item))
        return "null";
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item) ? "true" : "false";
    return cJSON_IsArray(item) ? "a list" : "an object";
}

enum err json_whole_number(const cJSON *item, int64_t min, int64_t max, int64_t *number)
{
    if (!cJSON_IsNumber(item))
        return ERR_INVALID;
    double value = item->valuedouble;
    if (!isfinite(value) || floor(value) != value || value < (double)min || value > (double)max)
        return ERR_INVALID;
    *number = (int64_t)value;
    return ERR_OK;
}
