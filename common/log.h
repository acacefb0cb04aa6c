/* SPDX-License-Identifier: MIT */
/* One line per happening on standard error, as text or JSON (LOG_FORMAT), written in whole lines so that
 * those of several processes never mix: a pipe takes PIPE_BUF bytes as one piece. The request id of the
 * thread's current work is added to every line. Never pass a secret. */
#ifndef CARILLON_LOG_H
#define CARILLON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

/* `program` must outlive the process. Before log_init() lines are text at level info. */
void log_init(const char *program, enum log_format format, enum log_level least);

/* The id that this thread's lines carry from now on; NULL: none. The string is copied (64 bytes). */
void log_set_request_id(const char *id);

bool log_enabled(enum log_level level);

/* Control characters in the finished text (of Unicode, and what turns the direction of a text) are escaped,
 * so no input can forge a line or command a terminal. A line longer than 8 KiB is cut and ends in "...". */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...)                                                                                       \
    do {                                                                                                     \
        if (log_enabled(LOG_DEBUG))                                                                          \
            log_line(LOG_DEBUG, __VA_ARGS__);                                                                \
    } while (0)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* A line with further members, by which a reader of the log may select and sort: in JSON members, in text
 * name=value behind the text. The texts are words of ours, or checked: without spaces. */
#define LOG_FIELDS_MAX 8
struct log_field {
    const char *name;
    const char *text; /* NULL: the number */
    int64_t number;
};
void log_fields(enum log_level level, const char *text, const struct log_field *fields, size_t count);

const char *log_program(void); /* as log_init() got it */

/* Whether this thread's lines may be kept back until log_flush(), which it calls each time before it sleeps:
 * a thousand happenings are then a few writes. A warning or an error is written at once, after what is kept.
 * A thread that ends says false before. */
void log_keep(bool keep);
void log_flush(void);

#endif
