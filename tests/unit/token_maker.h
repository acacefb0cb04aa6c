/* SPDX-License-Identifier: MIT */
/* Makes tokens of every kind, good and bad, with the keys to verify them. For one test's main file; tokens.h
 * has a few that are ready. */
#ifndef CARILLON_TESTS_TOKEN_MAKER_H
#define CARILLON_TESTS_TOKEN_MAKER_H

#include "tests/unit/unit.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define HS256  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

/* ---- making tokens ------------------------------------------------------------------------------- */

static inline void add_base64url(char *out, const void *bytes, size_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;
    out += strlen(out);
    unsigned bits = 0, waiting = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | in[i];
        for (waiting += 8; waiting >= 6;) {
            waiting -= 6;
            *out++ = alphabet[bits >> waiting & 63];
        }
    }
    if (waiting > 0)
        *out++ = alphabet[bits << (6 - waiting) & 63];
    *out = '\0';
}

static char text[32768];

static inline void begin_token(const char *header, const char *claims)
{
    text[0] = '\0';
    add_base64url(text, header, strlen(header));
    strcat(text, ".");
    add_base64url(text, claims, strlen(claims));
}

static inline const char *hmac_token(const EVP_MD *digest, const char *secret, size_t length,
                                     const char *header, const char *claims)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    begin_token(header, claims);
    HMAC(digest, secret, (int)length, (unsigned char *)text, strlen(text), mac, &size);
    strcat(text, ".");
    add_base64url(text, mac, size);
    return text;
}

static inline const char *hs256(const char *header, const char *claims)
{
    return hmac_token(EVP_sha256(), SECRET, strlen(SECRET), header, claims);
}

static inline const char *signed_token(EVP_PKEY *key, const char *header, const char *claims)
{
    unsigned char signature[1024], raw[64];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    begin_token(header, claims);
    const EVP_MD *digest = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    assert_int_equal(EVP_DigestSignInit(context, NULL, digest, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(context, signature, &size, (unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(context);
    strcat(text, ".");
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        const unsigned char *der = signature;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
        ECDSA_SIG_free(pair);
        add_base64url(text, raw, sizeof raw);
    } else {
        add_base64url(text, signature, size);
    }
    return text;
}

/* ---- files of public keys ------------------------------------------------------------------------ */

static EVP_PKEY *rsa, *ec;
static char rsa_file[] = "/tmp/carillon-test-XXXXXX", ec_file[] = "/tmp/carillon-test-XXXXXX";

static inline void save_public(EVP_PKEY *key, char *path)
{
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PUBKEY(file, key), 1);
    fclose(file);
}

static inline int make_keys(void **state)
{
    (void)state;
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    save_public(rsa, rsa_file);
    save_public(ec, ec_file);
    return 0;
}

static inline int drop_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    unlink(rsa_file);
    unlink(ec_file);
    return 0;
}

#endif
