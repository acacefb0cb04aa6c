/* SPDX-License-Identifier: MIT */
/* Tokens: good ones for each kind of key, and every kind of bad one. */
#include "tests/unit/token_maker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base64url.h"
#include "common/token.h"

#define OTHER "fedcba9876543210fedcba9876543210"
#define NOW   1700000000
#define GOOD  "{\"sub\":\"7\",\"exp\":1700000100}"

static struct config config;
static struct token_keys *keys;
static struct token token;
static const char *why;
static char complaint[512];

/* ---- one test's settings ------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    config = (struct config){.jwt_secret = SECRET,
                             .jwt_public_key_file = "",
                             .jwt_kid = "",
                             .jwt_secret_2 = "",
                             .jwt_public_key_2_file = "",
                             .jwt_kid_2 = "",
                             .jwt_audience = "",
                             .jwt_issuer = "",
                             .jwt_leeway_s = 60};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    token_keys_free(&keys);
    return 0;
}

static void load(void)
{
    token_keys_free(&keys);
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_OK);
}

static void is_good(const char *candidate)
{
    if (keys == NULL)
        load();
    assert_int_equal(token_verify(keys, candidate, NOW, &token, &why), ERR_OK);
    assert_int_equal(token.grant.user_id, 7);
}

static void is_bad(const char *candidate, const char *expected)
{
    if (keys == NULL)
        load();
    enum err err = strcmp(expected, "has expired") == 0 ? ERR_GONE : ERR_INVALID;
    assert_int_equal(token_verify(keys, candidate, NOW, &token, &why), err);
    assert_string_equal(why, expected);
    assert_int_equal(token.grant.user_id, 0);
    assert_false(token.grant.everyone);
    assert_int_equal(token.grant.group_count, 0);
}

static void claims_are_bad(const char *claims, const char *expected)
{
    is_bad(hs256(HS256, claims), expected);
}

static void key_is_refused(const char *expected)
{
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_INVALID);
    assert_null(keys);
    if (strstr(complaint, expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", complaint, expected);
    assert_null(strstr(complaint, "0123456789abc"));
}

/* ---- good ones ----------------------------------------------------------------------------------- */

static void test_a_secret(void **state)
{
    (void)state;
    is_good(hs256(HS256, GOOD));
    assert_false(token.grant.everyone);
    assert_int_equal(token.valid_until_s, 1700000160);
    is_good(hs256("{\"alg\":\"HS256\"}", GOOD));
    is_good(hs256(HS256,
                  "{\"sub\":\"7\",\"exp\":1700000100,\"jti\":\"\xc3\xa9\",\"aud\":[\"any\"],\"iss\":\"x\"}"));
}

static void test_public_keys(void **state)
{
    (void)state;
    config.jwt_secret = "";
    config.jwt_public_key_file = rsa_file;
    is_good(signed_token(rsa, "{\"alg\":\"RS256\"}", GOOD));
    config.jwt_public_key_file = ec_file;
    load();
    is_good(signed_token(ec, "{\"alg\":\"ES256\"}", GOOD));
    is_bad(signed_token(ec, "{\"alg\":\"RS256\"}", GOOD),
           "is signed with an algorithm that is not taken here");
}

static void test_scope(void **state)
{
    (void)state;
    const struct {
        const char *scope;
        bool admin;
    } cases[] = {{"tasks:admin", true},
                 {"openid tasks:admin x", true},
                 {"x tasks:admin", true},
                 {"", false},
                 {"tasks:administrator", false},
                 {"xtasks:admin", false},
                 {"Tasks:Admin", false},
                 {"tasks:admin,x", false},
                 {"tasks", false},
                 {" tasks:admin ", true},
                 {"\\ttasks:admin", false}};
    char claims[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"scope\":\"%s\"}",
                 cases[i].scope);
        is_good(hs256(HS256, claims));
        assert_int_equal(token.grant.everyone, cases[i].admin);
    }
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"scope\":\"openid events:write\"}"));
    assert_true(token.writes_events && !token.grant.everyone);
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"scope\":\"events:writer tasks:admin\"}"));
    assert_true(!token.writes_events && token.grant.everyone);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"scope\":[\"tasks:admin\"]}",
                   "has a \"scope\" that is no string");
}

