/* SPDX-License-Identifier: MIT */
/* Log lines: formatted into one buffer, escaped, written with one write(2), or several together. Never waits
 * for long: lines that the reader does not take are kept up to a bound, then left out and counted. */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "common/utf8.h"

#define LINE_MAX_BYTES 8192
#define KEEP_BYTES     32768
#define KEEP_MOST      262144 /* of what the log's reader does not take; beyond it lines are left out */
#define WAIT_MS        50     /* for a reader that is only slow */
#define LAST_WAIT_MS   1000
#define CONTROL_CHARACTERS                                                                                   \
    "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37\177"

#define COMMANDING_BEGIN "\xc2\xe2" /* the first bytes of what commanding() finds */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Set once by main() before any thread starts. */
static struct {
    const char *program;
    enum log_format format;
    enum log_level least;
    int pid;
} settings = {.program = "carillon", .format = LOG_TEXT, .least = LOG_INFO};

static _Thread_local char request_id[65];
static _Thread_local bool keeps;
static _Thread_local struct strbuf lines; /* that are not yet written */
static _Thread_local bool stuck;          /* the reader did not take all of them */
static _Thread_local unsigned long left_out;

void log_init(const char *program, enum log_format format, enum log_level least)
{
    settings.program = program;
    settings.format = format;
    settings.least = least;
    settings.pid = (int)getpid();
}

void log_set_request_id(const char *id)
{
    snprintf(request_id, sizeof request_id, "%s", id ? id : "");
}

bool log_enabled(enum log_level level)
{
    return level >= settings.least;
}

const char *log_program(void)
{
    return settings.program;
}

/* Characters that a terminal obeys or that turn the order of a line round, beyond ASCII: C1 controls (U+0080
 * to U+009F), separators of lines, marks of direction. Returns the character's bytes; 0: it is none of them.
 */
static size_t commanding(const char *text, unsigned *character)
{
    const unsigned char *c = (const unsigned char *)text;
    if (c[0] == 0xc2 && c[1] < 0xa0) {
        *character = c[1];
        return 2;
    }
    if (c[0] != 0xe2 || (c[1] != 0x80 && c[1] != 0x81))
        return 0;
    *character = 0x2000 + ((c[1] & 1u) << 6) + (c[2] & 0x3fu);
    bool turns = (*character >= 0x2028 && *character <= 0x202e) ||
                 (*character >= 0x2066 && *character <= 0x2069) || *character == 0x200e ||
                 *character == 0x200f;
    return turns ? 3 : 0;
}

/* "2026-01-02T03:04:05.678Z info fcgi-api[42] text request_id=..." */
static void add_text_line(struct strbuf *out, enum log_level level, const char *time, const char *text)
{
    strbuf_printf(out, "%s %s %s[%d] ", time, level_names[level], settings.program, settings.pid);
    for (const char *c = text; *c != '\0';) {
        unsigned character = 0;
        size_t plain = strcspn(c, CONTROL_CHARACTERS COMMANDING_BEGIN);
        strbuf_add(out, c, plain);
        c += plain;
        size_t length = commanding(c, &character);
        if (length > 0)
            strbuf_printf(out, "\\u%04x", character);
        else if (*c == '\0')
            break;
        else if ((unsigned char)*c < 0x80)
            strbuf_printf(out, "\\x%02x", (unsigned char)*c);
        else
            strbuf_add(out, c, 1);
        c += length > 0 ? length : 1;
    }
    if (request_id[0] != '\0')
        strbuf_printf(out, " request_id=%s", request_id);
}

/* Without its closing brace. */
static void add_json_line(struct strbuf *out, enum log_level level, const char *time, const char *text)
{
    strbuf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d,\"message\":", time,
                  level_names[level], settings.program, settings.pid);
    strbuf_add(out, "\"", 1);
    while (*text != '\0') {
        unsigned character = 0;
        size_t plain = strcspn(text, COMMANDING_BEGIN), length = commanding(text + plain, &character);
        if (length == 0 && text[plain] != '\0')
            plain++;
        strbuf_add_json_part(out, text, plain);
        if (length > 0)
            strbuf_printf(out, "\\u%04x", character);
        text += plain + length;
    }
    strbuf_add(out, "\"", 1);
    if (request_id[0] != '\0') {
        strbuf_add_text(out, ",\"request_id\":");
        strbuf_add_json_string(out, request_id, strlen(request_id));
    }
}

