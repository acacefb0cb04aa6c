/* The only file that knows libcrypto, beside common/public_key.c. */
#include "fcgi-api/api/idempotency.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

static bool is_key(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++)
        if (text[length] <= 0x20 || text[length] >= 0x7f || length == IDEMPOTENCY_KEY_MAX)
            return false;
    return length > 0;
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
    *idempotency = (struct store_idempotency){.owner_id = request->identity.owner_id};
    if (request->idempotency_key == NULL)
        return ERR_OK;
    if (!is_key(request->idempotency_key))
        return ERR_INVALID;
    idempotency->key = request->idempotency_key;
    return hash_request(request, idempotency->request_hash);
}
