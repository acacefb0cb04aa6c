/* SPDX-License-Identifier: MIT */
/* Tokens. An input's first letter is its kind:
 *   r   a token as it stands in a header or message, "Bearer " and all
 *   s   header, a newline, claims: both as JSON, signed here with the secret, as the issuer would
 *   p   the same, signed with the bytes of the public key as if it were a secret
 *   k   a file that should hold a public key
 *   j   a file that should hold a key set */
#include "fuzz/fuzz.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"
#include "common/event.h"
#include "common/json.h"
#include "common/jwks.h"
#include "common/public_key.h"
#include "common/strbuf.h"
#include "common/token.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_S  1700000000
#define LEEWAY 60

static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqaviOp2Kx23gdioaR+Nq7uAj3HDL\n"
                                 "wjjZO3Mnq3sbe1NfwLqrBmNayutNt8g3rYG6L34an4tyn6VqXSRJVe2emA==\n"
                                 "-----END PUBLIC KEY-----\n";

static struct token_keys *secret_keys, *strict_keys, *public_keys;

static struct token_keys *keys_of(struct config *config)
{
    struct token_keys *keys = NULL;
    char why[256];
    CHECK(token_keys_new(config, &keys, why, sizeof why) == ERR_OK && keys != NULL);
    return keys;
}

static void make_keys(void)
{
    static char path[] = "/tmp/fuzz-token-XXXXXX";
    static struct config secret = {.jwt_secret = SECRET,
                                   .jwt_public_key_file = "",
                                   .jwt_kid = "",
                                   .jwt_secret_2 = "",
                                   .jwt_public_key_2_file = "",
                                   .jwt_kid_2 = "",
                                   .jwt_audience = "",
                                   .jwt_issuer = "",
                                   .jwt_leeway_s = LEEWAY};
    static struct config strict, public;

    strict = public = secret;
    strict.jwt_audience = "carillon";
    strict.jwt_issuer = "https://id.example";
    strict.jwt_kid = "one";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs(public_pem, file);
    fclose(file);
    public.jwt_secret = "";
    public.jwt_public_key_file = path;
    secret_keys = keys_of(&secret);
    strict_keys = keys_of(&strict);
    public_keys = keys_of(&public);
    remove(path);
}

static void add_base64url(struct strbuf *out, const unsigned char *bytes, size_t length)
{
    unsigned char *text = malloc(length * 4 / 3 + 8);
    int size = EVP_EncodeBlock(text, bytes, (int)length);
    for (int i = 0; i < size && text[i] != '='; i++)
        strbuf_add(out, text[i] == '+' ? "-" : text[i] == '/' ? "_" : (char *)&text[i], 1);
    free(text);
}

static void sign(struct strbuf *token, const char *key, size_t key_length)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), key, (int)key_length, (unsigned char *)token->text, token->length, digest, &size);
    strbuf_add(token, ".", 1);
    add_base64url(token, digest, size);
}

/* The grant of an accepted token, read again from its claims. */
static void check_accepted(const struct token *token, const char *claims, size_t length, bool strict)
{
    const char *why = NULL;
    cJSON *object = NULL;
    int64_t number;

    CHECK(fuzz_is_object(claims, length));
    CHECK(json_parse_object(claims, length, &object, &why) == ERR_OK);
    const cJSON *sub = cJSON_GetObjectItemCaseSensitive(object, "sub");
    CHECK(cJSON_IsString(sub) && token->grant.user_id >= 1 && token->grant.user_id <= EVENT_ID_MAX);
    CHECK(strtoull(sub->valuestring, NULL, 10) == token->grant.user_id);
    CHECK(json_whole_number(cJSON_GetObjectItemCaseSensitive(object, "exp"), 0, 32503680000, &number) ==
          ERR_OK);
    CHECK(number + LEEWAY > NOW_S && token->valid_until_s == number + LEEWAY);
    const cJSON *nbf = cJSON_GetObjectItemCaseSensitive(object, "nbf");
    CHECK(nbf == NULL || (cJSON_IsNumber(nbf) && nbf->valuedouble <= NOW_S + LEEWAY));
    const cJSON *scope = cJSON_GetObjectItemCaseSensitive(object, "scope");
    CHECK(!token->grant.everyone ||
          (cJSON_IsString(scope) && strstr(scope->valuestring, TOKEN_ADMIN_SCOPE) != NULL));
    const cJSON *groups = cJSON_GetObjectItemCaseSensitive(object, "groups");
    CHECK(token->grant.group_count <= (unsigned)cJSON_GetArraySize(groups));
    CHECK(groups == NULL || (cJSON_IsArray(groups) && cJSON_GetArraySize(groups) <= GRANT_GROUPS_MAX));
    for (size_t i = 0; i < token->grant.group_count; i++)
        CHECK(token->grant.groups[i] != token->grant.user_id &&
              token->grant.groups[i] > (i > 0 ? token->grant.groups[i - 1] : 0));
    if (strict) {
        const cJSON *iss = cJSON_GetObjectItemCaseSensitive(object, "iss");
        CHECK(cJSON_IsString(iss) && strcmp(iss->valuestring, "https://id.example") == 0);
        CHECK(cJSON_HasObjectItem(object, "aud"));
    }
    cJSON_Delete(object);
}

