# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Certificates for scripts/run --tls, in RUN_DIR/tls: a CA that may vouch for this machine's loopback names and nothing
# else (a stolen key does little harm), and one certificate of it for all parts.
# Both are used again at the next start, and made anew when they are about to end.

TLS_CA_DAYS=3650
TLS_DAYS=90
TLS_RENEW_DAYS=30

tls_configure() {
    (umask 077 && mkdir -p "$TLS_DIR/acme")
    # One of a clock that was ahead is not valid yet.
    { tls_lasts ca && call_openssl verify -CAfile "$TLS_DIR/ca.pem" "$TLS_DIR/ca.pem" >/dev/null 2>&1; } || tls_make_ca
    { tls_lasts server && call_openssl verify -CAfile "$TLS_DIR/ca.pem" "$TLS_DIR/server.pem" >/dev/null 2>&1; } || tls_make_server
}

# There, with its key, and not near its end.
tls_lasts() {
    [ -s "$TLS_DIR/$1.key" ] &&
        call_openssl x509 -in "$TLS_DIR/$1.pem" -noout -checkend $((TLS_RENEW_DAYS * 86400)) >/dev/null 2>&1 &&
        [ "$(call_openssl x509 -in "$TLS_DIR/$1.pem" -noout -pubkey)" = "$(call_openssl pkey -in "$TLS_DIR/$1.key" -pubout 2>/dev/null)" ]
}

tls_make_ca() {
    say "making a certificate authority in $TLS_DIR"
    tls_key ca
    tls_openssl req -new -x509 -key "$TLS_DIR/ca.key" -out "$TLS_DIR/ca.pem.new" -days $TLS_CA_DAYS \
        -subj "/CN=Carillon of $(id -un), this machine only" -config <(tls_ca_extensions) -extensions extensions
    mv "$TLS_DIR/ca.pem.new" "$TLS_DIR/ca.pem"
}

tls_ca_extensions() {
    cat <<'CONFIG'
[req]
distinguished_name = name
[name]
[extensions]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, permitted;DNS:localhost, permitted;IP:127.0.0.0/255.0.0.0, permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
CONFIG
}

tls_make_server() {
    tls_key server
    tls_openssl req -new -key "$TLS_DIR/server.key" -out "$TLS_DIR/server.csr" -subj /CN=localhost -config <(tls_ca_extensions)
    tls_openssl x509 -req -in "$TLS_DIR/server.csr" -CA "$TLS_DIR/ca.pem" -CAkey "$TLS_DIR/ca.key" \
        -set_serial "0x$(random_password)" -days $TLS_DAYS -extfile <(tls_server_extensions) -out "$TLS_DIR/server.pem.new"
    rm -f "$TLS_DIR/server.csr"
    mv "$TLS_DIR/server.pem.new" "$TLS_DIR/server.pem"
}

tls_server_extensions() {
    cat <<'CONFIG'
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
CONFIG
}

# The file is the owner's alone from its first moment.
tls_key() { (umask 077 && tls_openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TLS_DIR/$1.key"); }

tls_openssl() {
    local problem
    problem=$(call_openssl "$@" 2>&1) || die "openssl $1 failed: ${problem##*$'\n'}"
}

# Without the caller's OPENSSL_CONF.
call_openssl() { (clean_environment openssl "$@"); }
