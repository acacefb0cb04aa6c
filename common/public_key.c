/* SPDX-License-Identifier: MIT */
/* Looking at a key with libcrypto. libjwt would take any key for any algorithm of its family. */
#include "common/public_key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#define RSA_BITS_MIN 2048

static enum err judge(EVP_PKEY *key, const char **algorithm, const char **why)
{
    char curve[64] = "";

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        *algorithm = "RS256";
        *why = "is an RSA key of fewer than 2048 bits";
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN ? ERR_OK : ERR_INVALID;
    case EVP_PKEY_EC:
        *algorithm = "ES256";
        *why = "is on another curve than P-256";
        if (EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) != 1)
            return ERR_INVALID;
        return strcmp(curve, "prime256v1") == 0 ? ERR_OK : ERR_INVALID;
    case EVP_PKEY_ED25519:
        *algorithm = "EdDSA";
        return ERR_OK;
    default:
        *why = "is neither an RSA key nor one on the curve P-256, nor Ed25519";
        return ERR_INVALID;
    }
}

static EVP_PKEY *read_pem(const char *pem, size_t length)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

enum err public_key_algorithm(const char *pem, size_t length, const char **algorithm, const char **why)
{
    EVP_PKEY *key = read_pem(pem, length);
    enum err err = ERR_INVALID;

    if (key == NULL)
        *why = "holds no public key in PEM (-----BEGIN PUBLIC KEY-----)";
    else
        err = judge(key, algorithm, why);
    EVP_PKEY_free(key);
    return err;
}

bool public_key_has_signed(const char *pem, size_t length, const char *text, size_t text_length,
                           const unsigned char *signature, size_t signature_length)
{
    EVP_PKEY *key = read_pem(pem, length);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        key != NULL && context != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 &&
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestVerify(context, signature, signature_length, (const unsigned char *)text, text_length) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}
