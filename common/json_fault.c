/* SPDX-License-Identifier: MIT */
/* One pass by RFC 8259's grammar that stops at the first byte that does not belong there. */
#include "common/json_fault.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/json.h"
#include "common/utf8.h"

struct scan {
    const char *text;
    size_t length, at;
    int depth;
    const char *what;
};

static bool stop(struct scan *scan, const char *what)
{
    scan->what = what;
    return false;
}

static bool at_end(const struct scan *scan)
{
    return scan->at >= scan->length;
}

static bool sees(const struct scan *scan, const char *start)
{
    size_t length = strlen(start);
    return scan->length - scan->at >= length && memcmp(scan->text + scan->at, start, length) == 0;
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void skip_space(struct scan *scan)
{
    while (!at_end(scan) && is_one_of(scan->text[scan->at], " \t\r\n"))
        scan->at++;
}

/* U+2018 to U+201F, the quotes of word processors. */
static bool sees_typographic_quote(const struct scan *scan)
{
    return sees(scan, "\xe2\x80") && scan->length - scan->at > 2 &&
           (unsigned char)scan->text[scan->at + 2] >= 0x98 && (unsigned char)scan->text[scan->at + 2] <= 0x9f;
}

/* ---- strings and numbers -------------------------------------------------------------------------- */

/* The four hexadecimal digits of \uXXXX at this place; -1: they are none. */
static long escaped_unit(const struct scan *scan, size_t at)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    long value = 0;
    if (scan->length - at < 6 || memcmp(scan->text + at, "\\u", 2) != 0)
        return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        const char *digit = scan->text[i] != '\0' ? strchr(digits, scan->text[i]) : NULL;
        if (digit == NULL)
            return -1;
        value = value * 16 + (digit - digits) % 16;
    }
    return value;
}

static bool scan_unicode_escape(struct scan *scan)
{
    long unit = escaped_unit(scan, scan->at), next;
    if (unit < 0)
        return stop(scan, "\\u needs four hexadecimal digits");
    if (unit == 0)
        return stop(scan, "\\u0000 is not taken here");
    if (unit >= 0xd800 && unit <= 0xdfff) {
        next = unit <= 0xdbff && scan->length - scan->at >= 12 ? escaped_unit(scan, scan->at + 6) : -1;
        if (next < 0xdc00 || next > 0xdfff)
            return stop(scan, "half of a character: its other half, a second \\u, is missing");
        scan->at += 6;
    }
    scan->at += 6;
    return true;
}

static bool scan_escape(struct scan *scan)
{
    if (sees(scan, "\\u"))
        return scan_unicode_escape(scan);
    if (scan->length - scan->at < 2 || !is_one_of(scan->text[scan->at + 1], "\"\\/bfnrt"))
        return stop(scan, "a backslash here escapes nothing: write \\\\ for one");
    scan->at += 2;
    return true;
}

static bool scan_string(struct scan *scan)
{
    scan->at++;
    while (!at_end(scan)) {
        char c = scan->text[scan->at];
        if (c == '"') {
            scan->at++;
            return true;
        }
        if ((unsigned char)c < 0x20)
            return stop(scan, "a control character inside a string: a line break is \\n, a tab \\t");
        if (c == '\\') {
            if (!scan_escape(scan))
                return false;
        } else {
            scan->at++;
        }
    }
    return stop(scan, "the text ends inside a string: its closing quote is missing");
}

