/* SPDX-License-Identifier: MIT */
/* The only file that knows libcrypto, beside common/public_key.c. */
#include "fcgi-api/api/idempotency.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

static bool is_visible(char c)
{
    return c > 0x20 && c < 0x7f;
}

/* The draft of the header has it as a string of RFC 9651, in quotes; most clients send it bare. Both name the
 * same key. `most` bytes and a NUL fit into key. */
static enum err read_text(const char *text, char *key, size_t most)
{
    bool quoted = text[0] == '"';
    size_t length = 0;

    for (text += quoted; *text != '\0' && !(quoted && *text == '"'); text++) {
        if (quoted && *text == '\\' && *++text != '"' && *text != '\\')
            return ERR_INVALID;
        if (!is_visible(*text) || length == most)
            return ERR_INVALID;
        key[length++] = *text;
    }
    key[length] = '\0';
    if (quoted && (text[0] != '"' || text[1] != '\0'))
        return ERR_INVALID;
    return length > 0 ? ERR_OK : ERR_INVALID;
}

/* Neither a method nor a path holds a NUL, so their terminators keep the three parts apart. */
static enum err hash_request(const struct request *request, unsigned char hash[32])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool done = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(digest, request->method_text, strlen(request->method_text) + 1) == 1 &&
                EVP_DigestUpdate(digest, request->path, strlen(request->path) + 1) == 1 &&
                EVP_DigestUpdate(digest, request->body.text, request->body.length) == 1 &&
                EVP_DigestFinal_ex(digest, hash, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return done ? ERR_OK : ERR_INTERNAL;
}

enum err idempotency_read(const struct request *request, struct store_idempotency *idempotency)
{
    idempotency->owner_id = request->identity.owner_id;
    idempotency->key[0] = '\0';
    if (request->idempotency_key == NULL)
        return ERR_OK;
    enum err err = read_text(request->idempotency_key, idempotency->key, IDEMPOTENCY_KEY_MAX);
    return err ? err : hash_request(request, idempotency->request_hash);
}
