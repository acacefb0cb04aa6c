/* SPDX-License-Identifier: MIT */
/* The notifier's metrics: one table. */
#ifndef CARILLON_NOTIFIER_METRICS_H
#define CARILLON_NOTIFIER_METRICS_H

#include "common/metrics.h"
#include "common/version.h"

/* X(index, kind, name, labels, help); rows of one family stand together */
#define NOTIFIER_METRICS(X)                                                                                  \
    X(NOTIFIER_BUILD_INFO, METRIC_INFO, "carillon_build_info",                                               \
      "program=\"ws-notifier\",version=\"" CARILLON_VERSION "\"", "1; which program and version tells this") \
    X(NOTIFIER_CLIENTS, METRIC_GAUGE, "carillon_notifier_clients", "", "Open WebSockets")                    \
    X(NOTIFIER_CONNECTS, METRIC_COUNTER, "carillon_notifier_connects_total", "", "WebSockets accepted")      \
    X(NOTIFIER_SUBSCRIPTIONS, METRIC_GAUGE, "carillon_notifier_subscriptions", "",                           \
      "Subscriptions: users that sockets hear")                                                              \
    X(NOTIFIER_WAITING, METRIC_GAUGE, "carillon_notifier_subscriptions_waiting", "",                         \
      "Subscriptions that are not yet answered, because the notifier has not caught up with the stream")     \
    X(NOTIFIER_REFUSED, METRIC_COUNTER, "carillon_notifier_messages_refused_total", "",                      \
      "Messages of clients answered with an error")                                                          \
    X(NOTIFIER_DELIVERIES, METRIC_COUNTER, "carillon_notifier_deliveries_total", "",                         \
      "Events queued for a socket")                                                                          \
    X(NOTIFIER_FRAMES, METRIC_COUNTER, "carillon_notifier_frames_total", "", "Frames written to sockets")    \
    X(NOTIFIER_QUEUE_BYTES, METRIC_GAUGE, "carillon_notifier_queue_bytes", "",                               \
      "Bytes that wait for sockets; a frame that several sockets share is counted for each")                 \
    X(NOTIFIER_CLOSED_SLOW, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"slow\"",             \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_DEAD, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"dead\"",             \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_TOO_MANY, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"too_many\"",     \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_TOO_BIG, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"too_big\"",       \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_UNAUTHENTICATED, METRIC_COUNTER, "carillon_notifier_closed_total",                     \
      "reason=\"unauthenticated\"", "Sockets closed by the notifier, by reason")                             \
    X(NOTIFIER_CLOSED_FORBIDDEN, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"forbidden\"",   \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_PROTOCOL, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"protocol\"",     \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_ORIGIN, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"origin\"",         \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_RESTART, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"restart\"",       \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_SILENT, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"silent\"",         \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_USER_CLIENTS, METRIC_COUNTER, "carillon_notifier_closed_total",                        \
      "reason=\"user_clients\"", "Sockets closed by the notifier, by reason")                                \
    X(NOTIFIER_CLOSED_USER_SUBSCRIPTIONS, METRIC_COUNTER, "carillon_notifier_closed_total",                  \
      "reason=\"user_subscriptions\"", "Sockets closed by the notifier, by reason")                          \
    X(NOTIFIER_CLOSED_ADDRESS_CLIENTS, METRIC_COUNTER, "carillon_notifier_closed_total",                     \
      "reason=\"address_clients\"", "Sockets closed by the notifier, by reason")                             \
    X(NOTIFIER_CLOSED_ADDRESS_HANDSHAKES, METRIC_COUNTER, "carillon_notifier_closed_total",                  \
      "reason=\"address_handshakes\"", "Sockets closed by the notifier, by reason")                          \
    X(NOTIFIER_CLOSED_HANDSHAKES, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"handshakes\"", \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_MESSAGES, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"messages\"",     \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_CLOSED_BYTES, METRIC_COUNTER, "carillon_notifier_closed_total", "reason=\"bytes\"",           \
      "Sockets closed by the notifier, by reason")                                                           \
    X(NOTIFIER_RESUMED, METRIC_COUNTER, "carillon_notifier_resumes_total", "result=\"recovered\"",           \
      "Subscriptions with a cursor, by their result")                                                        \
    X(NOTIFIER_TRUNCATED, METRIC_COUNTER, "carillon_notifier_resumes_total", "result=\"truncated\"",         \
      "Subscriptions with a cursor, by their result")                                                        \
    X(NOTIFIER_OTHER_EPOCH, METRIC_COUNTER, "carillon_notifier_resumes_total", "result=\"epoch\"",           \
      "Subscriptions with a cursor, by their result")                                                        \
    X(NOTIFIER_REPLAYED, METRIC_COUNTER, "carillon_notifier_replayed_events_total", "",                      \
      "Events replayed to clients that came back")                                                           \
    X(NOTIFIER_REPLAYING, METRIC_GAUGE, "carillon_notifier_subscriptions_replaying", "",                     \
      "Subscriptions whose replay has not ended")                                                            \
    X(NOTIFIER_RESETS, METRIC_COUNTER, "carillon_notifier_resets_total", "",                                 \
      "Subscriptions that were told reset")                                                                  \
    X(NOTIFIER_EVENTS, METRIC_COUNTER, "carillon_notifier_events_total", "", "New events read")              \
    X(NOTIFIER_DUPLICATES, METRIC_COUNTER, "carillon_notifier_events_duplicate_total", "",                   \
      "Events read again and dropped")                                                                       \
    X(NOTIFIER_STALE, METRIC_COUNTER, "carillon_notifier_events_stale_total", "",                            \
      "Events of another epoch, dropped")                                                                    \
    X(NOTIFIER_HOLES, METRIC_COUNTER, "carillon_notifier_holes_total", "",                                   \
      "Gaps in a user's events that stayed open: the stream lost something")                                 \
    X(NOTIFIER_HOLES_WAITING, METRIC_GAUGE, "carillon_notifier_holes_waiting", "",                           \
      "Users with a later event that waits for an earlier one")                                              \
    X(NOTIFIER_HOLES_FILLED, METRIC_COUNTER, "carillon_notifier_holes_filled_total", "",                     \
      "Gaps in a user's events that closed in time, so that no client noticed")                              \
    X(NOTIFIER_HELD_BYTES, METRIC_GAUGE, "carillon_notifier_held_bytes", "",                                 \
      "Bytes of the events that wait behind such gaps")                                                      \
    X(NOTIFIER_FOREIGN, METRIC_COUNTER, "carillon_notifier_foreign_messages_total", "",                      \
      "Messages of other programs delivered")                                                                \
    X(NOTIFIER_SKIPPED, METRIC_COUNTER, "carillon_notifier_skipped_messages_total", "",                      \
      "Messages that could not be understood or believed")                                                   \
    X(NOTIFIER_EVENT_LAG, METRIC_HISTOGRAM, "carillon_notifier_event_lag_seconds", "",                       \
      "Time from commit to delivery; the commit's time is known to the second")                              \
    X(NOTIFIER_RING_EVENTS, METRIC_GAUGE, "carillon_notifier_ring_events", "", "Recent events in memory")    \
    X(NOTIFIER_RING_BYTES, METRIC_GAUGE, "carillon_notifier_ring_bytes", "",                                 \
      "Bytes of the recent events in memory")                                                                \
    X(NOTIFIER_RING_USERS, METRIC_GAUGE, "carillon_notifier_ring_users", "",                                 \
      "Users of the recent events in memory")                                                                \
    X(NOTIFIER_MEMORY_BYTES, METRIC_GAUGE, "carillon_notifier_memory_bytes", "",                             \
      "Bytes that NOTIFIER_MEMORY_BYTES bounds: recent events, queues, sockets, partial messages")           \
    X(NOTIFIER_MEMORY_EVENTS, METRIC_COUNTER, "carillon_notifier_memory_events_total", "",                   \
      "Recent events dropped early because NOTIFIER_MEMORY_BYTES was used up")                               \
    X(NOTIFIER_MEMORY_CLOSED, METRIC_COUNTER, "carillon_notifier_memory_closed_total", "",                   \
      "Slow sockets closed because NOTIFIER_MEMORY_BYTES was used up")                                       \
    X(NOTIFIER_BROKER_UP, METRIC_GAUGE, "carillon_notifier_broker_up", "",                                   \
      "1 while the notifier is connected to the stream")                                                     \
    X(NOTIFIER_CAUGHT_UP, METRIC_GAUGE, "carillon_notifier_caught_up", "",                                   \
      "1 when the notifier has read all of the stream")                                                      \
    X(NOTIFIER_COMPLETE_AGE_MS, METRIC_SECONDS, "carillon_notifier_complete_age_seconds", "",                \
      "Age of the time up to which the stream has the events of all nodes; 0 with one node")                 \
    X(NOTIFIER_BROKER_CONNECTS, METRIC_COUNTER, "carillon_notifier_broker_connects_total", "",               \
      "Connections made to the broker")                                                                      \
    X(NOTIFIER_MARKER_LAG, METRIC_HISTOGRAM, "carillon_notifier_marker_seconds", "",                         \
      "Time of a marker through the stream and back")

enum notifier_metric {
#define X(index, ...) index,
    NOTIFIER_METRICS(X)
#undef X
        NOTIFIER_METRIC_COUNT
};

extern const struct metric_def notifier_metric_defs[NOTIFIER_METRIC_COUNT];

#endif
