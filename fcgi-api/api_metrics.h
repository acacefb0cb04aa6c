/* SPDX-License-Identifier: MIT */
/* The pool's metrics: one table, shared by all workers through API_STATS_FILE. */
#ifndef CARILLON_API_METRICS_H
#define CARILLON_API_METRICS_H

#include "common/metrics.h"
#include "common/version.h"

/* X(index, kind, name, labels, help); rows of one family stand together */
#define API_METRICS(X)                                                                                       \
    X(API_BUILD_INFO, METRIC_INFO, "carillon_build_info",                                                    \
      "program=\"fcgi-api\",version=\"" CARILLON_VERSION "\"", "1; which program and version tells this")    \
    X(API_REQUESTS_2XX, METRIC_COUNTER, "carillon_api_requests_total", "code=\"2xx\"", "Requests answered")  \
    X(API_REQUESTS_3XX, METRIC_COUNTER, "carillon_api_requests_total", "code=\"3xx\"", "Requests answered")  \
    X(API_REQUESTS_4XX, METRIC_COUNTER, "carillon_api_requests_total", "code=\"4xx\"", "Requests answered")  \
    X(API_REQUESTS_5XX, METRIC_COUNTER, "carillon_api_requests_total", "code=\"5xx\"", "Requests answered")  \
    X(API_REQUEST_SECONDS, METRIC_HISTOGRAM, "carillon_api_request_seconds", "",                             \
      "Time of a request in the worker")                                                                     \
    X(API_REQUESTS_STALE, METRIC_COUNTER, "carillon_api_requests_stale_total", "",                           \
      "Requests dropped because they had waited for too long (REQUEST_MAX_AGE_MS)")                          \
    X(API_WORKER_STARTS, METRIC_COUNTER, "carillon_api_worker_starts_total", "", "Workers started")          \
    X(API_EVENTS_COMMITTED, METRIC_COUNTER, "carillon_api_events_committed_total", "", "Events committed")   \
    X(API_COMMITS, METRIC_COUNTER, "carillon_api_commits_total", "",                                         \
      "Transactions that committed events; events that wait together share one")                             \
    X(API_EVENTS_FOUND, METRIC_COUNTER, "carillon_api_events_emitted_total", "",                             \
      "Events that other programs (carillon_emit) and other nodes committed, as found in the database")      \
    X(API_DB_RETRIES, METRIC_COUNTER, "carillon_api_db_retries_total", "",                                   \
      "Transactions repeated after a deadlock, or a conflict with another node")                             \
    X(API_DB_CONNECTS, METRIC_COUNTER, "carillon_api_db_connects_total", "",                                 \
      "Connections made to the database")                                                                    \
    X(API_BROKER_CONNECTS, METRIC_COUNTER, "carillon_api_broker_connects_total", "",                         \
      "Connections made to the broker")                                                                      \
    X(API_BROKER_CONNECTED, METRIC_GAUGE, "carillon_api_broker_connected", "",                               \
      "1 while the pool's publisher is connected to the broker")                                             \
    X(API_BROKER_BLOCKED, METRIC_GAUGE, "carillon_api_broker_blocked", "",                                   \
      "1 while the broker takes no messages because of an alarm (memory, disk)")                             \
    X(API_BROKER_CONFIRMED_MS, METRIC_SECONDS, "carillon_api_broker_confirmed_seconds", "",                  \
      "When the broker last confirmed a message, by the machine's uptime")                                   \
    X(API_DB_REFUSED_MS, METRIC_SECONDS, "carillon_api_db_write_refused_seconds", "",                        \
      "When the database last refused to store a change (full, read-only), by the machine's uptime; 0 "      \
      "when it has stored one since")                                                                        \
    X(API_PUBLISHER_SEEN_MS, METRIC_SECONDS, "carillon_api_publisher_seen_seconds", "",                      \
      "When the pool's publisher was last at work, by the machine's uptime")                                 \
    X(API_EVENTS_PUBLISHED, METRIC_COUNTER, "carillon_api_events_published_total", "",                       \
      "Events sent to the broker")                                                                           \
    X(API_EVENTS_CONFIRMED, METRIC_COUNTER, "carillon_api_events_confirmed_total", "",                       \
      "Events that the broker confirmed")                                                                    \
    X(API_EVENTS_UNCONFIRMED, METRIC_COUNTER, "carillon_api_events_refused_total", "",                       \
      "Events that the broker returned or refused")                                                          \
    X(API_PUBLISH_LAG, METRIC_HISTOGRAM, "carillon_api_publish_lag_seconds", "",                             \
      "Time from commit to confirm")                                                                         \
    X(API_OUTBOX_DEPTH, METRIC_GAUGE, "carillon_api_outbox_events", "", "Events that are not yet confirmed") \
    X(API_OUTBOX_OLDEST_MS, METRIC_SECONDS, "carillon_api_outbox_oldest_seconds", "",                        \
      "Age of the oldest event that is not yet confirmed")                                                   \
    X(API_EVENTS_HEALED, METRIC_COUNTER, "carillon_api_events_healed_total", "",                             \
      "Events published again because the broker came back and may lack them")                               \
    X(API_EPOCHS_RENEWED, METRIC_COUNTER, "carillon_api_epochs_renewed_total", "",                           \
      "New epochs, because the database came back without commits whose events were published")              \
    X(API_NODES, METRIC_GAUGE, "carillon_api_nodes", "", "Nodes that share the journal, this one included")  \
    X(API_COMPLETE_AGE_MS, METRIC_SECONDS, "carillon_api_complete_age_seconds", "",                          \
      "Age of the time up to which this node's stream has every event; 0 with one node")                     \
    X(API_SESSIONS_ENDED, METRIC_COUNTER, "carillon_api_sessions_ended_total", "",                           \
      "Calls that ended a user's sessions")                                                                  \
    X(API_ROWS_PURGED, METRIC_COUNTER, "carillon_api_rows_purged_total", "",                                 \
      "Rows of the journal and idempotency keys deleted after their retention")

enum api_metric {
#define X(index, ...) index,
    API_METRICS(X)
#undef X
        API_METRIC_COUNT
};

extern const struct metric_def api_metric_defs[API_METRIC_COUNT];

#endif
