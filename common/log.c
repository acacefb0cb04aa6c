/* Log lines: formatted into one buffer, escaped, written with one write(2), or several together. */
#include "common/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "common/utf8.h"

#define LINE_MAX_BYTES 8192
#define KEEP_BYTES     32768
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

/* As many whole lines as one write may take, and one at least. */
static size_t piece_of(const char *text, size_t length)
{
    if (length <= PIPE_BUF)
        return length;
    const char *end = memrchr(text, '\n', PIPE_BUF);
    if (!end)
        end = memchr(text, '\n', length);
    return (size_t)(end - text) + 1;
}

void log_flush(void)
{
    if (lines.length == 0)
        return;
    for (size_t done = 0, piece; done < lines.length; done += piece) {
        piece = piece_of(lines.text + done, lines.length - done);
        /* A log that cannot be written is no reason to stop the service. */
        ssize_t ignored = write(STDERR_FILENO, lines.text + done, piece);
        (void)ignored;
    }
    strbuf_clear(&lines);
}

void log_keep(bool keep)
{
    log_flush();
    strbuf_free(&lines);
    keeps = keep;
}

void log_line(enum log_level level, const char *format, ...)
{
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
        add_json_line(&lines, level, time, text);
    else
        add_text_line(&lines, level, time, text);
    strbuf_add(&lines, "\n", 1);
    if (!keeps || level >= LOG_WARN || lines.length > KEEP_BYTES)
        log_flush();
    if (!keeps)
        strbuf_free(&lines);
}
