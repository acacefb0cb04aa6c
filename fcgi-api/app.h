/* SPDX-License-Identifier: MIT */
/* What the handlers of one thread work with. Made by main(). */
#ifndef CARILLON_APP_H
#define CARILLON_APP_H

#include "fcgi-api/http/service.h"
#include "fcgi-api/publisher/publisher.h"
#include "fcgi-api/store/store.h"

struct app {
    const struct http_service *service;
    struct store *store;
    struct publisher *publisher;
};

#endif