static void test_groups(void **state)
{
    static const uint32_t expected[] = {3, 9, 4294967295};
    static const char *const none[] = {"[]", "[\"7\"]", "[7,7]"};
    static const char *const wrong[] = {
        "null",  "\"9\"",  "9",     "{}",           "[\"admins\"]", "[\"\"]",   "[0]",    "[-1]",
        "[1.5]", "[null]", "[[9]]", "[4294967296]", "[\"09\"]",     "[\"9 \"]", "[true]", "[1e300]"};
    char claims[1024];
    (void)state;
    is_good(
        hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"groups\":[9,\"4294967295\",\"3\",\"9\",3,\"7\"]}"));
    assert_int_equal(token.grant.group_count, 3);
    assert_memory_equal(token.grant.groups, expected, sizeof expected);
    assert_true(grant_covers(&token.grant, 7) && grant_covers(&token.grant, 4294967295));
    assert_false(grant_covers(&token.grant, 8) || grant_covers(&token.grant, 4));
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"groups\":%s}", none[i]);
        is_good(hs256(HS256, claims));
        assert_int_equal(token.grant.group_count, 0);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"groups\":%s}", wrong[i]);
        claims_are_bad(claims, "has \"groups\" that are no list of at most 64 ids of users");
    }
}

static void test_many_groups(void **state)
{
    char claims[1024] = "{\"sub\":\"7\",\"exp\":1700000100,\"groups\":[100";
    (void)state;
    for (int i = 1; i < 64; i++)
        sprintf(claims + strlen(claims), ",%d", 100 - i);
    char *end = claims + strlen(claims);
    strcpy(end, "]}");
    is_good(hs256(HS256, claims));
    assert_int_equal(token.grant.group_count, 64);
    assert_int_equal(token.grant.groups[0], 37);
    strcpy(end, ",100]}");
    claims_are_bad(claims, "has \"groups\" that are no list of at most 64 ids of users");
}

static void test_when_it_was_issued(void **state)
{
    static const char *const wrong[] = {"\"1\"", "null", "true", "-1", "1e300", "[]"};
    char claims[256];
    (void)state;
    is_good(hs256(HS256, GOOD));
    assert_int_equal(token.issued_s, -1);
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1699999999}"));
    assert_int_equal(token.issued_s, 1699999999);
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1699999999.75}"));
    assert_int_equal(token.issued_s, 1699999999);
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000060}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1700000061}", "is not valid yet");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":%s}", wrong[i]);
        claims_are_bad(claims, "has no valid \"iat\"");
    }
}

static void test_how_long_it_lives(void **state)
{
    (void)state;
    config.jwt_max_life_s = 3600;
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1699996500}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"iat\":1699996499}",
                   "lives longer than JWT_MAX_LIFE_S allows");
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700003660}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700003661}", "lives longer than JWT_MAX_LIFE_S allows");
}

static void test_other_claims(void **state)
{
    (void)state;
    config.jwt_user_claim = "https://x.example/id";
    config.jwt_groups_claim = "teams";
    is_good(
        hs256(HS256,
              "{\"sub\":\"auth0|5f7c\",\"https://x.example/id\":7,\"exp\":1700000100,\"groups\":[\"admins\"],"
              "\"teams\":[8]}"));
    assert_true(grant_covers(&token.grant, 8));
    is_good(hs256(HS256, "{\"https://x.example/id\":\"7\",\"exp\":1700000100}"));
    claims_are_bad(GOOD, "has no \"https://x.example/id\" that is the id of a user");
    claims_are_bad("{\"https://x.example/id\":0,\"exp\":1700000100}",
                   "has no \"https://x.example/id\" that is the id of a user");
    claims_are_bad("{\"https://x.example/id\":7,\"exp\":1700000100,\"teams\":1}",
                   "has \"teams\" that are no list of at most 64 ids of users");
}

static void test_two_keys(void **state)
{
    (void)state;
    config.jwt_secret_2 = OTHER;
    config.jwt_kid_2 = "new";
    const char new_header[] = "{\"alg\":\"HS256\",\"kid\":\"new\"}";
    is_good(hs256(HS256, GOOD));
    is_good(hs256("{\"alg\":\"HS256\",\"kid\":\"whatever\"}", GOOD));
    is_good(hmac_token(EVP_sha256(), OTHER, strlen(OTHER), new_header, GOOD));
    is_bad(hmac_token(EVP_sha256(), OTHER, strlen(OTHER), HS256, GOOD), "has a wrong signature");
    is_bad(hs256(new_header, GOOD), "has a wrong signature");

    config.jwt_kid = "old";
    load();
    is_good(hs256("{\"alg\":\"HS256\",\"kid\":\"old\"}", GOOD));
    is_bad(hs256(HS256, GOOD), "is signed with a key that is not known here");
    is_bad(hs256("{\"alg\":\"HS256\",\"kid\":\"older\"}", GOOD),
           "is signed with a key that is not known here");
    is_bad(hs256("{\"alg\":\"HS256\",\"kid\":1}", GOOD), "is not a compact JWT");
}

