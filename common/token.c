/* SPDX-License-Identifier: MIT */
/* Judging tokens.
 *
 * The library would take any HS algorithm for a secret, no key for no signature, a claim given twice and an
 * `exp` of any kind, and never looks at the time. So the parts are read here first, with the JSON reader that
 * the rest of the service trusts; a key is bound to one algorithm when it is loaded; the library sees the
 * token only once it is known which key and which algorithm it must be. Claims are looked at last: a sender
 * without a key learns nothing about them. */
#include "common/token.h"

#include <assert.h>
#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base64url.h"
#include "common/event.h"
#include "common/json.h"
#include "common/jwks_file.h"
#include "common/public_key.h"

#if defined(JWT_VERSION_MAJOR) && JWT_VERSION_MAJOR >= 3
#error "libjwt 3 has another interface; the one of 1.10 to 2 is used here"
#endif

#define KEYS_MAX      2
#define SECRET_MIN    32          /* bytes: as many as the signature has */
#define PEM_MAX       16384       /* bytes */
#define SECONDS_MAX   32503680000 /* the year 3000 */
#define USER_ID_CHARS 10
#define FAULT_SIZE    160
#define TEXT(number)  TEXT_OF(number)
#define TEXT_OF(text) #text

struct key {
    const char *kid;            /* "": for tokens that name no key we know */
    const char *algorithm;      /* the one it is for, static */
    const unsigned char *bytes; /* as libjwt takes them */
    size_t length;
};

struct token_keys {
    const char *audience, *issuer; /* "": any */
    const char *user_claim, *groups_claim;
    char no_user[FAULT_SIZE], no_groups[FAULT_SIZE]; /* the complaint about those, with their names */
    int64_t leeway_s, max_life_s;
    size_t count;
    struct key list[KEYS_MAX];
    struct jwks_file *file; /* further ones; NULL: none */
};

enum fault {
    TOKEN_FINE,
#define X(name, text) name,
    TOKEN_FAULTS(X)
#undef X
};

/* ---- keys ---------------------------------------------------------------------------------------- */

/* What the settings say of one key, with the names to complain by. */
struct key_setting {
    const char *secret, *secret_name;
    const char *file, *file_name;
    const char *kid;
};

#define COMPLAIN(...) (snprintf(why, size, __VA_ARGS__), ERR_INVALID)

