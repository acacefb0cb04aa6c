/* SPDX-License-Identifier: MIT */
/* Settings: one table, read from the environment once at start into a const struct.
 *
 * Each row is  X(KIND, field, NAME, default, min, max, meaning)  with KIND one of
 *   INT     whole number in [min, max]
 *   TEXT    string of min..max bytes
 *   SECRET  like TEXT, also read from the file that NAME_FILE names (one trailing newline dropped);
 *           never printed
 *   CHOICE  one of the words in the default column, separated by '|'; the first is the default,
 *           the field holds the word's position
 * A default of NULL means the setting is required. Each program has its own table, and
 * does not ask for what it does not use. `.env.example` documents the same names for people.
 */
#ifndef CARILLON_CONFIG_H
#define CARILLON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CONFIG_COMMON(X)                                                                                     \
    X(CHOICE, log_format, LOG_FORMAT, "text|json", 0, 0, "how a log line looks")                             \
    X(CHOICE, log_level, LOG_LEVEL, "info|debug|warn|error", 0, 0, "least severity that is logged")          \
    X(CHOICE, traces, TRACES, "off|on", 0, 0,                                                                \
      "log what each part of an event's way took; give a traceparent to requests that have none")            \
    X(CHOICE, seccomp, SECCOMP, "on|log|off", 0, 0,                                                          \
      "give up the system calls that are not needed once it runs; log: only tell, in the kernel's log")      \
    X(TEXT, amqp_host, AMQP_HOST, "127.0.0.1", 1, 255, "RabbitMQ's host")                                    \
    X(INT, amqp_port, AMQP_PORT, "5672", 1, 65535, "RabbitMQ's port")                                        \
    X(TEXT, amqp_vhost, AMQP_VHOST, "/", 1, 255, "RabbitMQ's virtual host")                                  \
    X(TEXT, amqp_user, AMQP_USER, "carillon", 1, 255, "RabbitMQ's user")                                     \
    X(SECRET, amqp_password, AMQP_PASSWORD, NULL, 1, 255, "password of AMQP_USER")                           \
    X(TEXT, amqp_tls_ca, AMQP_TLS_CA, "", 0, 4095,                                                           \
      "file with the CA of RabbitMQ's certificate, PEM: TLS, for AMQP_HOST only; empty: none")               \
    X(TEXT, amqp_tls_cert, AMQP_TLS_CERT, "", 0, 4095, "file with a certificate to show to it, PEM")         \
    X(TEXT, amqp_tls_key, AMQP_TLS_KEY, "", 0, 4095, "file with that one's key, PEM")                        \
    X(TEXT, amqp_exchange, AMQP_EXCHANGE, "tasks", 1, 127, "topic exchange every event goes to")             \
    X(TEXT, amqp_queue, AMQP_QUEUE, "tasks_completed", 1, 127, "stream queue the notifiers read")            \
    X(INT, amqp_heartbeat_s, AMQP_HEARTBEAT_S, "10", 2, 300, "AMQP heartbeat in seconds")                    \
    X(INT, amqp_timeout_ms, AMQP_TIMEOUT_MS, "3000", 100, 60000,                                             \
      "limit of a connect or a call to RabbitMQ, ms")                                                        \
    X(INT, stream_max_age_s, STREAM_MAX_AGE_S, "604800", 60, 31536000,                                       \
      "the stream keeps events this long, seconds")                                                          \
    X(INT, stream_max_bytes, STREAM_MAX_BYTES, "2000000000", 1000000, 2147483647,                            \
      "and at most so many bytes")                                                                           \
    X(INT, stream_segment_bytes, STREAM_SEGMENT_BYTES, "20000000", 100000, 500000000,                        \
      "size of one segment of the stream")                                                                   \
    X(SECRET, jwt_secret, JWT_SECRET, "", 0, 512,                                                            \
      "secret of HS256 tokens, 32 bytes at least; with no key at all the service is open")                   \
    X(TEXT, jwt_public_key_file, JWT_PUBLIC_KEY_FILE, "", 0, 4095,                                           \
      "instead: file with the public key of RS256, ES256 or EdDSA tokens, PEM")                              \
    X(TEXT, jwt_kid, JWT_KID, "", 0, 255, "its name (kid); empty: it is for tokens that name no other")      \
    X(SECRET, jwt_secret_2, JWT_SECRET_2, "", 0, 512, "a second key, to change from one to the other")       \
    X(TEXT, jwt_public_key_2_file, JWT_PUBLIC_KEY_2_FILE, "", 0, 4095, "instead: file with a public key")    \
    X(TEXT, jwt_kid_2, JWT_KID_2, "", 0, 255, "the second key's name")                                       \
    X(TEXT, jwt_jwks_file, JWT_JWKS_FILE, "", 0, 4095,                                                       \
      "file with a JSON Web Key Set, read again when it changes: keys by their names, beside those above")   \
    X(TEXT, jwt_audience, JWT_AUDIENCE, "", 0, 255, "audience (aud) tokens must be for; empty: any")         \
    X(TEXT, jwt_issuer, JWT_ISSUER, "", 0, 255, "issuer (iss) tokens must be from; empty: any")              \
    X(TEXT, jwt_user_claim, JWT_USER_CLAIM, "sub", 1, 64, "claim with the user's id")                        \
    X(TEXT, jwt_groups_claim, JWT_GROUPS_CLAIM, "groups", 1, 64,                                             \
      "claim with the ids of further users whose things its bearer may touch")                               \
    X(INT, jwt_max_life_s, JWT_MAX_LIFE_S, "31536000", 0, 315360000,                                         \
      "a token may live so long, seconds, and so long ended sessions are remembered; 0: for ever")           \
    X(INT, jwt_leeway_s, JWT_LEEWAY_S, "60", 0, 3600, "clocks may differ by so much, seconds")               \
    X(TEXT, allowed_origins, ALLOWED_ORIGINS, "", 0, 4095,                                                   \
      "origins whose pages may come in, or *; empty: its own, and while the service is open this machine's") \
    X(TEXT, server_name, SERVER_NAME, "", 0, 1023,                                                           \
      "names it has, beside localhost and addresses: while it is open it answers by no other")

