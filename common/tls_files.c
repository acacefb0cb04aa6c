/* SPDX-License-Identifier: MIT */
/* Whether a file is what its setting says. */
#include "common/tls_files.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

struct files {
    const char *name; /* of the settings, before _CA, _CERT, _KEY */
    const char *ca, *cert, *key;
};

struct complaint {
    char *text;
    size_t size;
};

#define COMPLAIN(complaint, ...) (snprintf((complaint)->text, (complaint)->size, __VA_ARGS__), ERR_INVALID)

/* A key with a password would be asked for on the terminal of a service. */
static int no_password(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static enum err open_file(const struct files *files, const char *part, const char *path, FILE **file,
                          struct complaint *complaint)
{
    *file = fopen(path, "re");
    if (!*file)
        return COMPLAIN(complaint, "%s_%s: cannot open %.150s: %s", files->name, part, path, strerror(errno));
    return ERR_OK;
}

static enum err read_certificate(const struct files *files, const char *part, const char *path,
                                 X509 **certificate, struct complaint *complaint)
{
    FILE *file = NULL;
    enum err err = open_file(files, part, path, &file, complaint);
    if (err)
        return err;
    *certificate = PEM_read_X509(file, NULL, no_password, NULL);
    fclose(file);
    if (!*certificate)
        return COMPLAIN(complaint, "%s_%s: %.150s holds no certificate in PEM", files->name, part, path);
    return ERR_OK;
}

static enum err read_key(const struct files *files, EVP_PKEY **key, struct complaint *complaint)
{
    FILE *file = NULL;
    enum err err = open_file(files, "KEY", files->key, &file, complaint);
    if (err)
        return err;
    *key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
    fclose(file);
    if (!*key)
        return COMPLAIN(complaint, "%s_KEY: %.150s holds no key in PEM without a password", files->name,
                        files->key);
    return ERR_OK;
}

static enum err check_pair(const struct files *files, struct complaint *complaint)
{
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    enum err err = read_certificate(files, "CERT", files->cert, &certificate, complaint);
    if (!err)
        err = read_key(files, &key, complaint);
    if (!err && X509_check_private_key(certificate, key) != 1)
        err = COMPLAIN(complaint, "%s_KEY: %.150s is not the key of %s_CERT", files->name, files->key,
                       files->name);
    EVP_PKEY_free(key);
    X509_free(certificate);
    return err;
}

static enum err check_files(const struct files *files, struct complaint *complaint)
{
    bool has_ca = files->ca[0] != '\0', has_cert = files->cert[0] != '\0', has_key = files->key[0] != '\0';
    X509 *ca = NULL;

    if (has_cert != has_key)
        return COMPLAIN(complaint, "%s_CERT and %s_KEY go together; one is missing", files->name,
                        files->name);
    if (has_cert && !has_ca)
        return COMPLAIN(complaint, "%s_CERT is set without %s_CA: there would be no TLS", files->name,
                        files->name);
    if (!has_ca)
        return ERR_OK;
    enum err err = read_certificate(files, "CA", files->ca, &ca, complaint);
    X509_free(ca);
    return err || !has_cert ? err : check_pair(files, complaint);
}

enum err tls_files_check(enum config_program program, const struct config *config, char *why, size_t size)
{
    struct complaint complaint = {why, size};
    struct files amqp = {"AMQP_TLS", config->amqp_tls_ca, config->amqp_tls_cert, config->amqp_tls_key};
    enum err err = check_files(&amqp, &complaint);
    if (err || program != CONFIG_FOR_API)
        return err;

    struct files db = {"DB_TLS", config->db_tls_ca, config->db_tls_cert, config->db_tls_key};
    if (db.ca[0] != '\0' && config->db_socket[0] != '\0')
        return COMPLAIN(&complaint,
                        "DB_TLS_CA is for DB_HOST, but DB_SOCKET is set; leave out one of the two");
    return check_files(&db, &complaint);
}
