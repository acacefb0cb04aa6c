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
      "on: log what each part of an event's way took, and give a traceparent to requests that have none")    \
    X(CHOICE, seccomp, SECCOMP, "on|log|off", 0, 0,                                                          \
      "on: give up the system calls that the program does not need once it runs; log: only log them, in "    \
      "the kernel's log; off: keep them")                                                                    \
    X(TEXT, amqp_host, AMQP_HOST, "127.0.0.1", 1, 255, "RabbitMQ's host")                                    \
    X(INT, amqp_port, AMQP_PORT, "5672", 1, 65535, "RabbitMQ's port")                                        \
    X(TEXT, amqp_vhost, AMQP_VHOST, "/", 1, 255, "RabbitMQ's virtual host")                                  \
    X(TEXT, amqp_user, AMQP_USER, "carillon", 1, 255, "RabbitMQ's user")                                     \
    X(SECRET, amqp_password, AMQP_PASSWORD, NULL, 1, 255, "password of AMQP_USER")                           \
    X(TEXT, amqp_tls_ca, AMQP_TLS_CA, "", 0, 4095,                                                           \
      "file with the CA of RabbitMQ's certificate, PEM: the connection is TLS, and the certificate must "    \
      "be for AMQP_HOST; empty: no TLS")                                                                     \
    X(TEXT, amqp_tls_cert, AMQP_TLS_CERT, "", 0, 4095,                                                       \
      "file with the certificate that the program shows to RabbitMQ, PEM")                                   \
    X(TEXT, amqp_tls_key, AMQP_TLS_KEY, "", 0, 4095, "file with the key of AMQP_TLS_CERT, PEM")              \
    X(TEXT, amqp_exchange, AMQP_EXCHANGE, "tasks", 1, 127, "topic exchange to which every event goes")       \
    X(TEXT, amqp_queue, AMQP_QUEUE, "tasks_completed", 1, 127, "stream that the notifiers read")             \
    X(INT, amqp_heartbeat_s, AMQP_HEARTBEAT_S, "10", 2, 300, "AMQP heartbeat in seconds")                    \
    X(INT, amqp_timeout_ms, AMQP_TIMEOUT_MS, "3000", 100, 60000,                                             \
      "limit of a connect or a call to RabbitMQ, ms")                                                        \
    X(INT, stream_max_age_s, STREAM_MAX_AGE_S, "604800", 60, 31536000,                                       \
      "the stream keeps an event for so many seconds")                                                       \
    X(INT, stream_max_bytes, STREAM_MAX_BYTES, "2000000000", 1000000, 2147483647,                            \
      "largest size of the stream, bytes; a notifier that starts can replay no more than that")              \
    X(INT, stream_segment_bytes, STREAM_SEGMENT_BYTES, "20000000", 100000, 500000000,                        \
      "size of one segment of the stream, bytes")                                                            \
    X(SECRET, jwt_secret, JWT_SECRET, "", 0, 512,                                                            \
      "secret of HS256 tokens, 32 bytes at least; with no key at all the service is open")                   \
    X(TEXT, jwt_public_key_file, JWT_PUBLIC_KEY_FILE, "", 0, 4095,                                           \
      "in place of JWT_SECRET: file with the public key of RS256, ES256 or EdDSA tokens, PEM")               \
    X(TEXT, jwt_kid, JWT_KID, "", 0, 255,                                                                    \
      "name (kid) of that key; empty: the key is for tokens that name no other")                             \
    X(SECRET, jwt_secret_2, JWT_SECRET_2, "", 0, 512, "second secret, while keys are changed")               \
    X(TEXT, jwt_public_key_2_file, JWT_PUBLIC_KEY_2_FILE, "", 0, 4095,                                       \
      "in place of JWT_SECRET_2: file with a second public key")                                             \
    X(TEXT, jwt_kid_2, JWT_KID_2, "", 0, 255, "name (kid) of the second key")                                \
    X(TEXT, jwt_jwks_file, JWT_JWKS_FILE, "", 0, 4095,                                                       \
      "file with a JSON Web Key Set, beside the keys above; read again when it changes")                     \
    X(TEXT, jwt_audience, JWT_AUDIENCE, "", 0, 255, "audience (aud) that a token must be for; empty: any")   \
    X(TEXT, jwt_issuer, JWT_ISSUER, "", 0, 255, "issuer (iss) that a token must be from; empty: any")        \
    X(TEXT, jwt_user_claim, JWT_USER_CLAIM, "sub", 1, 64, "claim that holds the user's id")                  \
    X(TEXT, jwt_groups_claim, JWT_GROUPS_CLAIM, "groups", 1, 64,                                             \
      "claim that holds the ids of further users for whom the token is, too")                                \
    X(INT, jwt_max_life_s, JWT_MAX_LIFE_S, "31536000", 0, 315360000,                                         \
      "longest life of a token, seconds; ended sessions are remembered for as long; 0: no limit")            \
    X(INT, jwt_leeway_s, JWT_LEEWAY_S, "60", 0, 3600, "clocks may differ by so many seconds")                \
    X(TEXT, allowed_origins, ALLOWED_ORIGINS, "", 0, 4095,                                                   \
      "origins whose pages may use the service, or *; empty: its own, and while the service is open "        \
      "those of this machine")                                                                               \
    X(TEXT, server_name, SERVER_NAME, "", 0, 1023,                                                           \
      "names of the service; while it is open it answers by these, by localhost and by addresses only")

