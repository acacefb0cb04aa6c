/* SPDX-License-Identifier: MIT */
/* Small text tools: UTF-8, base64url, growing buffers, log lines, random names, pauses. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/base64url.h"
#include "common/log.h"
#include "common/random_id.h"
#include "common/strbuf.h"
#include "common/utf8.h"

static void test_utf8(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x9e", 10));
    assert_int_equal(utf8_count("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\x9e", 10), 4);
    assert_false(utf8_valid("\x80", 1));
    assert_false(utf8_valid("\xc3", 1));
    assert_false(utf8_valid("\xe2\x82", 2));
    assert_false(utf8_valid("\xe0\x80\xaf", 3));     /* overlong */
    assert_false(utf8_valid("\xed\xbf\xbf", 3));     /* surrogate */
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(utf8_valid("\xff", 1));
}

static void test_base64url(void **state)
{
    (void)state;
    unsigned char out[16];
    size_t size = 0;
    assert_int_equal(base64url_decode("Zm9vYmE", 7, out, &size), ERR_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(out, "fooba", 5);
    assert_int_equal(base64url_decode("-_-_", 4, out, &size), ERR_OK);
    assert_memory_equal(out, "\xfb\xff\xbf", 3);
    assert_int_equal(base64url_decode("", 0, out, &size), ERR_OK);
    assert_int_equal(size, 0);
    assert_int_equal(base64url_decode("A", 1, out, &size), ERR_INVALID);
    assert_int_equal(base64url_decode("AB", 2, out, &size), ERR_INVALID); /* bits left over */
    assert_int_equal(base64url_decode("AA==", 4, out, &size), ERR_INVALID);
    assert_int_equal(base64url_decode("+/AA", 4, out, &size), ERR_INVALID);
}

static void test_blank(void **state)
{
    (void)state;
    assert_true(utf8_blank("", 0));
    assert_true(utf8_blank(" \t\r\n", 4));
    assert_true(utf8_blank("\xc2\xa0\xe2\x80\x8b\xe3\x80\x80", 8)); /* NBSP, zero width space, ideographic */
    assert_false(utf8_blank(" x ", 3));
    assert_false(utf8_blank("\xf0\x9f\x8d\x9e", 4));
}

static void test_json_string(void **state)
{
    (void)state;
    struct strbuf buf = {0};
    strbuf_add_json_string(&buf, "a\"b\\c\n\r\t\x01\x7f\xc3\xa9", 12);
    assert_string_equal(buf.text, "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\xc3\xa9\"");
    strbuf_free(&buf);
    assert_null(buf.text);
}

static void test_growth(void **state)
{
    (void)state;
    struct strbuf buf = {0};
    for (int i = 0; i < 1000; i++)
        strbuf_printf(&buf, "%03d,", i);
    assert_int_equal(buf.length, 4000);
    assert_memory_equal(buf.text + 3996, "999,", 5);
    strbuf_clear(&buf);
    assert_string_equal(buf.text, "");
    strbuf_free(&buf);
}

/* Runs one log_line() with standard error going to a pipe; returns what was written. */
static const char *logged(enum log_format format, const char *text)
{
    static char line[20000];
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_init("unit", format, LOG_INFO);
    log_debug("not shown");
    log_info("%s", text);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ssize_t length = read(ends[0], line, sizeof line - 1);
    close(ends[0]);
    close(saved);
    line[length] = '\0';
    return line;
}

/* Buffered lines are written in order, at the latest with a warning. */
static void test_log_keeps_lines(void **state)
{
    char buffer[1024] = "";
    int pipe_ends[2], saved = dup(STDERR_FILENO);
    (void)state;
    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK), 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_init("unit", LOG_TEXT, LOG_INFO);
    log_keep(true);
    log_info("one");
    ssize_t early = read(pipe_ends[0], buffer, sizeof buffer);
    log_warn("two");
    ssize_t length = read(pipe_ends[0], buffer, sizeof buffer - 1);
    log_info("three");
    log_flush();
    ssize_t rest = read(pipe_ends[0], buffer + length, sizeof buffer - 1 - (size_t)length);
    log_keep(false);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_int_equal(early, -1);
    assert_true(length > 0 && rest > 0);
    const char *two = strstr(buffer, "] two\n");
    assert_non_null(two);
    assert_true(strstr(buffer, "] one\n") < two);
    assert_true(strstr(buffer, "] three\n") > two);
}

