/* SPDX-License-Identifier: MIT */
/* Key sets: which keys are used, tokens that name them, and a file that changes. */
#include "tests/unit/still_clock.h"
#include "tests/unit/token_maker.h"

#include <openssl/core_names.h>

#include "common/jwks.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "common/token.h"

#define NOW  1700000000
#define GOOD "{\"sub\":\"7\",\"exp\":1700000100}"

static EVP_PKEY *ed, *other;
static char set_file[] = "/tmp/carillon-test-XXXXXX";
static struct config config;
static struct token_keys *keys;
static char complaint[512];

/* ---- making sets --------------------------------------------------------------------------------- */

static void add_number(char *out, const EVP_PKEY *key, const char *parameter, const char *member, int length)
{
    BIGNUM *number = NULL;
    unsigned char bytes[1024];
    assert_int_equal(EVP_PKEY_get_bn_param(key, parameter, &number), 1);
    int size = length > 0 ? length : BN_num_bytes(number);
    BN_bn2binpad(number, bytes, size);
    BN_free(number);
    sprintf(out + strlen(out), ",\"%s\":\"", member);
    add_base64url(out, bytes, (size_t)size);
    strcat(out, "\"");
}

/* A key of a set; `more` are members, with a comma before each. */
static const char *jwk(const EVP_PKEY *key, const char *more)
{
    static char made[4][4096];
    static int next;
    char *out = made[next++ % 4];
    unsigned char raw[32];
    size_t size = sizeof raw;

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        strcpy(out, "{\"kty\":\"RSA\"");
        add_number(out, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
        add_number(out, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
    } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        strcpy(out, "{\"kty\":\"EC\",\"crv\":\"P-256\"");
        add_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", 32);
        add_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", 32);
    } else {
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &size), 1);
        strcpy(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        add_base64url(out, raw, size);
        strcat(out, "\"");
    }
    strcat(out, more);
    return strcat(out, "}");
}

static const char *set_of(const char *one, const char *two, const char *three)
{
    static char made[16384];
    snprintf(made, sizeof made, "{\"keys\":[%s%s%s%s%s]}", one, two != NULL ? "," : "",
             two != NULL ? two : "", three != NULL ? "," : "", three != NULL ? three : "");
    return made;
}

static void is_refused(const char *sent, const char *expected)
{
    struct jwks *set = NULL;
    const char *why = NULL;
    assert_int_equal(jwks_parse(sent, strlen(sent), &set, &why), ERR_INVALID);
    assert_null(set);
    assert_string_equal(why, expected);
}

/* How many keys of the set can be used. */
static size_t count(const char *sent)
{
    struct jwks *set = NULL;
    const char *why = NULL;
    if (jwks_parse(sent, strlen(sent), &set, &why) != ERR_OK)
        return 0;
    size_t found = set->count;
    jwks_free(&set);
    return found;
}

/* As in a rotation of keys: a whole file replaces the one before. */
static void put(const char *content)
{
    char path[sizeof set_file + 4];
    snprintf(path, sizeof path, "%s.new", set_file);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    assert_int_equal(rename(path, set_file), 0);
    monotonic_ms += 1000;
}

static int set_up(void **state)
{
    (void)state;
    config = (struct config){.jwt_secret = "",
                             .jwt_public_key_file = "",
                             .jwt_kid = "",
                             .jwt_secret_2 = "",
                             .jwt_public_key_2_file = "",
                             .jwt_kid_2 = "",
                             .jwt_jwks_file = set_file,
                             .jwt_audience = "",
                             .jwt_issuer = ""};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_keys_free(&keys);
    return 0;
}

static int make_all(void **state)
{
    log_init("test", LOG_TEXT, LOG_ERROR + 1);
    assert_int_equal(make_keys(state), 0);
    ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    other = EVP_EC_gen("P-256");
    close(mkstemp(set_file));
    return 0;
}

static int drop_all(void **state)
{
    EVP_PKEY_free(ed);
    EVP_PKEY_free(other);
    unlink(set_file);
    return drop_keys(state);
}

static void load(void)
{
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_OK);
    assert_non_null(keys);
}

static const char *judged(const char *candidate)
{
    struct token token;
    const char *why = NULL;
    return token_verify(keys, candidate, NOW, &token, &why) == ERR_OK ? "" : why;
}

#define UNKNOWN   "is signed with a key that is not known here"
#define FORGED    "has a wrong signature"
#define ALGORITHM "is signed with an algorithm that is not taken here"

/* ---- which keys ---------------------------------------------------------------------------------- */

static void test_kinds(void **state)
{
    (void)state;
    assert_int_equal(count(set_of(jwk(rsa, ""), jwk(ec, ""), jwk(ed, ""))), 3);
    assert_int_equal(
        count(set_of(jwk(rsa, ",\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"a\",\"x5c\":[\"x\"]"),
                     jwk(ec, ",\"key_ops\":[\"verify\"],\"alg\":\"ES256\""), jwk(ed, ",\"alg\":\"EdDSA\""))),
        3);
}

