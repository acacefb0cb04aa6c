/* SPDX-License-Identifier: MIT */
/* What is written to standard error (the log) between two calls; less than a pipe holds. For one test's main
 * file. */
#ifndef CARILLON_TESTS_CAPTURED_H
#define CARILLON_TESTS_CAPTURED_H

#include <unistd.h>

static struct {
    int saved, out;
    char text[16384];
} captured;

static inline void capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    captured.saved = dup(STDERR_FILENO);
    captured.out = ends[0];
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
}

static inline const char *capture_end(void)
{
    dup2(captured.saved, STDERR_FILENO); /* the pipe has no writer any more */
    close(captured.saved);
    ssize_t length = read(captured.out, captured.text, sizeof captured.text - 1);
    close(captured.out);
    assert_true(length >= 0);
    captured.text[length] = '\0';
    return captured.text;
}

#endif