#define CONFIG_API(X)                                                                                        \
    X(TEXT, allowed_headers, ALLOWED_HEADERS, "", 0, 1023,                                                   \
      "further request headers that pages of ALLOWED_ORIGINS may send")                                      \
    X(TEXT, db_socket, DB_SOCKET, "", 0, 107, "MariaDB's unix socket; empty: use DB_HOST and DB_PORT")       \
    X(TEXT, db_host, DB_HOST, "127.0.0.1", 1, 255, "MariaDB's host")                                         \
    X(INT, db_port, DB_PORT, "3306", 1, 65535, "MariaDB's port")                                             \
    X(TEXT, db_name, DB_NAME, "carillon", 1, 64, "database")                                                 \
    X(TEXT, db_user, DB_USER, "carillon", 1, 80, "MariaDB's user")                                           \
    X(SECRET, db_password, DB_PASSWORD, NULL, 1, 255, "password of DB_USER")                                 \
    X(TEXT, db_tls_ca, DB_TLS_CA, "", 0, 4095,                                                               \
      "file with the CA of MariaDB's certificate, PEM: TLS, for DB_HOST only; empty: none")                  \
    X(TEXT, db_tls_cert, DB_TLS_CERT, "", 0, 4095, "file with a certificate to show to it, PEM")             \
    X(TEXT, db_tls_key, DB_TLS_KEY, "", 0, 4095, "file with that one's key, PEM")                            \
    X(INT, db_timeout_ms, DB_TIMEOUT_MS, "1500", 100, 60000, "limit of a connect or a statement, ms")        \
    X(INT, db_connections, DB_CONNECTIONS, "8", 1, 256,                                                      \
      "connections of a worker for reading; one more writes and one publishes")                              \
    X(INT, api_threads, API_THREADS, "32", 1, 1024, "requests that a worker has in hand at a time")          \
    X(INT, max_body_bytes, MAX_BODY_BYTES, "81920", 1024, 16777216, "largest request body")                  \
    X(INT, request_max_age_ms, REQUEST_MAX_AGE_MS, "10000", 100, 600000,                                     \
      "a request that waited longer than nginx does is dropped before it has an effect, ms")                 \
    X(TEXT, stats_file, API_STATS_FILE, "", 0, 4095,                                                         \
      "file by which the pool's workers share metrics and one publisher")                                    \
    X(INT, outbox_batch, OUTBOX_BATCH, "256", 1, 10000, "events read, published and deleted at a time")      \
    X(INT, sweep_interval_ms, SWEEP_INTERVAL_MS, "1000", 100, 60000,                                         \
      "pause between two sweeps of the outbox, ms")                                                          \
    X(INT, heal_window_s, HEAL_WINDOW_S, "90", 0, 604800,                                                    \
      "what the broker confirmed so recently is published again when it was restarted, seconds")             \
    X(INT, event_retention_s, EVENT_RETENTION_S, "604800", 3600, 31536000,                                   \
      "the journal keeps events this long, seconds")                                                         \
    X(INT, idempotency_retention_s, IDEMPOTENCY_RETENTION_S, "86400", 60, 31536000,                          \
      "an Idempotency-Key lives, seconds")