/* A secret is replaced by a public key: each accepts its own algorithm only. */
static void test_two_kinds_of_keys(void **state)
{
    (void)state;
    config.jwt_public_key_2_file = ec_file;
    config.jwt_kid_2 = "new";
    is_good(hs256(HS256, GOOD));
    is_good(signed_token(ec, "{\"alg\":\"ES256\",\"kid\":\"new\"}", GOOD));
    is_bad(hs256("{\"alg\":\"HS256\",\"kid\":\"new\"}", GOOD),
           "is signed with an algorithm that is not taken here");
}

/* ---- bad ones ------------------------------------------------------------------------------------ */

static void test_garbage(void **state)
{
    (void)state;
    const char *const cases[] = {"",
                                 ".",
                                 "..",
                                 "...",
                                 "garbage",
                                 "a.b.c",
                                 "eyJhbGciOiJIUzI1NiJ9",
                                 "eyJhbGciOiJIUzI1NiJ9.",
                                 "eyJhbGciOiJIUzI1NiJ9.e30",
                                 "eyJhbGciOiJIUzI1NiJ9.e30.a.b",
                                 "eyJhbGciOiJIUzI1NiJ9 .e30.",
                                 "\xc3\xa9.e30.e30",
                                 "eyJhbGciOiJIUzI1NiJ9.\xf0\x9f\x94\x94.e30",
                                 "eyJhbGciOiJIUzI1NiJ9.e30.\xff",
                                 "eyJhbGciOiJIUzI1NiJ9.e30.+/==",
                                 "eyJhbGciOiJIUzI1NiJ9=.e30.AAAA"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        is_bad(cases[i], "is not a compact JWT");
    is_bad(hs256("[]", GOOD), "is not a compact JWT");
    is_bad(hs256("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", GOOD), "is not a compact JWT");
    is_bad(hs256("{\"alg\":\"HS256\"", GOOD), "is not a compact JWT");
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    char whole[512], cut[512];
    strcpy(whole, hs256(HS256, GOOD));
    load();
    for (size_t length = 0; length < strlen(whole); length++) {
        memcpy(cut, whole, length);
        cut[length] = '\0';
        assert_int_equal(token_verify(keys, cut, NOW, &token, &why), ERR_INVALID);
    }
}

static void test_changed_at_every_byte(void **state)
{
    (void)state;
    char whole[512];
    strcpy(whole, hs256(HS256, GOOD));
    load();
    for (size_t i = 0; i < strlen(whole); i++) {
        char was = whole[i];
        whole[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(token_verify(keys, whole, NOW, &token, &why), ERR_INVALID);
        whole[i] = was;
    }
    is_good(whole);
}

static void test_length(void **state)
{
    (void)state;
    static char claims[16384];
    snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"x\":\"%04000d\"}", 0);
    is_good(hs256(HS256, claims));
    snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":1700000100,\"x\":\"%07500d\"}", 0);
    is_bad(hs256(HS256, claims), "is too long");
    assert_true(strlen(text) > 10000);
}

