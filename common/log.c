/* Log lines: formatted into one buffer, escaped, written with one write(2). */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "common/utf8.h"

#define LINE_MAX_BYTES 8192
#define CONTROL_CHARACTERS                                                                                   \
    "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37\177"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Set once by main() before any thread starts. */
static struct {
    const char *program;
    enum log_format format;
    enum log_level least;
} settings = {"carillon", LOG_TEXT, LOG_INFO};

static _Thread_local char request_id[65];

void log_init(const char *program, enum log_format format, enum log_level least)
{
    settings.program = program;
    settings.format = format;
    settings.least = least;
}

void log_set_request_id(const char *id)
{
    snprintf(request_id, sizeof request_id, "%s", id ? id : "");
}

bool log_enabled(enum log_level level)
{
    return level >= settings.least;
}

/* "2026-01-02T03:04:05.678Z info fcgi-api[42] text request_id=..." */
static void add_text_line(struct strbuf *out, enum log_level level, const char *time, const char *text)
{
    strbuf_printf(out, "%s %s %s[%d] ", time, level_names[level], settings.program, (int)getpid());
    for (const char *c = text; *c != '\0';) {
        size_t plain = strcspn(c, CONTROL_CHARACTERS);
        strbuf_add(out, c, plain);
        c += plain;
        if (*c != '\0')
            strbuf_printf(out, "\\x%02x", (unsigned char)*c++);
    }
    if (request_id[0] != '\0')
        strbuf_printf(out, " request_id=%s", request_id);
}

static void add_json_line(struct strbuf *out, enum log_level level, const char *time, const char *text)
{
    strbuf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"pid\":%d,\"message\":", time,
                  level_names[level], settings.program, (int)getpid());
    strbuf_add_json_string(out, text, strlen(text));
    if (request_id[0] != '\0') {
        strbuf_add_text(out, ",\"request_id\":");
        strbuf_add_json_string(out, request_id, strlen(request_id));
    }
    strbuf_add(out, "}", 1);
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

void log_line(enum log_level level, const char *format, ...)
{
    struct strbuf line = {0};
    char text[LINE_MAX_BYTES], time[CLOCK_ISO_SIZE];
    va_list arguments;

    if (!log_enabled(level))
        return;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tidy(text, length >= (int)sizeof text);

    clock_format_iso(clock_wall_ms(), time);
    if (settings.format == LOG_JSON)
        add_json_line(&line, level, time, text);
    else
        add_text_line(&line, level, time, text);
    strbuf_add(&line, "\n", 1);
    /* A log that cannot be written is no reason to stop the service. */
    ssize_t ignored = write(STDERR_FILENO, line.text, line.length);
    (void)ignored;
    strbuf_free(&line);
}
