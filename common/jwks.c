/* SPDX-License-Identifier: MIT */
/* From members of a key to libcrypto's key, and from there to PEM, which is how libjwt takes it. */
#include "common/jwks.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"
#include "common/json.h"
#include "common/public_key.h"

#define NUMBER_TEXT_MAX 4096 /* of a key's number: RSA of 24,576 bits */
#define P256_BYTES      32
#define ED25519_BYTES   32

struct number {
    unsigned char bytes[BASE64URL_DECODED(NUMBER_TEXT_MAX)];
    size_t length;
};

static const char *text_of(const cJSON *key, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(key, name);
    return item != NULL && cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool is(const cJSON *key, const char *name, const char *wanted)
{
    const char *text = text_of(key, name);
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool has(const cJSON *key, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(key, name) != NULL;
}

static bool read_number(const cJSON *key, const char *name, struct number *number)
{
    const char *text = text_of(key, name);
    return text != NULL && strlen(text) <= NUMBER_TEXT_MAX &&
           base64url_decode(text, strlen(text), number->bytes, &number->length) == ERR_OK &&
           number->length > 0;
}

/* ---- making the key ------------------------------------------------------------------------------ */

/* NULL: libcrypto refuses the parameters, or that what they say is a key. */
static EVP_PKEY *make(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
    EVP_PKEY *key = NULL;

    if (parameters != NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1) {
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (check == NULL || EVP_PKEY_public_check(check) != 1) {
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

static EVP_PKEY *make_rsa(const cJSON *object)
{
    struct number modulus, exponent;
    EVP_PKEY *key = NULL;

    if (!read_number(object, "n", &modulus) || !read_number(object, "e", &exponent))
        return NULL;
    BIGNUM *n = BN_bin2bn(modulus.bytes, (int)modulus.length, NULL);
    BIGNUM *e = BN_bin2bn(exponent.bytes, (int)exponent.length, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (n != NULL && e != NULL && builder != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        key = make("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *make_ec(const cJSON *object)
{
    struct number x, y;
    unsigned char point[1 + 2 * P256_BYTES] = {0x04}; /* not compressed */
    EVP_PKEY *key = NULL;

    if (!is(object, "crv", "P-256") || !read_number(object, "x", &x) || !read_number(object, "y", &y) ||
        x.length != P256_BYTES || y.length != P256_BYTES)
        return NULL;
    memcpy(point + 1, x.bytes, P256_BYTES);
    memcpy(point + 1 + P256_BYTES, y.bytes, P256_BYTES);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = make("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *make_ed25519(const cJSON *object)
{
    struct number x;
    if (!is(object, "crv", "Ed25519") || !read_number(object, "x", &x) || x.length != ED25519_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.bytes, x.length);
}

static EVP_PKEY *make_key(const cJSON *object)
{
    if (is(object, "kty", "RSA"))
        return make_rsa(object);
    if (is(object, "kty", "EC"))
        return make_ec(object);
    return is(object, "kty", "OKP") ? make_ed25519(object) : NULL;
}

/* ---- which keys ---------------------------------------------------------------------------------- */

static bool lists(const cJSON *list, const char *wanted)
{
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0)
            return true;
    }
    return false;
}

/* Keys with secret parts are refused: a published secret would let its readers sign tokens. */
static bool is_for_signatures(const cJSON *key)
{
    const cJSON *kid = cJSON_GetObjectItemCaseSensitive(key, "kid");
    return cJSON_IsObject(key) && (kid == NULL || cJSON_IsString(kid)) && !has(key, "d") && !has(key, "k") &&
           (!has(key, "use") || is(key, "use", "sig")) &&
           (!has(key, "key_ops") || lists(cJSON_GetObjectItemCaseSensitive(key, "key_ops"), "verify"));
}

static char *copy(const char *text, size_t length)
{
    char *made = malloc(length + 1);
    if (made == NULL)
        abort();
    memcpy(made, text, length);
    made[length] = '\0';
    return made;
}

static bool write_pem(EVP_PKEY *key, struct jwks_key *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    const char *why;
    bool good = bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1;
    long length = good ? BIO_get_mem_data(bio, &text) : 0;

    good = length > 0 && public_key_algorithm(text, (size_t)length, &out->algorithm, &why) == ERR_OK;
    if (good) {
        out->pem = copy(text, (size_t)length);
        out->length = (size_t)length;
    }
    BIO_free(bio);
    return good;
}

static void take(const cJSON *object, struct jwks *jwks)
{
    struct jwks_key *key = &jwks->keys[jwks->count];
    if (jwks->count == JWKS_KEYS_MAX || !is_for_signatures(object))
        return;
    EVP_PKEY *made = make_key(object);
    if (made != NULL && write_pem(made, key)) {
        if (!has(object, "alg") || is(object, "alg", key->algorithm)) {
            const char *kid = text_of(object, "kid");
            key->kid = copy(kid != NULL ? kid : "", kid != NULL ? strlen(kid) : 0);
            jwks->count++;
        } else {
            free(key->pem);
        }
    }
    EVP_PKEY_free(made);
}

enum err jwks_parse(const char *text, size_t length, struct jwks **out, const char **why)
{
    cJSON *set = NULL;
    const cJSON *item = NULL;

    *out = NULL;
    if (json_parse_object(text, length, &set, why) != ERR_OK)
        return ERR_INVALID;
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(set, "keys");
    struct jwks *jwks = calloc(1, sizeof *jwks);
    if (jwks == NULL)
        abort();
    if (!cJSON_IsArray(keys))
        keys = NULL;
    cJSON_ArrayForEach(item, keys)
    {
        take(item, jwks);
    }
    *why = keys != NULL ? "has no key for signatures by RS256, ES256 or EdDSA"
                        : "is no key set: it has no list \"keys\"";
    cJSON_Delete(set);
    if (jwks->count == 0)
        jwks_free(&jwks);
    *out = jwks;
    return jwks != NULL ? ERR_OK : ERR_INVALID;
}

void jwks_free(struct jwks **jwks)
{
    if (*jwks == NULL)
        return;
    for (size_t i = 0; i < (*jwks)->count; i++) {
        free((*jwks)->keys[i].kid);
        free((*jwks)->keys[i].pem);
    }
    free(*jwks);
    *jwks = NULL;
}