#define CONFIG_API(X)                                                                                        \
    X(TEXT, allowed_headers, ALLOWED_HEADERS, "", 0, 1023,                                                   \
      "further request headers that pages of ALLOWED_ORIGINS may send")                                      \
    X(TEXT, db_socket, DB_SOCKET, "", 0, 107, "MariaDB's unix socket; empty: use DB_HOST and DB_PORT")       \
    X(TEXT, db_host, DB_HOST, "127.0.0.1", 1, 255,                                                           \
      "MariaDB's host; or several with commas between them, also as HOST:PORT: one that takes writes is "    \
      "used, and for reading another one where none does")                                                   \
    X(INT, db_port, DB_PORT, "3306", 1, 65535, "MariaDB's port")                                             \
    X(TEXT, db_name, DB_NAME, "carillon", 1, 64, "name of the database")                                     \
    X(TEXT, db_user, DB_USER, "carillon", 1, 80, "MariaDB's user")                                           \
    X(SECRET, db_password, DB_PASSWORD, NULL, 1, 255, "password of DB_USER")                                 \
    X(TEXT, db_tls_ca, DB_TLS_CA, "", 0, 4095,                                                               \
      "file with the CA of MariaDB's certificate, PEM: the connection is TLS, and the certificate must "     \
      "be for DB_HOST; empty: no TLS")                                                                       \
    X(TEXT, db_tls_cert, DB_TLS_CERT, "", 0, 4095,                                                           \
      "file with the certificate that the program shows to MariaDB, PEM")                                    \
    X(TEXT, db_tls_key, DB_TLS_KEY, "", 0, 4095, "file with the key of DB_TLS_CERT, PEM")                    \
    X(TEXT, node, NODE, "", 0, 64,                                                                           \
      "with several nodes: this node's name in the table nodes; empty: the row with id 1")                   \
    X(INT, db_timeout_ms, DB_TIMEOUT_MS, "1500", 100, 60000, "limit of a connect or a statement, ms")        \
    X(INT, db_connections, DB_CONNECTIONS, "8", 1, 256,                                                      \
      "connections of a worker for reading; two more are for writing and publishing")                        \
    X(INT, api_threads, API_THREADS, "32", 1, 1024, "request threads of a worker")                           \
    X(INT, max_body_bytes, MAX_BODY_BYTES, "81920", 1024, 16777216, "largest request body, bytes")           \
    X(INT, request_max_age_ms, REQUEST_MAX_AGE_MS, "10000", 100, 600000,                                     \
      "a request that has waited for longer is dropped before it has an effect, ms; nginx waits as long")    \
    X(TEXT, stats_file, API_STATS_FILE, "", 0, 4095,                                                         \
      "file in which the pool's workers share metrics; beside it are the lock and the pipe of their one "    \
      "publisher")                                                                                           \
    X(INT, outbox_batch, OUTBOX_BATCH, "256", 1, 10000,                                                      \
      "how many events are read, published and deleted together")                                            \
    X(INT, sweep_interval_ms, SWEEP_INTERVAL_MS, "1000", 100, 60000,                                         \
      "pause between two sweeps of the outbox, ms")                                                          \
    X(INT, heal_window_s, HEAL_WINDOW_S, "90", 0, 604800,                                                    \
      "events confirmed within the last so many seconds are published again if a restart of the broker "     \
      "lost them")                                                                                           \
    X(INT, event_retention_s, EVENT_RETENTION_S, "604800", 3600, 31536000,                                   \
      "the journal keeps an event for so many seconds")                                                      \
    X(INT, idempotency_retention_s, IDEMPOTENCY_RETENTION_S, "86400", 60, 31536000,                          \
      "an Idempotency-Key is kept for so many seconds")

