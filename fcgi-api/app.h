/* What the handlers of one worker work with. Made by main(), one a process, used by one thread. */
#ifndef CARILLON_APP_H
#define CARILLON_APP_H

#include "common/config.h"
#include "common/metrics.h"
#include "common/token.h"
#include "fcgi-api/publisher/publisher.h"
#include "fcgi-api/store/store.h"

struct app {
    const struct config *config;
    struct metrics *metrics;
    struct store *store;
    struct publisher *publisher;
    struct token_keys *token_keys; /* NULL: the service is open */
};

#endif
