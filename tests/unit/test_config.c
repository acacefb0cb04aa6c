/* SPDX-License-Identifier: MIT */
/* Settings: each kind's good and bad values, and messages that name the variable but no secret. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"

static char message[512];

static int clean_environment(void **state)
{
    (void)state;
    clearenv();
    setenv("AMQP_PASSWORD", "amqp-secret", 1);
    setenv("DB_PASSWORD", "db-secret", 1);
    return 0;
}

static enum err load(enum config_program program, struct config *config)
{
    message[0] = '\0';
    return config_load(program, config, message, sizeof message);
}

static void check_refused(const char *name, const char *value, const char *expected)
{
    struct config config;
    setenv(name, value, 1);
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_INVALID);
    assert_string_equal(message, expected);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config config;
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_OK);
    assert_int_equal(config.amqp_port, 5672);
    assert_string_equal(config.amqp_exchange, "tasks");
    assert_string_equal(config.db_password, "db-secret");
    assert_string_equal(config.db_socket, "");
    assert_int_equal(config.log_format, 0);
    config_free(&config);
    assert_null(config.db_password);
}

static void test_values(void **state)
{
    (void)state;
    struct config config;
    setenv("AMQP_PORT", "65535", 1);
    setenv("LOG_FORMAT", "json", 1);
    setenv("LOG_LEVEL", "error", 1);
    assert_int_equal(load(CONFIG_FOR_NOTIFIER, &config), ERR_OK);
    assert_int_equal(config.amqp_port, 65535);
    assert_int_equal(config.log_format, 1);
    assert_int_equal(config.log_level, 3);
    assert_int_equal(config.ws_port, 3081);
    assert_null(config.db_password); /* no setting of the notifier */
    config_free(&config);
}

static void test_bad_numbers(void **state)
{
    (void)state;
    check_refused("DB_PORT", "", "DB_PORT is \"\", not a whole number");
    check_refused("DB_PORT", "abc", "DB_PORT is \"abc\", not a whole number");
    check_refused("DB_PORT", "12x", "DB_PORT is \"12x\", not a whole number");
    check_refused("DB_PORT", " 12", "DB_PORT is \" 12\", not a whole number");
    check_refused("DB_PORT", "0", "DB_PORT is 0, outside 1 to 65535");
    check_refused("DB_PORT", "65536", "DB_PORT is 65536, outside 1 to 65535");
    check_refused("DB_PORT", "99999999999999999999", "DB_PORT is 99999999999999999999, outside 1 to 65535");
}

static void test_bad_texts_and_choices(void **state)
{
    (void)state;
    check_refused("DB_USER", "", "DB_USER is empty");
    setenv("DB_USER", "carillon", 1);
    check_refused("LOG_FORMAT", "xml", "LOG_FORMAT is \"xml\", not one of text|json");
    check_refused("LOG_FORMAT", "tex", "LOG_FORMAT is \"tex\", not one of text|json");
}

static void test_missing_secret(void **state)
{
    (void)state;
    struct config config;
    unsetenv("DB_PASSWORD");
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_INVALID);
    assert_string_equal(message, "DB_PASSWORD is not set (password of DB_USER); set it or its _FILE form");
}

static void test_secret_is_not_told(void **state)
{
    (void)state;
    char secret[300];
    memset(secret, 's', sizeof secret - 1);
    secret[sizeof secret - 1] = '\0';
    check_refused("DB_PASSWORD", secret, "DB_PASSWORD has 299 bytes, outside 1 to 255");
}

static void test_secret_file(void **state)
{
    (void)state;
    struct config config;
    char path[] = "/tmp/carillon-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "from file\n", 10) == 10);
    close(fd);

    setenv("DB_PASSWORD_FILE", path, 1);
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_INVALID);
    assert_string_equal(message, "DB_PASSWORD and DB_PASSWORD_FILE are both set; keep one");
    unsetenv("DB_PASSWORD");
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_OK);
    assert_string_equal(config.db_password, "from file");
    config_free(&config);

    /* A named file must be readable, also where the secret is optional. */
    unsetenv("DB_PASSWORD_FILE");
    setenv("DB_PASSWORD", "db-secret", 1);
    setenv("JWT_SECRET_FILE", path, 1);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_INVALID);
    assert_non_null(strstr(message, "JWT_SECRET_FILE: "));
    assert_non_null(strstr(message, " is empty"));
    unsetenv("JWT_SECRET_FILE");
    unsetenv("DB_PASSWORD");
    setenv("DB_PASSWORD_FILE", path, 1);

    unlink(path);
    assert_int_equal(load(CONFIG_FOR_API, &config), ERR_INVALID);
    assert_non_null(strstr(message, "DB_PASSWORD_FILE: cannot open"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clean_environment),
        cmocka_unit_test_setup(test_values, clean_environment),
        cmocka_unit_test_setup(test_bad_numbers, clean_environment),
        cmocka_unit_test_setup(test_bad_texts_and_choices, clean_environment),
        cmocka_unit_test_setup(test_missing_secret, clean_environment),
        cmocka_unit_test_setup(test_secret_is_not_told, clean_environment),
        cmocka_unit_test_setup(test_secret_file, clean_environment),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