static void test_other_algorithms(void **state)
{
    (void)state;
    const char *const headers[] = {"{\"alg\":\"none\"}",
                                   "{\"alg\":\"None\"}",
                                   "{\"alg\":\"HS512\"}",
                                   "{\"alg\":\"RS256\"}",
                                   "{\"alg\":\"ES256\"}",
                                   "{\"alg\":\"hs256\"}",
                                   "{\"alg\":\"\"}",
                                   "{\"alg\":256}",
                                   "{\"typ\":\"JWT\"}",
                                   "{\"ALG\":\"HS256\"}",
                                   "{}"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        is_bad(hs256(headers[i], GOOD), "is signed with an algorithm that is not taken here");
    is_bad(hmac_token(EVP_sha512(), SECRET, strlen(SECRET), "{\"alg\":\"HS512\"}", GOOD),
           "is signed with an algorithm that is not taken here");
    is_bad(hmac_token(EVP_sha512(), SECRET, strlen(SECRET), HS256, GOOD), "has a wrong signature");
    begin_token("{\"alg\":\"none\"}", GOOD);
    strcat(text, ".");
    is_bad(text, "is signed with an algorithm that is not taken here");
    begin_token(HS256, GOOD);
    strcat(text, ".");
    is_bad(text, "has a wrong signature");
    is_bad(hs256("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", GOOD),
           "has a critical header parameter that is not known here");
}

/* The public key is no secret, so a token signed with its bytes as a secret is refused. */
static void test_public_key_as_secret(void **state)
{
    (void)state;
    char pem[4096];
    FILE *file = fopen(rsa_file, "r");
    size_t length = fread(pem, 1, sizeof pem - 1, file);
    fclose(file);
    pem[length] = '\0';
    config.jwt_secret = "";
    config.jwt_public_key_file = rsa_file;
    is_bad(hmac_token(EVP_sha256(), pem, length, HS256, GOOD),
           "is signed with an algorithm that is not taken here");
    is_bad(hmac_token(EVP_sha256(), pem, length, "{\"alg\":\"RS256\"}", GOOD), "has a wrong signature");
}

static void test_wrong_key(void **state)
{
    (void)state;
    is_bad(hmac_token(EVP_sha256(), OTHER, strlen(OTHER), HS256, GOOD), "has a wrong signature");
    is_bad(hmac_token(EVP_sha256(), "", 0, HS256, GOOD), "has a wrong signature");
    config.jwt_secret = "";
    config.jwt_public_key_file = ec_file;
    load();
    EVP_PKEY *stranger = EVP_EC_gen("P-256");
    is_bad(signed_token(stranger, "{\"alg\":\"ES256\"}", GOOD), "has a wrong signature");
    EVP_PKEY_free(stranger);
    /* r = s = 0 */
    char zero[64] = {0};
    begin_token("{\"alg\":\"ES256\"}", GOOD);
    strcat(text, ".");
    add_base64url(text, zero, sizeof zero);
    is_bad(text, "has a wrong signature");
}

static void test_times(void **state)
{
    (void)state;
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1699999941}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1699999940}", "has expired");
    claims_are_bad("{\"sub\":\"7\",\"exp\":0}", "has expired");
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000060}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":1700000061}", "is not valid yet");
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"nbf\":\"0\"}", "has no valid \"nbf\"");
    const char *const wrong[] = {"\"1700000100\"", "1e300", "1e400", "9007199254740992", "32503680001", "-1",
                                 "1700000100.5",   "null",  "true",  "[1700000100]",     "{}"};
    char claims[128];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":\"7\",\"exp\":%s}", wrong[i]);
        load();
        assert_int_equal(token_verify(keys, hs256(HS256, claims), NOW, &token, &why), ERR_INVALID);
    }
    claims_are_bad("{\"sub\":\"7\"}", "has no valid \"exp\"");
    claims_are_bad("{\"sub\":\"7\",\"Exp\":1700000100}", "has no valid \"exp\"");
    config.jwt_leeway_s = 0;
    load();
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000001}"));
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000000}", "has expired");
}

static void test_subjects(void **state)
{
    (void)state;
    const char *const wrong[] = {"7",
                                 "\"\"",
                                 "\"0\"",
                                 "\"07\"",
                                 "\"-7\"",
                                 "\"+7\"",
                                 "\" 7\"",
                                 "\"7 \"",
                                 "\"7x\"",
                                 "\"0x7\"",
                                 "\"7.0\"",
                                 "\"4294967296\"",
                                 "null",
                                 "[\"7\"]",
                                 "\"4294967303\"",
                                 "\"\xd9\xa7\"",
                                 "\"18446744073709551623\""};
    char claims[128];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(claims, sizeof claims, "{\"sub\":%s,\"exp\":1700000100}", wrong[i]);
        claims_are_bad(claims, "has no \"sub\" that is the id of a user");
    }
    claims_are_bad("{\"exp\":1700000100}", "has no \"sub\" that is the id of a user");
    load();
    assert_int_equal(
        token_verify(keys, hs256(HS256, "{\"sub\":\"4294967295\",\"exp\":1700000100}"), NOW, &token, &why),
        ERR_OK);
    assert_int_equal(token.grant.user_id, 4294967295);
}

/* Signed by the issuer, but ambiguous. The library may refuse some of them first. */
static void test_ambiguous_claims(void **state)
{
    (void)state;
    const char *const wrong[] = {"{\"sub\":\"7\",\"sub\":\"8\",\"exp\":1700000100}",
                                 "{\"sub\":\"7\",\"exp\":1,\"exp\":1700000100}",
                                 "{\"sub\":\"7\\u0000\",\"exp\":1700000100}",
                                 "{\"sub\":\"7\",\"exp\":1700000100}x",
                                 "{\"sub\":\"7\",\"exp\":1700000100,\"x\":\"\xff\"}",
                                 "[]",
                                 "7",
                                 ""};
    load();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(token_verify(keys, hs256(HS256, wrong[i]), NOW, &token, &why), ERR_INVALID);
}