static size_t scan_digits(struct scan *scan)
{
    size_t start = scan->at;
    while (!at_end(scan) && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
        scan->at++;
    return scan->at - start;
}

static bool scan_number(struct scan *scan)
{
    scan->at += scan->text[scan->at] == '-';
    if (sees(scan, "0")) {
        scan->at++;
        if (!at_end(scan) && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
            return stop(scan, "a number does not begin with 0");
    } else if (scan_digits(scan) == 0) {
        return stop(scan, "a digit is missing");
    }
    if (sees(scan, ".")) {
        scan->at++;
        if (scan_digits(scan) == 0)
            return stop(scan, "a digit is missing behind the point");
    }
    if (sees(scan, "e") || sees(scan, "E")) {
        scan->at++;
        scan->at += sees(scan, "+") || sees(scan, "-");
        if (scan_digits(scan) == 0)
            return stop(scan, "a digit is missing in the exponent");
    }
    return true;
}

/* ---- values ---------------------------------------------------------------------------------------- */

static bool scan_value(struct scan *scan);

static bool stop_at_no_value(struct scan *scan)
{
    char c = scan->text[scan->at];
    if (c == '\'')
        return stop(scan, "strings are in double quotes, not in single ones");
    if (sees_typographic_quote(scan))
        return stop(scan, "strings are in plain double quotes, not in typographic ones");
    if (c == '/' || c == '#')
        return stop(scan, "JSON has no comments");
    if (c == ']' || c == '}' || c == ',' || c == ':')
        return stop(scan, "a value is missing");
    return stop(
        scan, "no value begins so: strings need double quotes, and the only words are true, false and null");
}

static bool stop_at_no_name(struct scan *scan, bool after_comma)
{
    char c = scan->text[scan->at];
    if (c == '}' && after_comma)
        return stop(scan, "a comma with nothing behind it");
    if (c == '\'')
        return stop(scan, "names are in double quotes, not in single ones");
    if (sees_typographic_quote(scan))
        return stop(scan, "names are in plain double quotes, not in typographic ones");
    if (c == '/' || c == '#')
        return stop(scan, "JSON has no comments");
    return stop(scan, "a name in double quotes is missing; some shells take them away");
}

/* "name": value */
static bool scan_member(struct scan *scan, bool after_comma)
{
    if (at_end(scan))
        return stop(scan, "the text ends too early");
    if (scan->text[scan->at] != '"')
        return stop_at_no_name(scan, after_comma);
    if (!scan_string(scan))
        return false;
    skip_space(scan);
    if (!sees(scan, ":"))
        return stop(scan,
                    at_end(scan) ? "the text ends too early" : "a ':' is missing between name and value");
    scan->at++;
    return scan_value(scan);
}

static bool scan_item(struct scan *scan, bool after_comma)
{
    if (after_comma && sees(scan, "]"))
        return stop(scan, "a comma with nothing behind it");
    return scan_value(scan);
}

/* An object or a list, whose opening bracket is here. */
static bool scan_container(struct scan *scan) /* NOLINT(misc-no-recursion) */
{
    bool object = scan->text[scan->at++] == '{', after_comma = false;
    const char *close = object ? "}" : "]";

    if (++scan->depth > JSON_DEPTH_MAX)
        return stop(scan, "it is nested too deeply");
    skip_space(scan);
    if (!sees(scan, close)) {
        do {
            skip_space(scan);
            if (!(object ? scan_member(scan, after_comma) : scan_item(scan, after_comma)))
                return false;
            skip_space(scan);
            after_comma = sees(scan, ",");
            scan->at += after_comma;
        } while (after_comma);
    }
    if (!sees(scan, close))
        return stop(scan, at_end(scan) ? "the text ends too early"
                          : object     ? "a ',' or '}' is missing"
                                       : "a ',' or ']' is missing");
    scan->at++;
    scan->depth--;
    return true;
}

static bool scan_word(struct scan *scan)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (sees(scan, words[i])) {
            scan->at += strlen(words[i]);
            return true;
        }
    }
    return stop_at_no_value(scan);
}

static bool scan_value(struct scan *scan) /* NOLINT(misc-no-recursion) */
{
    skip_space(scan);
    if (at_end(scan))
        return stop(scan, "the text ends too early");
    char c = scan->text[scan->at];
    if (c == '{' || c == '[')
        return scan_container(scan);
    if (c == '"')
        return scan_string(scan);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(scan);
    return scan_word(scan);
}

/* ---- the whole ------------------------------------------------------------------------------------- */

/* The first byte that is no UTF-8, or NUL; the length when there is none. */
static size_t first_odd_byte(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length && text[i] != '\0') {
        unsigned char lead = (unsigned char)text[i];
        size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (size > length - i || !utf8_valid(text + i, size))
            break;
        i += size;
    }
    return i;
}

static const char *guess(const char *text, size_t length)
{
    size_t start = 0, name;
    if (length >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0 ||
                        (text[0] == '\0') != (text[1] == '\0')))
        return "It looks like UTF-16: send UTF-8.";
    while (start < length && is_one_of(text[start], " \t\r\n"))
        start++;
    if (start == length)
        return NULL;
    if (text[start] == '\'')
        return "cmd.exe passes single quotes on as they are: there, write \"{\\\"status\\\":1}\".";
    if (text[start] == '<')
        return "It looks like XML or HTML.";
    if (text[start] == '@')
        return "It looks like the name of a file that was not read.";
    if (length - start >= 3 && (memcmp(text + start, "{\\\"", 3) == 0))
        return "It looks as if its quotes were escaped twice.";
    for (name = start;
         name < length && text[name] != '\0' &&
         strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%+[]", text[name]) != NULL;)
        name++;
    if (name > start && name < length && text[name] == '=')
        return "It looks like a form: send {\"name\":\"value\"} instead of name=value.";
    return NULL;
}

static void find_place(const char *text, struct json_fault *fault)
{
    fault->line = 1;
    fault->column = 1;
    for (size_t i = 0; i < fault->offset; i++) {
        if (text[i] == '\n') {
            fault->line++;
            fault->column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            fault->column++;
        }
    }
}

struct json_fault json_find_fault(const char *text, size_t length)
{
    struct scan scan = {.text = text, .length = first_odd_byte(text, length)};
    bool odd = scan.length < length;
    struct json_fault fault = {0};

    if (scan.length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        stop(&scan, "a byte order mark");
    else if (scan_value(&scan)) {
        skip_space(&scan);
        if (!at_end(&scan))
            stop(&scan, "something behind the JSON value");
    }
    if (odd && (scan.what == NULL || at_end(&scan))) {
        scan.at = scan.length;
        scan.what = text[scan.at] == '\0' ? "a NUL byte" : "no valid UTF-8";
    }
    fault.what = scan.what;
    fault.offset = scan.at;
    if (fault.what != NULL) {
        fault.looks_like = guess(text, length);
        find_place(text, &fault);
    }
    return fault;
}