/* Cuts a text that did not fit, and makes what is not UTF-8 (or was cut in the middle) harmless. */
static void tidy(char text[LINE_MAX_BYTES], bool cut)
{
    if (cut)
        memcpy(text + LINE_MAX_BYTES - 4, "...", 4);
    if (utf8_valid(text, strlen(text)))
        return;
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
}

/* Writing must not wait: a reader of the log that stands still would stop the service. A pipe that is
 * writeable takes PIPE_BUF bytes at once, and one that is empty as many as it has room for. */
static bool is_ready(int wait_ms)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&log, 1, wait_ms) != 0; /* an error is written away, too */
}

static bool takes_at_once(size_t length)
{
    int room = fcntl(STDERR_FILENO, F_GETPIPE_SZ), bytes = 0;
    return room < 0 || (ioctl(STDERR_FILENO, FIONREAD, &bytes) == 0 && bytes == 0 && length <= (size_t)room);
}

/* As many whole lines as one write may take, or a part of a long one. */
static size_t piece_of(const char *text, size_t length)
{
    if (length <= PIPE_BUF)
        return length;
    const char *end = memrchr(text, '\n', PIPE_BUF);
    if (end)
        return (size_t)(end - text) + 1;
    size_t line = (size_t)((const char *)memchr(text, '\n', length) - text) + 1;
    return takes_at_once(line) ? line : PIPE_BUF;
}

/* What cannot be written now stays, up to a bound. */
static void flush(int wait_ms)
{
    size_t done = 0;
    while (done < lines.length && is_ready(wait_ms)) {
        size_t piece = piece_of(lines.text + done, lines.length - done);
        ssize_t written = write(STDERR_FILENO, lines.text + done, piece);
        if (written < 0 && errno == EAGAIN)
            break;
        /* A log that cannot be written is no reason to stop the service. */
        done += written > 0 ? (size_t)written : piece;
    }
    stuck = done < lines.length;
    if (done == 0)
        return;
    memmove(lines.text, lines.text + done, lines.length - done + 1);
    lines.length -= done;
}

static void add_fields(struct strbuf *out, const struct log_field *fields, size_t count)
{
    bool json = settings.format == LOG_JSON;
    for (size_t i = 0; i < count; i++) {
        const struct log_field *field = &fields[i];
        strbuf_printf(out, json ? ",\"%s\":" : " %s=", field->name);
        if (!field->text)
            strbuf_printf(out, "%" PRId64, field->number);
        else if (json)
            strbuf_add_json_string(out, field->text, strlen(field->text));
        else
            strbuf_add_text(out, field->text);
    }
}

static void add_line(enum log_level level, const char *text, const struct log_field *fields, size_t count)
{
    char time[CLOCK_ISO_SIZE];
    clock_format_iso(clock_wall_ms(), time);
    if (settings.format == LOG_JSON)
        add_json_line(&lines, level, time, text);
    else
        add_text_line(&lines, level, time, text);
    add_fields(&lines, fields, count);
    strbuf_add_text(&lines, settings.format == LOG_JSON ? "}\n" : "\n");
}

/* Reports the lines that were left out, as soon as there is room. */
static bool has_room(void)
{
    char text[96];
    if (lines.length > KEEP_MOST) {
        left_out++;
        return false;
    }
    if (left_out > 0) {
        snprintf(text, sizeof text, "%lu lines of the log were left out: its reader did not take them",
                 left_out);
        left_out = 0;
        add_line(LOG_WARN, text, NULL, 0);
    }
    return true;
}

void log_flush(void)
{
    if (lines.length > 0)
        flush(0);
}

void log_keep(bool keep)
{
    flush(LAST_WAIT_MS);
    strbuf_free(&lines);
    keeps = keep;
}

/* Whether a line of this level can be taken now. */
static bool takes(enum log_level level)
{
    if (!log_enabled(level))
        return false;
    if (lines.length > KEEP_MOST)
        log_flush();
    return has_room();
}

/* Writes what is there, or keeps it. */
static void pass_on(enum log_level level)
{
    if (!keeps)
        flush(stuck ? 0 : WAIT_MS);
    else if (level >= LOG_WARN || lines.length > KEEP_BYTES)
        log_flush();
    if (!keeps && lines.length == 0)
        strbuf_free(&lines);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list arguments;

    if (!takes(level))
        return;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tidy(text, length >= (int)sizeof text);
    add_line(level, text, NULL, 0);
    pass_on(level);
}

void log_fields(enum log_level level, const char *text, const struct log_field *fields, size_t count)
{
    if (!takes(level))
        return;
    add_line(level, text, fields, count);
    pass_on(level);
}
