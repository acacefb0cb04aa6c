/* SPDX-License-Identifier: MIT */
/* A connection that is encrypted, to a broker that has proved to be AMQP_HOST. The library makes the
 * handshake within the connect's time; OpenSSL judges the other end in it, so before a password is sent. The
 * library's own look at the name knows no addresses (up to 0.12), and it is given an address, so it is left
 * out. */
#include "common/amqp/internal.h"

/* From 0.12 on the headers live in a folder and the old names warn. */
#if __has_include(<rabbitmq-c/ssl_socket.h>)
#include <rabbitmq-c/ssl_socket.h>
#else
#include <amqp_ssl_socket.h>
#endif

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* The library has closed and forgotten all when it says that it failed. */
static int note_fault(int fine, X509_STORE_CTX *judged)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(judged, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct amqp_link *link = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!fine)
        snprintf(link->tls_fault, sizeof link->tls_fault, "%s",
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(judged)));
    return fine;
}

static void expect_host(SSL_CTX *context, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1 && X509_VERIFY_PARAM_set1_host(param, host, 0) != 1)
        abort();
}

/* The library is given an address, and would name that in its greeting: a server of several hosts chooses
 * the certificate by this name. */
static void name_host(const SSL *ssl, int where, int value)
{
    const struct amqp_link *link = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    (void)value;
    if (where == SSL_CB_HANDSHAKE_START)
        (void)SSL_set_tlsext_host_name((SSL *)ssl, link->host);
}

amqp_socket_t *amqp_link_tls_socket(struct amqp_link *link, const struct config *config)
{
    amqp_socket_t *socket = amqp_ssl_socket_new(link->state);
    if (!socket)
        abort();
    SSL_CTX *context = amqp_ssl_socket_get_context(socket);
    amqp_ssl_socket_set_verify_peer(socket, true);
    amqp_ssl_socket_set_verify_hostname(socket, false);
    expect_host(context, config->amqp_host);
    SSL_CTX_set_app_data(context, link);
    SSL_CTX_set_info_callback(context, name_host);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_fault);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);

    if (amqp_ssl_socket_set_cacert(socket, config->amqp_tls_ca) != AMQP_STATUS_OK) {
        amqp_link_die(link, "AMQP_TLS_CA: %.150s cannot be used", config->amqp_tls_ca);
        return NULL;
    }
    if (config->amqp_tls_cert[0] != '\0' &&
        amqp_ssl_socket_set_key(socket, config->amqp_tls_cert, config->amqp_tls_key) != AMQP_STATUS_OK) {
        amqp_link_die(link, "AMQP_TLS_CERT, AMQP_TLS_KEY: %.150s cannot be used", config->amqp_tls_cert);
        return NULL;
    }
    return socket;
}

enum err amqp_link_tls_fail(struct amqp_link *link, const struct config *config, int status)
{
    const char *host = config->amqp_host, *reason = ERR_reason_error_string(ERR_peek_last_error());
    int port = (int)config->amqp_port;

    if (link->tls_fault[0] != '\0')
        return amqp_link_die(link, "%s:%d: the broker's certificate: %s", host, port, link->tls_fault);
    if (status == AMQP_STATUS_SSL_CONNECTION_FAILED && reason)
        return amqp_link_die(link, "%s:%d: no TLS: %s", host, port, reason);
    return amqp_link_die(link, "%s:%d: %s", host, port, amqp_error_string2(status));
}
