/* SPDX-License-Identifier: MIT */
/* ws-notifier: pushes what happens to tasks into browsers. Reading order: this file, loop.c (what there is
 * and how it is joined), then the way of an event: consumer, feed, ring, hub, client, server; then the way of
 * a browser's message: server, reception, protocol. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/jwks_file.h"
#include "common/log.h"
#include "common/trace.h"
#include "common/version.h"
#include "ws-notifier/loop.h"

static void print_help(void)
{
    puts("usage: ws-notifier [--help | --version | --check-keys FILE]\n\n"
         "Reads the stream of task events from RabbitMQ and sends each to the browsers of its user.\n"
         "Settings are environment variables:\n");
    config_print_help(CONFIG_FOR_NOTIFIER);
}

/* In the order of LOG_LEVEL's words in common/config.h. */
static const enum log_level levels[] = {LOG_INFO, LOG_DEBUG, LOG_WARN, LOG_ERROR};

int main(int argc, char **argv)
{
    struct config config;
    char message[256];

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("ws-notifier " CARILLON_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc == 3 && strcmp(argv[1], "--check-keys") == 0) /* whether the file is good for JWT_JWKS_FILE */
        return jwks_file_report(argv[2]) ? EXIT_SUCCESS : EXIT_FAILURE;
    if (argc > 1) {
        fprintf(stderr, "ws-notifier: unknown argument %s (try --help)\n", argv[1]);
        return 2;
    }
    if (config_load(CONFIG_FOR_NOTIFIER, &config, message, sizeof message) != ERR_OK) {
        fprintf(stderr, "ws-notifier: %s\n", message);
        return 2;
    }
    log_init("ws-notifier", (enum log_format)config.log_format, levels[config.log_level]);
    trace_init(config.traces);
    int status = loop_run(&config);
    config_free(&config);
    return status;
}
