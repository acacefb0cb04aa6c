/* SPDX-License-Identifier: MIT */
/* Settings. An input: lines NAME=value of the environment; the value of a NAME_FILE is that file's content
 * (none: a file that is not there). A backslash in it is a newline. */
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"
#include "common/token.h"

#define FILES_MAX 8

static const char *const names[] = {
#define X(kind, field, name, ...) #name, #name "_FILE",
    CONFIG_COMMON(X) CONFIG_API(X) CONFIG_NOTIFIER(X)
#undef X
};
#define NAMES (sizeof names / sizeof names[0])

static const char *const secret_names[] = {"AMQP_PASSWORD", "DB_PASSWORD", "JWT_SECRET", "JWT_SECRET_2"};

static bool is_name(const char *text)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], text) == 0)
            return true;
    return false;
}

static bool is_file_setting(const char *name)
{
    size_t length = strlen(name);
    return length > 5 && strcmp(name + length - 5, "_FILE") == 0 && strcmp(name, "API_STATS_FILE") != 0;
}

/* A file with this content, which is deleted when its descriptor is closed. */
static void set_file(const char *name, const char *content, int *fd)
{
    char path[64];
    *fd = memfd_create("setting", 0);
    CHECK(*fd >= 0);
    for (; *content != '\0'; content++)
        CHECK(write(*fd, *content == '\\' ? "\n" : content, 1) == 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    setenv(name, path, 1);
}

static void set_line(char *line, int fds[FILES_MAX], size_t *files)
{
    char *equals = strchr(line, '=');
    if (equals == NULL)
        return;
    *equals = '\0';
    if (!is_name(line))
        return;
    if (!is_file_setting(line))
        setenv(line, equals + 1, 1);
    else if (equals[1] == '\0')
        setenv(line, "/nonexistent/file", 1);
    else if (*files < FILES_MAX)
        set_file(line, equals + 1, &fds[(*files)++]);
}

#define CHECK_INT(field, min, max)                        CHECK(config->field >= (min) && config->field <= (max))
#define CHECK_TEXT(field, min, max)                       CHECK(strlen(config->field) >= (min) && strlen(config->field) <= (max))
#define CHECK_SECRET(field, min, max)                     CHECK_TEXT(field, min, max)
#define CHECK_CHOICE(field, min, max)                     CHECK(config->field >= 0 && config->field <= 3)
#define X(kind, field, name, fallback, min, max, meaning) CHECK_##kind(field, min, max);
static void check_common(const struct config *config)
{
    CONFIG_COMMON(X)
}
static void check_api(const struct config *config)
{
    CONFIG_API(X)
}
static void check_notifier(const struct config *config)
{
    CONFIG_NOTIFIER(X)
}
#undef X

/* Whether another setting has the same text: that one may be quoted. */
static bool is_elsewhere(const char *name, const char *secret)
{
    for (size_t i = 0; i < NAMES; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && strcmp(names[i], name) != 0 && strstr(value, secret) != NULL)
            return true;
    }
    return false;
}

/* A message that names a setting, and contains no secret. */
static void check_complaint(const char *message, size_t size)
{
    char name[64];
    CHECK(strnlen(message, size) > 0 && strnlen(message, size) < size);
    size_t length = strcspn(message, " :");
    snprintf(name, sizeof name, "%.*s", (int)length, message);
    CHECK(is_name(name) || strncmp(message, "two keys", 8) == 0);
    for (size_t i = 0; i < sizeof secret_names / sizeof secret_names[0]; i++) {
        const char *secret = getenv(secret_names[i]);
        if (secret != NULL && strlen(secret) >= 24 && !is_elsewhere(secret_names[i], secret))
            CHECK(strstr(message, secret) == NULL);
    }
}

static void load(enum config_program program)
{
    struct config config;
    struct token_keys *keys = NULL;
    char message[512];

    memset(message, 'x', sizeof message);
    if (config_load(program, &config, message, sizeof message) != ERR_OK) {
        check_complaint(message, sizeof message);
        return;
    }
    check_common(&config);
    if (program == CONFIG_FOR_API)
        check_api(&config);
    else
        check_notifier(&config);
    if (token_keys_new(&config, &keys, message, sizeof message) != ERR_OK)
        check_complaint(message, sizeof message);
    else
        CHECK((keys == NULL) == (config.jwt_secret[0] == '\0' && config.jwt_public_key_file[0] == '\0' &&
                                 config.jwt_secret_2[0] == '\0' && config.jwt_public_key_2_file[0] == '\0'));
    token_keys_free(&keys);
    config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    int fds[FILES_MAX];
    size_t files = 0;
    char *line;

    for (size_t i = 0; i < NAMES; i++)
        unsetenv(names[i]);
    while ((line = fuzz_next(&input, '\n', NULL)) != NULL)
        set_line(line, fds, &files);
    load(CONFIG_FOR_API);
    load(CONFIG_FOR_NOTIFIER);
    while (files > 0)
        close(fds[--files]);
    fuzz_free_texts();
    return 0;
}