static bool is_accepted(const struct token_keys *keys, const char *text, struct token *token)
{
    const char *why = NULL;
    if (token_verify(keys, text, NOW_S, token, &why) == ERR_OK)
        return true;
    CHECK(token->grant.user_id == 0 && !token->grant.everyone && token->grant.group_count == 0 &&
          why != NULL && why[0] != '\0');
    return false;
}

static void try_raw(const char *text)
{
    struct token token;
    const char *inner = token_in_header(text);
    static const struct token_keys **const all[] = {(const struct token_keys **)&secret_keys,
                                                    (const struct token_keys **)&strict_keys,
                                                    (const struct token_keys **)&public_keys};
    for (size_t i = 0; i < 3; i++) {
        bool outer = is_accepted(*all[i], text, &token);
        if (inner != NULL)
            CHECK(!outer); /* a token contains no space */
        if (inner != NULL && is_accepted(*all[i], inner, &token))
            CHECK(token.grant.user_id != 0);
    }
}

static void try_signed(struct fuzz_input *input, const char *key, size_t key_length)
{
    struct strbuf text = {0};
    struct token token;
    size_t header_length = 0, claims_length = 0;
    char *header = fuzz_next(input, '\n', &header_length);
    char *claims = fuzz_next(input, '\0', &claims_length);

    if (header == NULL || claims == NULL || header_length == 0 || claims_length == 0)
        return;
    add_base64url(&text, (unsigned char *)header, header_length);
    strbuf_add(&text, ".", 1);
    add_base64url(&text, (unsigned char *)claims, claims_length);
    sign(&text, key, key_length);

    CHECK(!is_accepted(public_keys, text.text, &token));
    bool accepted = is_accepted(secret_keys, text.text, &token);
    CHECK(!accepted || key_length == strlen(SECRET));
    if (accepted) {
        CHECK(strstr(header, "HS256") != NULL || strchr(header, '\\') != NULL);
        check_accepted(&token, claims, claims_length, false);
        text.text[text.length - 2] ^= 1; /* another letter is another signature */
        CHECK(!is_accepted(secret_keys, text.text, &token));
        text.text[text.length - 2] ^= 1;
    }
    if (is_accepted(strict_keys, text.text, &token))
        check_accepted(&token, claims, claims_length, true);
    strbuf_free(&text);
}

static void try_key(const char *pem, size_t length)
{
    const char *algorithm = NULL, *why = NULL;
    if (public_key_algorithm(pem, length, &algorithm, &why) == ERR_OK)
        CHECK(strcmp(algorithm, "RS256") == 0 || strcmp(algorithm, "ES256") == 0 ||
              strcmp(algorithm, "EdDSA") == 0);
    else
        CHECK(why != NULL && why[0] != '\0');
}

static void try_key_set(const char *text, size_t length)
{
    const char *algorithm = NULL, *why = NULL;
    struct jwks *set = NULL;
    if (jwks_parse(text, length, &set, &why) != ERR_OK) {
        CHECK(set == NULL && why != NULL && why[0] != '\0');
        return;
    }
    CHECK(fuzz_is_object(text, length) && set->count >= 1 && set->count <= JWKS_KEYS_MAX);
    for (size_t i = 0; i < set->count; i++) {
        const struct jwks_key *key = &set->keys[i];
        CHECK(public_key_algorithm(key->pem, key->length, &algorithm, &why) == ERR_OK);
        CHECK(algorithm == key->algorithm && key->kid != NULL);
    }
    jwks_free(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data + 1, size - 1};

    if (size < 2)
        return 0;
    if (secret_keys == NULL)
        make_keys();
    switch (data[0]) {
    case 's':
        try_signed(&input, SECRET, strlen(SECRET));
        break;
    case 'p':
        try_signed(&input, public_pem, strlen(public_pem));
        break;
    case 'k':
        try_key((const char *)data + 1, size - 1);
        break;
    case 'j':
        try_key_set((const char *)data + 1, size - 1);
        break;
    default: {
        char *text = fuzz_next(&input, '\0', NULL);
        if (text != NULL)
            try_raw(text);
    }
    }
    fuzz_free_texts();
    return 0;
}