static const unsigned char *copy_bytes(const void *bytes, size_t length)
{
    unsigned char *copy = malloc(length + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

static enum err load_secret(const struct key_setting *setting, struct key *key, char *why, size_t size)
{
    key->algorithm = "HS256";
    key->length = strlen(setting->secret);
    if (key->length < SECRET_MIN)
        return COMPLAIN("%s has %zu bytes; it needs at least %d", setting->secret_name, key->length,
                        SECRET_MIN);
    if (strstr(setting->secret, "-----BEGIN") != NULL)
        return COMPLAIN("%s holds a key in PEM; a public key belongs into %s", setting->secret_name,
                        setting->file_name);
    key->bytes = copy_bytes(setting->secret, key->length);
    return ERR_OK;
}

static enum err load_public_key(const struct key_setting *setting, struct key *key, char *why, size_t size)
{
    char pem[PEM_MAX + 1];
    const char *wrong = NULL;
    FILE *file = fopen(setting->file, "re");

    if (file == NULL)
        return COMPLAIN("%s: cannot open %.200s: %s", setting->file_name, setting->file, strerror(errno));
    key->length = fread(pem, 1, sizeof pem, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || key->length > PEM_MAX)
        return COMPLAIN("%s: %.200s cannot be read or is too large", setting->file_name, setting->file);
    if (public_key_algorithm(pem, key->length, &key->algorithm, &wrong) != ERR_OK)
        return COMPLAIN("%s: %.200s %s", setting->file_name, setting->file, wrong);
    key->bytes = copy_bytes(pem, key->length);
    return ERR_OK;
}

static enum err load_key(const struct key_setting *setting, struct token_keys *keys, char *why, size_t size)
{
    struct key *key = &keys->list[keys->count];
    bool has_secret = setting->secret[0] != '\0', has_file = setting->file[0] != '\0';

    if (has_secret && has_file)
        return COMPLAIN("%s and %s are both set; keep one", setting->secret_name, setting->file_name);
    if (!has_secret && !has_file)
        return ERR_OK;
    keys->count++;
    key->kid = setting->kid;
    return has_secret ? load_secret(setting, key, why, size) : load_public_key(setting, key, why, size);
}

static void name_claims(struct token_keys *keys, const struct config *config)
{
    keys->user_claim = config->jwt_user_claim != NULL ? config->jwt_user_claim : "sub";
    keys->groups_claim = config->jwt_groups_claim != NULL ? config->jwt_groups_claim : "groups";
    snprintf(keys->no_user, sizeof keys->no_user, "has no \"%s\" that is the id of a user", keys->user_claim);
    snprintf(keys->no_groups, sizeof keys->no_groups,
             "has \"%s\" that are no list of at most " TEXT(GRANT_GROUPS_MAX) " ids of users",
             keys->groups_claim);
}

enum err token_keys_new(const struct config *config, struct token_keys **out, char *why, size_t size)
{
    const struct key_setting settings[KEYS_MAX] = {
        {config->jwt_secret, "JWT_SECRET", config->jwt_public_key_file, "JWT_PUBLIC_KEY_FILE",
         config->jwt_kid},
        {config->jwt_secret_2, "JWT_SECRET_2", config->jwt_public_key_2_file, "JWT_PUBLIC_KEY_2_FILE",
         config->jwt_kid_2}};
    struct token_keys *keys = calloc(1, sizeof *keys);
    enum err err = ERR_OK;

    if (keys == NULL)
        abort();
    *keys = (struct token_keys){.audience = config->jwt_audience,
                                .issuer = config->jwt_issuer,
                                .leeway_s = config->jwt_leeway_s,
                                .max_life_s = config->jwt_max_life_s};
    name_claims(keys, config);
    for (size_t i = 0; i < KEYS_MAX && err == ERR_OK; i++)
        err = load_key(&settings[i], keys, why, size);
    if (err == ERR_OK && keys->count == KEYS_MAX && strcmp(keys->list[0].kid, keys->list[1].kid) == 0)
        err = COMPLAIN("two keys are told apart by JWT_KID and JWT_KID_2, which are the same");
    if (err == ERR_OK && config->jwt_jwks_file != NULL && config->jwt_jwks_file[0] != '\0')
        err = jwks_file_open(config->jwt_jwks_file, &keys->file, why, size);
    if (err != ERR_OK || (keys->count == 0 && keys->file == NULL))
        token_keys_free(&keys);
    *out = keys;
    return err;
}

void token_keys_free(struct token_keys **keys)
{
    if (*keys == NULL)
        return;
    for (size_t i = 0; i < (*keys)->count; i++) {
        const struct key *key = &(*keys)->list[i];
        unsigned char *bytes = (unsigned char *)(uintptr_t)key->bytes;
        if (bytes != NULL)
            explicit_bzero(bytes, key->length);
        free(bytes);
    }
    jwks_file_close(&(*keys)->file);
    free(*keys);
    *keys = NULL;
}

/* ---- header and signature ------------------------------------------------------------------------ */

/* One of the first two parts of a token: JSON in base64url. */
static cJSON *read_part(const char *text, size_t length)
{
    unsigned char bytes[BASE64URL_DECODED(TOKEN_MAX)];
    const char *why = NULL;
    cJSON *object = NULL;
    size_t size = 0;

    if (base64url_decode(text, length, bytes, &size) != ERR_OK)
        return NULL;
    if (json_parse_object((const char *)bytes, size, &object, &why) != ERR_OK)
        return NULL;
    return object;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool is_text(const cJSON *item, const char *text)
{
    return item != NULL && cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

/* How well a key fits a token: by its name; else one without a name, for all tokens that name none we know.
 * Keys of a set may share a name when they are for different algorithms. */
enum fit { FITS_NOT, IS_NAMELESS, IS_NAMELESS_ALGORITHM, IS_NAMED, IS_NAMED_ALGORITHM };

static enum fit fit_of(const struct key *key, const cJSON *kid, const cJSON *algorithm)
{
    bool same = is_text(algorithm, key->algorithm);
    if (key->kid[0] == '\0')
        return same ? IS_NAMELESS_ALGORITHM : IS_NAMELESS;
    if (!is_text(kid, key->kid))
        return FITS_NOT;
    return same ? IS_NAMED_ALGORITHM : IS_NAMED;
}

/* The key that fits best, of equals the first. False: none does. */
static bool find_key(const struct token_keys *keys, const struct jwks *set, const cJSON *header,
                     struct key *found)
{
    const cJSON *kid = member(header, "kid"), *algorithm = member(header, "alg");
    enum fit best = FITS_NOT;

    for (size_t i = 0; i < keys->count + (set != NULL ? set->count : 0); i++) {
        const struct jwks_key *other = i < keys->count ? NULL : &set->keys[i - keys->count];
        struct key key = other == NULL ? keys->list[i]
                                       : (struct key){other->kid, other->algorithm,
                                                      (const unsigned char *)other->pem, other->length};
        enum fit fit = fit_of(&key, kid, algorithm);
        if (fit > best) {
            best = fit;
            *found = key;
        }
    }
    return best != FITS_NOT;
}

static enum fault check_header(const struct token_keys *keys, const struct jwks *set, const cJSON *header,
                               struct key *key)
{
    const cJSON *kid = member(header, "kid");
    if (header == NULL || (kid != NULL && !cJSON_IsString(kid)))
        return TOKEN_MALFORMED;
    if (member(header, "crit") != NULL)
        return TOKEN_CRITICAL;
    if (!find_key(keys, set, header, key))
        return TOKEN_UNKNOWN_KEY;
    return is_text(member(header, "alg"), key->algorithm) ? TOKEN_FINE : TOKEN_ALGORITHM;
}

static bool is_signed_by_eddsa(const char *text, const struct key *key)
{
    unsigned char signature[BASE64URL_DECODED(TOKEN_MAX)];
    const char *dot = strrchr(text, '.');
    size_t size = 0;
    return base64url_decode(dot + 1, strlen(dot + 1), signature, &size) == ERR_OK &&
           public_key_has_signed((const char *)key->bytes, key->length, text, (size_t)(dot - text), signature,
                                 size);
}

static bool is_signed(const char *text, const struct key *key)
{
    static const struct {
        const char *name;
        jwt_alg_t algorithm;
    } algorithms[] = {{"HS256", JWT_ALG_HS256}, {"RS256", JWT_ALG_RS256}, {"ES256", JWT_ALG_ES256}};
    jwt_t *jwt = NULL;
    bool good = false;

    assert(key->bytes != NULL && key->length > 0); /* without a key the library verifies nothing */
    if (strcmp(key->algorithm, "EdDSA") == 0)
        return is_signed_by_eddsa(text, key);
    if (jwt_decode(&jwt, text, key->bytes, (int)key->length) != 0)
        return false;
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (strcmp(algorithms[i].name, key->algorithm) == 0)
            good = jwt_get_alg(jwt) == algorithms[i].algorithm;
    jwt_free(jwt);
    return good;
}

/* ---- claims -------------------------------------------------------------------------------------- */

/* When it was issued, by a whole second or a part of one (RFC 7519, section 2). */
static enum fault read_issued(const cJSON *iat, struct token *token)
{
    token->issued_s = -1;
    if (iat == NULL)
        return TOKEN_FINE;
    if (!cJSON_IsNumber(iat) || !(iat->valuedouble >= 0 && iat->valuedouble <= SECONDS_MAX))
        return TOKEN_IAT;
    token->issued_s = (int64_t)iat->valuedouble;
    return TOKEN_FINE;
}

static enum fault check_life(const struct token_keys *keys, int64_t exp, int64_t now_s,
                             const struct token *token)
{
    int64_t from = token->issued_s >= 0 ? token->issued_s : now_s + keys->leeway_s;
    if (token->issued_s > now_s + keys->leeway_s)
        return TOKEN_TOO_EARLY;
    return keys->max_life_s > 0 && exp - from > keys->max_life_s ? TOKEN_LIFE : TOKEN_FINE;
}

static enum fault check_times(const struct token_keys *keys, const cJSON *claims, int64_t now_s,
                              struct token *token)
{
    const cJSON *nbf = member(claims, "nbf");
    int64_t exp = 0, from = 0;

    if (json_whole_number(member(claims, "exp"), 0, SECONDS_MAX, &exp) != ERR_OK)
        return TOKEN_EXP;
    token->valid_until_s = exp + keys->leeway_s;
    if (now_s >= token->valid_until_s)
        return TOKEN_EXPIRED;
    enum fault fault = read_issued(member(claims, "iat"), token);
    if (fault == TOKEN_FINE)
        fault = check_life(keys, exp, now_s, token);
    if (fault != TOKEN_FINE || nbf == NULL)
        return fault;
    if (json_whole_number(nbf, 0, SECONDS_MAX, &from) != ERR_OK)
        return TOKEN_NBF;
    return now_s + keys->leeway_s < from ? TOKEN_TOO_EARLY : TOKEN_FINE;
}

/* One text, or a list with it. */
static bool names_audience(const cJSON *aud, const char *audience)
{
    const cJSON *item = NULL;
    if (!cJSON_IsArray(aud))
        return is_text(aud, audience);
    cJSON_ArrayForEach(item, aud)
    {
        if (is_text(item, audience))
            return true;
    }
    return false;
}

/* Digits only, the first not 0, so that a user has one text only. 0: it is no id. */
static uint32_t id_in_text(const cJSON *item)
{
    if (item == NULL || !cJSON_IsString(item))
        return 0;
    const char *text = item->valuestring;
    size_t length = strlen(text);
    if (length == 0 || length > USER_ID_CHARS || strspn(text, "0123456789") != length || text[0] == '0')
        return 0;
    long long number = strtoll(text, NULL, 10);
    return number <= EVENT_ID_MAX ? (uint32_t)number : 0;
}

/* A claim that JWT_USER_CLAIM names may hold it as a number, too. */
static uint32_t id_in(const cJSON *item)
{
    int64_t number = 0;
    if (json_whole_number(item, 1, EVENT_ID_MAX, &number) == ERR_OK)
        return (uint32_t)number;
    return id_in_text(item);
}

/* "sub" is a string by RFC 7519. */
static enum fault read_user(const struct token_keys *keys, const cJSON *claims, struct token *token)
{
    const cJSON *claim = member(claims, keys->user_claim);
    token->grant.user_id = strcmp(keys->user_claim, "sub") == 0 ? id_in_text(claim) : id_in(claim);
    return token->grant.user_id != 0 ? TOKEN_FINE : TOKEN_SUBJECT;
}

/* Into its place in the order, unless it is there. */
static void add_group(struct grant *grant, uint32_t id)
{
    uint32_t at = grant->group_count;
    if (grant_lists(grant->groups, grant->group_count, id) || id == grant->user_id)
        return;
    for (; at > 0 && grant->groups[at - 1] > id; at--)
        grant->groups[at] = grant->groups[at - 1];
    grant->groups[at] = id;
    grant->group_count++;
}

static enum fault read_groups(const cJSON *groups, struct grant *grant)
{
    const cJSON *item = NULL;
    if (groups == NULL)
        return TOKEN_FINE;
    if (!cJSON_IsArray(groups) || cJSON_GetArraySize(groups) > GRANT_GROUPS_MAX)
        return TOKEN_GROUPS;
    cJSON_ArrayForEach(item, groups)
    {
        uint32_t id = id_in(item);
        if (id == 0)
            return TOKEN_GROUPS;
        add_group(grant, id);
    }
    return TOKEN_FINE;
}

static bool is_word(const char *word, size_t length, const char *wanted)
{
    return length == strlen(wanted) && memcmp(word, wanted, length) == 0;
}

/* Words with single spaces between them (RFC 6749, section 3.3). */
static enum fault read_scope(const cJSON *scope, struct token *token)
{
    if (scope == NULL)
        return TOKEN_FINE;
    if (!cJSON_IsString(scope))
        return TOKEN_SCOPE;
    for (const char *word = scope->valuestring; *word != '\0';) {
        size_t length = strcspn(word, " ");
        token->grant.everyone |= is_word(word, length, TOKEN_ADMIN_SCOPE);
        token->writes_events |= is_word(word, length, TOKEN_EVENTS_SCOPE);
        word += length;
        word += strspn(word, " ");
    }
    return TOKEN_FINE;
}

static enum fault check_claims(const struct token_keys *keys, const cJSON *claims, int64_t now_s,
                               struct token *token)
{
    enum fault fault = check_times(keys, claims, now_s, token);
    if (fault != TOKEN_FINE)
        return fault;
    if (keys->audience[0] != '\0' && !names_audience(member(claims, "aud"), keys->audience))
        return TOKEN_AUDIENCE;
    if (keys->issuer[0] != '\0' && !is_text(member(claims, "iss"), keys->issuer))
        return TOKEN_ISSUER;
    fault = read_user(keys, claims, token);
    if (fault == TOKEN_FINE)
        fault = read_groups(member(claims, keys->groups_claim), &token->grant);
    return fault != TOKEN_FINE ? fault : read_scope(member(claims, "scope"), token);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* Header and signature, with the keys as they are at this moment. */
static enum fault judge_signature(const struct token_keys *keys, const char *text, const cJSON *header)
{
    const struct jwks *set = keys->file != NULL ? jwks_file_hold(keys->file) : NULL;
    struct key key;
    enum fault fault = check_header(keys, set, header, &key);
    if (fault == TOKEN_FINE && !is_signed(text, &key))
        fault = TOKEN_SIGNATURE;
    if (set != NULL)
        jwks_file_release(keys->file);
    return fault;
}

static enum fault judge(const struct token_keys *keys, const char *text, int64_t now_s, struct token *token)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t length = strnlen(text, TOKEN_MAX + 1);

    if (length > TOKEN_MAX)
        return TOKEN_TOO_LONG;
    size_t header_length = strspn(text, alphabet);
    if (header_length == 0 || text[header_length] != '.')
        return TOKEN_MALFORMED;
    const char *payload = text + header_length + 1;
    size_t payload_length = strspn(payload, alphabet);
    if (payload_length == 0 || payload[payload_length] != '.')
        return TOKEN_MALFORMED;
    const char *signature = payload + payload_length + 1;
    if (strspn(signature, alphabet) != strlen(signature))
        return TOKEN_MALFORMED;

    cJSON *header = read_part(text, header_length), *claims = NULL;
    enum fault fault = judge_signature(keys, text, header);
    if (fault == TOKEN_FINE && (claims = read_part(payload, payload_length)) == NULL)
        fault = TOKEN_MALFORMED;
    if (fault == TOKEN_FINE)
        fault = check_claims(keys, claims, now_s, token);
    cJSON_Delete(header);
    cJSON_Delete(claims);
    return fault;
}

enum err token_verify(const struct token_keys *keys, const char *text, int64_t now_s, struct token *token,
                      const char **why)
{
    static const char *const texts[] = {"",
#define X(name, sentence) [name] = (sentence),
                                        TOKEN_FAULTS(X)
#undef X
    };
    *token = (struct token){0};
    enum fault fault = judge(keys, text, now_s, token);
    *why = fault == TOKEN_SUBJECT ? keys->no_user : fault == TOKEN_GROUPS ? keys->no_groups : texts[fault];
    if (fault == TOKEN_FINE)
        return ERR_OK;
    *token = (struct token){0};
    return fault == TOKEN_EXPIRED ? ERR_GONE : ERR_INVALID;
}

const char *token_in_header(const char *authorization)
{
    static const char scheme[] = "Bearer";
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    const char *token = authorization + sizeof scheme - 1;
    if (*token != ' ')
        return NULL;
    return token + strspn(token, " ");
}