#define CONFIG_NOTIFIER(X)                                                                                   \
    X(TEXT, ws_host, WS_HOST, "127.0.0.1", 1, 255, "address the notifier listens on")                        \
    X(INT, ws_port, WS_PORT, "3081", 1, 65535, "port the notifier listens on")                               \
    X(INT, ws_max_clients, WS_MAX_CLIENTS, "16000", 1, 1000000,                                              \
      "sockets at most; the next is closed with 4429")                                                       \
    X(INT, ws_max_user_clients, WS_MAX_USER_CLIENTS, "100", 0, 1000000,                                      \
      "sockets of one user, by their tokens; of this and every limit below 0 is none")                       \
    X(INT, ws_max_user_subscriptions, WS_MAX_USER_SUBSCRIPTIONS, "1000", 0, 1000000,                         \
      "subscriptions of all sockets of one user")                                                            \
    X(INT, ws_max_address_clients, WS_MAX_ADDRESS_CLIENTS, "0", 0, 1000000, "sockets of one address")        \
    X(INT, ws_max_handshakes_s, WS_MAX_HANDSHAKES_S, "0", 0, 1000000,                                        \
      "new sockets a second; ten seconds' worth may come at once")                                           \
    X(INT, ws_max_address_handshakes_s, WS_MAX_ADDRESS_HANDSHAKES_S, "0", 0, 1000000,                        \
      "the same of one address")                                                                             \
    X(INT, ws_max_messages_s, WS_MAX_MESSAGES_S, "500", 0, 1000000,                                          \
      "messages a second from one socket; ten seconds' worth may come at once")                              \
    X(INT, ws_max_bytes_s, WS_MAX_BYTES_S, "262144", 0, 1073741824, "and their bytes")                       \
    X(INT, ws_silent_s, WS_SILENT_S, "60", 0, 86400,                                                         \
      "a socket without a subscription is closed after, seconds")                                            \
    X(INT, ws_headers_s, WS_HEADERS_S, "5", 1, 300, "a request's headers must have come after, seconds")     \
    X(CHOICE, ws_trust_proxy, WS_TRUST_PROXY, "loopback|private|none", 0, 0,                                 \
      "peers whose X-Forwarded-For says where a socket comes from")                                          \
    X(INT, ws_max_subscriptions, WS_MAX_SUBSCRIPTIONS, "256", 1, 100000, "users one socket may hear")        \
    X(INT, ws_max_message_bytes, WS_MAX_MESSAGE_BYTES, "8192", 256, 1048576,                                 \
      "largest message from a browser")                                                                      \
    X(INT, ws_queue_frames, WS_QUEUE_FRAMES, "10000", 16, 1000000, "frames waiting for one socket")          \
    X(INT, ws_queue_bytes, WS_QUEUE_BYTES, "8388608", 65536, 1073741824, "bytes waiting for one socket")     \
    X(INT, ws_ping_s, WS_PING_S, "25", 1, 3600, "seconds between protocol pings")                            \
    X(INT, ws_pong_timeout_s, WS_PONG_TIMEOUT_S, "10", 1, 3600,                                              \
      "a peer without a pong is closed after, seconds")                                                      \
    X(INT, ws_heartbeat_s, WS_HEARTBEAT_S, "25", 1, 3600,                                                    \
      "seconds between heartbeats of a subscription with a cursor")                                          \
    X(INT, ring_bytes, RING_BYTES, "134217728", 65536, 2147483647, "memory for recent events")               \
    X(INT, notifier_memory_bytes, NOTIFIER_MEMORY_BYTES, "268435456", 1000000, 68719476736,                  \
      "and for everything the notifier keeps; then the oldest events go, then the slowest clients")          \
    X(INT, ring_age_s, RING_AGE_S, "900", 1, 604800, "recent means this many seconds")                       \
    X(INT, hole_wait_s, HOLE_WAIT_S, "5", 0, 60,                                                             \
      "an event that came before its predecessor waits so long for it, seconds; 0: not at all")              \
    X(INT, marker_interval_s, MARKER_INTERVAL_S, "10", 1, 300, "seconds between two markers in the stream")

#define CONFIG_FIELD_INT(field)    int64_t field
#define CONFIG_FIELD_TEXT(field)   const char *field
#define CONFIG_FIELD_SECRET(field) const char *field
#define CONFIG_FIELD_CHOICE(field) int field

struct config {
#define X(kind, field, ...) CONFIG_FIELD_##kind(field);
    CONFIG_COMMON(X) CONFIG_API(X) CONFIG_NOTIFIER(X)
#undef X
};

enum config_program { CONFIG_FOR_API, CONFIG_FOR_NOTIFIER };

/* Reads the settings of one program. On ERR_INVALID `message` holds one line that names the variable
 * and what is wrong with it (never a secret's value). Strings live as long as *config, which is
 * freed with config_free(). */
MUST_CHECK enum err config_load(enum config_program program, struct config *config, char *message,
                                size_t size);
void config_free(struct config *config);

/* Writes NAME, default and meaning of every setting of the program to standard output (--help). */
void config_print_help(enum config_program program);

#endif