#define CONFIG_NOTIFIER(X)                                                                                   \
    X(TEXT, ws_host, WS_HOST, "127.0.0.1", 1, 255, "address the notifier listens on")                        \
    X(INT, ws_port, WS_PORT, "3081", 1, 65535, "port the notifier listens on")                               \
    X(INT, ws_max_clients, WS_MAX_CLIENTS, "16000", 1, 1000000,                                              \
      "most sockets; a further one is closed with 4429")                                                     \
    X(INT, ws_max_user_clients, WS_MAX_USER_CLIENTS, "100", 0, 1000000,                                      \
      "most sockets of one user, by their tokens; for this and each limit below, 0 is no limit")             \
    X(INT, ws_max_user_subscriptions, WS_MAX_USER_SUBSCRIPTIONS, "1000", 0, 1000000,                         \
      "most subscriptions on all sockets of one user")                                                       \
    X(INT, ws_max_address_clients, WS_MAX_ADDRESS_CLIENTS, "0", 0, 1000000, "most sockets of one address")   \
    X(INT, ws_max_handshakes_s, WS_MAX_HANDSHAKES_S, "0", 0, 1000000,                                        \
      "new sockets a second; those of ten seconds may come at once")                                         \
    X(INT, ws_max_address_handshakes_s, WS_MAX_ADDRESS_HANDSHAKES_S, "0", 0, 1000000,                        \
      "new sockets a second from one address; those of ten seconds may come at once")                        \
    X(INT, ws_max_messages_s, WS_MAX_MESSAGES_S, "500", 0, 1000000,                                          \
      "messages a second from one socket; those of ten seconds may come at once")                            \
    X(INT, ws_max_bytes_s, WS_MAX_BYTES_S, "262144", 0, 1073741824,                                          \
      "bytes a second from one socket; those of ten seconds may come at once")                               \
    X(INT, ws_silent_s, WS_SILENT_S, "60", 0, 86400,                                                         \
      "a socket without a subscription is closed after so many seconds")                                     \
    X(INT, ws_headers_s, WS_HEADERS_S, "5", 1, 300,                                                          \
      "a request's headers must arrive within so many seconds")                                              \
    X(CHOICE, ws_trust_proxy, WS_TRUST_PROXY, "loopback|private|none", 0, 0,                                 \
      "peers whose X-Forwarded-For is believed")                                                             \
    X(INT, ws_max_subscriptions, WS_MAX_SUBSCRIPTIONS, "256", 1, 100000,                                     \
      "most users that one socket may hear")                                                                 \
    X(INT, ws_max_message_bytes, WS_MAX_MESSAGE_BYTES, "8192", 256, 1048576,                                 \
      "largest message from a client, bytes")                                                                \
    X(INT, ws_queue_frames, WS_QUEUE_FRAMES, "10000", 16, 1000000,                                           \
      "most frames that wait for one socket; a slower client is closed with 4408")                           \
    X(INT, ws_queue_bytes, WS_QUEUE_BYTES, "8388608", 65536, 1073741824,                                     \
      "most bytes that wait for one socket")                                                                 \
    X(INT, ws_ping_s, WS_PING_S, "25", 1, 3600,                                                              \
      "seconds between protocol pings, less up to a quarter so that not all sockets are pinged together")    \
    X(INT, ws_pong_timeout_s, WS_PONG_TIMEOUT_S, "10", 1, 3600,                                              \
      "a client is closed when its pong has not come within so many seconds")                                \
    X(INT, ws_heartbeat_s, WS_HEARTBEAT_S, "25", 1, 3600,                                                    \
      "seconds between heartbeats of a subscription with a cursor")                                          \
    X(INT, ring_bytes, RING_BYTES, "134217728", 65536, 2147483647, "memory for recent events, bytes")        \
    X(INT, notifier_memory_bytes, NOTIFIER_MEMORY_BYTES, "268435456", 1000000, 68719476736,                  \
      "memory for all that the notifier keeps, bytes; when it is full the oldest events go, then the "       \
      "slowest clients")                                                                                     \
    X(INT, ring_age_s, RING_AGE_S, "900", 1, 604800,                                                         \
      "an event is recent, and can be replayed, for so many seconds")                                        \
    X(INT, hole_wait_s, HOLE_WAIT_S, "5", 0, 60,                                                             \
      "a user's later events wait so many seconds for an earlier one that is missing; 0: they do not wait")  \
    X(INT, marker_interval_s, MARKER_INTERVAL_S, "10", 1, 300, "seconds between two markers in the stream")  \
    X(INT, ws_stale_s, WS_STALE_S, "10", 0, 3600,                                                            \
      "with several nodes: when the stream is so many seconds behind, the notifier is not ready and "        \
      "sends its clients away; 0: never")

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