/* Each write is a packet of such a pipe: whole lines, and no more than a pipe writes atomically. */
static void test_kept_lines_do_not_mix_with_others(void **state)
{
    static char packet[65536];
    int pipe_ends[2], saved = dup(STDERR_FILENO), lines = 0, packets = 0;
    ssize_t length;
    (void)state;
    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK | O_DIRECT), 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_init("unit", LOG_TEXT, LOG_INFO);
    log_keep(true);
    for (int i = 0; i < 200; i++)
        log_info("%0*d", i, i);
    log_keep(false);
    dup2(saved, STDERR_FILENO);
    close(saved);
    while ((length = read(pipe_ends[0], packet, sizeof packet)) > 0) {
        packets++;
        assert_true(length <= PIPE_BUF);
        assert_int_equal(packet[length - 1], '\n');
        for (ssize_t i = 0; i < length; i++)
            lines += packet[i] == '\n';
    }
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_int_equal(lines, 200);
    assert_true(packets < 20);
}

/* The reader of the log is stopped: the program goes on, and later logs how many lines were dropped. */
static void check_log_without_reader(bool keep)
{
    static char buffer[1 << 20];
    int pipe_ends[2], saved = dup(STDERR_FILENO);
    size_t length = 0;
    ssize_t got;
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    (void)fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_init("unit", LOG_TEXT, LOG_INFO);
    log_keep(keep);
    alarm(20); /* or it would hang for ever */
    for (int i = 0; i < 3000; i++)
        log_info("%0*d", i % 7 == 0 ? 5000 : 200, i);
    for (int i = 0; i < 150; i++) {
        got = read(pipe_ends[0], buffer + length, sizeof buffer - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
        log_info("it reads on");
        log_flush();
    }
    alarm(0);
    log_keep(false);
    buffer[length] = '\0';
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_non_null(strstr(buffer, " lines of the log were left out: its reader did not take them\n"));
    assert_non_null(strstr(buffer, "0000\n")); /* the first one, whole */
    assert_non_null(strstr(buffer, "] it reads on\n"));
    for (const char *line = buffer, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        assert_memory_equal(line, "20", 2); /* each begins with its time */
}

static void test_log_without_reader(void **state)
{
    (void)state;
    check_log_without_reader(true);
    check_log_without_reader(false);
}

static void test_log_lines_cannot_be_forged(void **state)
{
    (void)state;
    log_set_request_id("abc-1");
    const char *line = logged(LOG_TEXT, "one\ntwo");
    assert_non_null(strstr(line, " info unit["));
    assert_non_null(strstr(line, "] one\\x0atwo request_id=abc-1\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    line = logged(LOG_JSON, "say \"hi\"\n\xff");
    assert_non_null(strstr(line, "\"message\":\"say \\\"hi\\\"\\n?\",\"request_id\":\"abc-1\"}\n"));
    log_set_request_id(NULL);
    assert_null(strstr(logged(LOG_TEXT, "x"), "request_id"));
}

/* Control characters of terminals outside ASCII: U+009B is ESC [, U+0085 a new line, U+202E reverses the
 * rest. */
static void test_log_lines_command_no_terminal(void **state)
{
    static const char text[] = "a\xc2\x9b"
                               "31m\xc2\x85\xe2\x80\xae\xe2\x81\xa6z\t\xc3\xa9\xe2\x82\xac\xe2\x80\x93";
    (void)state;
    assert_non_null(strstr(logged(LOG_TEXT, text),
                           "] a\\u009b31m\\u0085\\u202e\\u2066z\\x09\xc3\xa9\xe2\x82\xac\xe2\x80\x93\n"));
    assert_non_null(strstr(logged(LOG_JSON, text),
                           "\"message\":\"a\\u009b31m\\u0085\\u202e\\u2066z\\t\xc3\xa9"
                           "\xe2\x82\xac\xe2\x80\x93\"}\n"));
}

static void test_log_cuts_long_lines(void **state)
{
    (void)state;
    char text[9000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *line = logged(LOG_TEXT, text);
    assert_true(strlen(line) < 8400);
    assert_non_null(strstr(line, "xxx...\n"));
}

static void test_random_ids_differ(void **state)
{
    (void)state;
    char a[33], b[33];
    random_id_hex(a, 32);
    random_id_hex(b, 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

static void test_backoff_grows_and_jitters(void **state)
{
    (void)state;
    struct backoff backoff = BACKOFF_INIT(100, 1000);
    const int64_t limits[] = {100, 200, 400, 800, 1000, 1000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        int64_t pause = backoff_next_ms(&backoff);
        assert_in_range(pause, limits[i] / 2, limits[i]);
    }
    backoff_reset(&backoff);
    assert_in_range(backoff_next_ms(&backoff), 50, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_base64url),
        cmocka_unit_test(test_blank),
        cmocka_unit_test(test_json_string),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_log_without_reader),
        cmocka_unit_test(test_log_lines_cannot_be_forged),
        cmocka_unit_test(test_log_lines_command_no_terminal),
        cmocka_unit_test(test_log_cuts_long_lines),
        cmocka_unit_test(test_random_ids_differ),
        cmocka_unit_test(test_backoff_grows_and_jitters),
        cmocka_unit_test(test_log_keeps_lines),
        cmocka_unit_test(test_kept_lines_do_not_mix_with_others),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