static void test_keys_that_are_left_out(void **state)
{
    static const char *const more[] = {",\"use\":\"enc\"",        ",\"use\":7",     ",\"alg\":\"RS512\"",
                                       ",\"alg\":null",           ",\"kid\":7",     ",\"key_ops\":[\"sign\"]",
                                       ",\"key_ops\":\"verify\"", ",\"d\":\"AQAB\""};
    static const char *const wrong[] = {
        "7", "null", "[]", "{}", "{\"kty\":\"RSA\"}", "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}",
        /* 32 bytes each, and no point of the curve */
        ("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8\",\"y\":"
         "\"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8\"}"),
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AQAB\",\"y\":\"AQAB\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}"};
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    (void)state;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        assert_int_equal(count(set_of(jwk(rsa, more[i]), jwk(ec, ""), NULL)), 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(count(set_of(wrong[i], jwk(ec, ""), wrong[i])), 1);
    assert_int_equal(count(set_of(jwk(weak, ""), jwk(ec, ""), NULL)), 1);
    is_refused(set_of(jwk(weak, ""), NULL, NULL), "has no key for signatures by RS256, ES256 or EdDSA");
    EVP_PKEY_free(weak);
}

static void test_what_is_no_set(void **state)
{
    (void)state;
    is_refused("{}", "is no key set: it has no list \"keys\"");
    is_refused("{\"keys\":{}}", "is no key set: it has no list \"keys\"");
    is_refused("{\"keys\":[]}", "has no key for signatures by RS256, ES256 or EdDSA");
    is_refused("{\"keys\":[", "is not valid JSON");
    is_refused("-----BEGIN PUBLIC KEY-----", "has a malformed number");
}

static void test_many_keys(void **state)
{
    struct strbuf many = {0};
    (void)state;
    strbuf_add_text(&many, "{\"keys\":[");
    for (int i = 0; i < 40; i++)
        strbuf_printf(&many, "%s%s", i > 0 ? "," : "", jwk(ec, ""));
    strbuf_add_text(&many, "]}");
    assert_int_equal(count(many.text), JWKS_KEYS_MAX);
    strbuf_free(&many);
}

/* ---- tokens -------------------------------------------------------------------------------------- */

static void test_by_name(void **state)
{
    (void)state;
    put(set_of(jwk(rsa, ",\"kid\":\"a\""), jwk(ec, ",\"kid\":\"b\""), jwk(ed, ",\"kid\":\"c\"")));
    load();
    assert_string_equal(judged(signed_token(rsa, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD)), "");
    assert_string_equal(judged(signed_token(ec, "{\"alg\":\"ES256\",\"kid\":\"b\"}", GOOD)), "");
    assert_string_equal(judged(signed_token(ed, "{\"alg\":\"EdDSA\",\"kid\":\"c\"}", GOOD)), "");
    assert_string_equal(judged(signed_token(other, "{\"alg\":\"ES256\",\"kid\":\"b\"}", GOOD)), FORGED);
    assert_string_equal(judged(signed_token(ec, "{\"alg\":\"EdDSA\",\"kid\":\"c\"}", GOOD)), FORGED);
    assert_string_equal(judged(signed_token(ed, "{\"alg\":\"EdDSA\",\"kid\":\"b\"}", GOOD)), ALGORITHM);
    assert_string_equal(judged(signed_token(ed, "{\"alg\":\"EdDSA\"}", GOOD)), UNKNOWN);
    assert_string_equal(judged(signed_token(ed, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", GOOD)), UNKNOWN);
    assert_string_equal(judged(hs256("{\"alg\":\"HS256\",\"kid\":\"a\"}", GOOD)), ALGORITHM);
}

static void test_without_names(void **state)
{
    (void)state;
    put(set_of(jwk(rsa, ""), jwk(ec, ""), NULL));
    load();
    assert_string_equal(judged(signed_token(rsa, "{\"alg\":\"RS256\"}", GOOD)), "");
    assert_string_equal(judged(signed_token(ec, "{\"alg\":\"ES256\",\"kid\":\"any\"}", GOOD)), "");
    assert_string_equal(judged(hs256(HS256, GOOD)), ALGORITHM);
}

static void test_one_name_for_two_kinds(void **state)
{
    (void)state;
    put(set_of(jwk(rsa, ",\"kid\":\"a\""), jwk(ec, ",\"kid\":\"a\""), NULL));
    load();
    assert_string_equal(judged(signed_token(rsa, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD)), "");
    assert_string_equal(judged(signed_token(ec, "{\"alg\":\"ES256\",\"kid\":\"a\"}", GOOD)), "");
}

static void test_beside_a_secret(void **state)
{
    (void)state;
    config.jwt_secret = SECRET;
    put(set_of(jwk(ec, ",\"kid\":\"b\""), NULL, NULL));
    load();
    assert_string_equal(judged(hs256(HS256, GOOD)), "");
    assert_string_equal(judged(signed_token(ec, "{\"alg\":\"ES256\",\"kid\":\"b\"}", GOOD)), "");
    assert_string_equal(judged(hs256("{\"alg\":\"HS256\",\"kid\":\"b\"}", GOOD)), ALGORITHM);
}

static void test_eddsa_from_a_file_of_one_key(void **state)
{
    char path[] = "/tmp/carillon-test-XXXXXX";
    (void)state;
    save_public(ed, path);
    config.jwt_jwks_file = "";
    config.jwt_public_key_file = path;
    load();
    assert_string_equal(judged(signed_token(ed, "{\"alg\":\"EdDSA\"}", GOOD)), "");
    char *token = (char *)(uintptr_t)signed_token(ed, "{\"alg\":\"EdDSA\"}", GOOD);
    token[strlen(token) - 5] =
        token[strlen(token) - 5] == 'A' ? 'B' : 'A'; /* another letter of the alphabet */
    assert_string_equal(judged(token), FORGED);
    strcpy(strrchr(token, '.'), ".");
    assert_string_equal(judged(token), FORGED);
    unlink(path);
}

/* ---- a file that changes ------------------------------------------------------------------------- */

static void test_keys_that_rotate(void **state)
{
    const char header[] = "{\"alg\":\"ES256\",\"kid\":\"b\"}", next[] = "{\"alg\":\"ES256\",\"kid\":\"c\"}";
    (void)state;
    put(set_of(jwk(ec, ",\"kid\":\"b\""), NULL, NULL));
    load();
    assert_string_equal(judged(signed_token(other, next, GOOD)), UNKNOWN);
    put(set_of(jwk(ec, ",\"kid\":\"b\""), jwk(other, ",\"kid\":\"c\""), NULL));
    assert_string_equal(judged(signed_token(ec, header, GOOD)), "");
    assert_string_equal(judged(signed_token(other, next, GOOD)), "");
    put(set_of(jwk(other, ",\"kid\":\"c\""), NULL, NULL));
    assert_string_equal(judged(signed_token(ec, header, GOOD)), UNKNOWN);
    assert_string_equal(judged(signed_token(other, next, GOOD)), "");
    monotonic_ms -= 1000;
    put(set_of(jwk(ec, ",\"kid\":\"b\""), NULL, NULL));
    monotonic_ms += 999;
    assert_string_equal(judged(signed_token(other, next, GOOD)),
                        ""); /* the file was checked less than a second ago */
    monotonic_ms += 1;
    assert_string_equal(judged(signed_token(other, next, GOOD)), UNKNOWN);
}

static void test_the_old_keys_stay(void **state)
{
    static const char *const bad[] = {"", "{", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"RSA\"}]}"};
    const char header[] = "{\"alg\":\"ES256\",\"kid\":\"b\"}";
    struct strbuf long_one = {0};
    (void)state;
    put(set_of(jwk(ec, ",\"kid\":\"b\""), NULL, NULL));
    load();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put(bad[i]);
        assert_string_equal(judged(signed_token(ec, header, GOOD)), "");
    }
    for (int i = 0; i <= JWKS_BYTES_MAX; i++)
        strbuf_add(&long_one, " ", 1);
    put(long_one.text);
    assert_string_equal(judged(signed_token(ec, header, GOOD)), "");
    strbuf_free(&long_one);
    unlink(set_file);
    monotonic_ms += 1000;
    assert_string_equal(judged(signed_token(ec, header, GOOD)), "");
    put(set_of(jwk(other, ",\"kid\":\"b\""), NULL, NULL));
    assert_string_equal(judged(signed_token(ec, header, GOOD)), FORGED);
}

static void test_at_the_start(void **state)
{
    static const struct {
        const char *content, *expected;
    } cases[] = {{"", " is empty"},
                 {"{", " is not valid JSON"},
                 {"{}", " is no key set"},
                 {"{\"keys\":[]}", " has no key for signatures by RS256, ES256 or EdDSA"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(cases[i].content);
        assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_INVALID);
        assert_null(keys);
        assert_non_null(strstr(complaint, "JWT_JWKS_FILE: /tmp/carillon-test-"));
        if (strstr(complaint, cases[i].expected) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", complaint, cases[i].expected);
    }
    config.jwt_jwks_file = "/nowhere/keys.json";
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_INVALID);
    assert_string_equal(complaint,
                        "JWT_JWKS_FILE: /nowhere/keys.json cannot be opened: No such file or directory");
    config.jwt_jwks_file = "/tmp";
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_INVALID);
    assert_string_equal(complaint, "JWT_JWKS_FILE: /tmp cannot be read: Is a directory");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kinds),
        TEST(test_keys_that_are_left_out),
        TEST(test_what_is_no_set),
        TEST(test_many_keys),
        TEST(test_by_name),
        TEST(test_without_names),
        TEST(test_one_name_for_two_kinds),
        TEST(test_beside_a_secret),
        TEST(test_eddsa_from_a_file_of_one_key),
        TEST(test_keys_that_rotate),
        TEST(test_the_old_keys_stay),
        TEST(test_at_the_start),
    };
    return cmocka_run_group_tests(tests, make_all, drop_all);
}
