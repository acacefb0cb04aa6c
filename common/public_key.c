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
    default:
        *why = "is neither an RSA key nor one on the curve P-256";
        return ERR_INVALID;
    }
}

enum err public_key_algorithm(const char *pem, size_t length, const char **algorithm, const char **why)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    enum err err = ERR_INVALID;

    if (key == NULL)
        *why = "holds no public key in PEM (-----BEGIN PUBLIC KEY-----)";
    else
        err = judge(key, algorithm, why);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return err;
}