static void test_audience_and_issuer(void **state)
{
    (void)state;
    config.jwt_audience = "carillon";
    const char other[] = "is meant for another audience", stranger[] = "is from another issuer";
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"aud\":\"carillon\"}"));
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"aud\":[\"x\",\"carillon\"]}"));
    claims_are_bad(GOOD, other);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"aud\":\"carillon2\"}", other);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"aud\":[\"x\",[\"carillon\"]]}", other);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"aud\":{\"aud\":\"carillon\"}}", other);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"aud\":[]}", other);
    config.jwt_audience = "";
    config.jwt_issuer = "https://id.example";
    load();
    is_good(hs256(HS256, "{\"sub\":\"7\",\"exp\":1700000100,\"iss\":\"https://id.example\"}"));
    claims_are_bad(GOOD, stranger);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"iss\":\"https://id.example/\"}", stranger);
    claims_are_bad("{\"sub\":\"7\",\"exp\":1700000100,\"iss\":[\"https://id.example\"]}", stranger);
}

/* ---- settings ------------------------------------------------------------------------------------ */

static void test_no_key_is_open(void **state)
{
    (void)state;
    config.jwt_secret = "";
    assert_int_equal(token_keys_new(&config, &keys, complaint, sizeof complaint), ERR_OK);
    assert_null(keys);
}

static void test_keys_that_are_refused(void **state)
{
    (void)state;
    config.jwt_secret = "0123456789abcdef0123456789abcde";
    key_is_refused("JWT_SECRET has 31 bytes; it needs at least 32");
    config.jwt_secret = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
    key_is_refused("JWT_SECRET holds a key in PEM");
    config.jwt_secret = SECRET;
    config.jwt_public_key_file = rsa_file;
    key_is_refused("JWT_SECRET and JWT_PUBLIC_KEY_FILE are both set");
    config.jwt_public_key_file = "";
    config.jwt_secret_2 = OTHER;
    key_is_refused("JWT_KID and JWT_KID_2");
    config.jwt_secret_2 = "";
    config.jwt_public_key_2_file = "/nonexistent";
    key_is_refused("JWT_PUBLIC_KEY_2_FILE: cannot open /nonexistent");
    config.jwt_public_key_2_file = "/dev/null";
    key_is_refused("holds no public key in PEM");
}

static void test_weak_keys_are_refused(void **state)
{
    (void)state;
    const struct {
        EVP_PKEY *key;
        const char *complaint;
    } cases[] = {{EVP_RSA_gen(1024), "fewer than 2048 bits"},
                 {EVP_EC_gen("P-384"), "another curve"},
                 {EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), "neither"}};
    config.jwt_secret = "";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[] = "/tmp/carillon-test-XXXXXX";
        save_public(cases[i].key, path);
        config.jwt_public_key_file = path;
        key_is_refused(cases[i].complaint);
        EVP_PKEY_free(cases[i].key);
        unlink(path);
    }
}

static void test_header(void **state)
{
    (void)state;
    assert_string_equal(token_in_header("Bearer abc"), "abc");
    assert_string_equal(token_in_header("bearer   abc"), "abc");
    assert_string_equal(token_in_header("Bearer "), "");
    assert_null(token_in_header(NULL));
    assert_null(token_in_header(""));
    assert_null(token_in_header("Bearer"));
    assert_null(token_in_header("Bearerabc"));
    assert_null(token_in_header("Basic YTpi"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_secret),
        TEST(test_public_keys),
        TEST(test_scope),
        TEST(test_groups),
        TEST(test_many_groups),
        TEST(test_other_claims),
        TEST(test_when_it_was_issued),
        TEST(test_how_long_it_lives),
        TEST(test_two_keys),
        TEST(test_two_kinds_of_keys),
        TEST(test_garbage),
        TEST(test_cut_at_every_byte),
        TEST(test_changed_at_every_byte),
        TEST(test_length),
        TEST(test_other_algorithms),
        TEST(test_public_key_as_secret),
        TEST(test_wrong_key),
        TEST(test_times),
        TEST(test_subjects),
        TEST(test_ambiguous_claims),
        TEST(test_audience_and_issuer),
        TEST(test_no_key_is_open),
        TEST(test_keys_that_are_refused),
        TEST(test_weak_keys_are_refused),
        TEST(test_header),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
