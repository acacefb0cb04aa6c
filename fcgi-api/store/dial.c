/* SPDX-License-Identifier: MIT */
/* Connecting to DB_HOST by addresses that were looked up beside the request path (common/resolve.h).
 *
 * Given a name, libmariadb looks it up itself, in its non-blocking form, too: it blocks in getaddrinfo(), and
 * calls it again for 30 s while the name server cannot be reached. Given an address instead of the name, it
 * expects a certificate for that address: what is compared with the certificate is the host of
 * mysql_real_connect(), and no option names another one.
 *
 * Its sockets are a plug-in of it, with an interface that is installed for those who write another
 * (ma_pvio.h). The plug-in's connect function alone is given the host as an argument of its own. So the
 * library gets the name, and that function is replaced by the one below, which calls it with each address.
 * (A getaddrinfo() of our own would do the same, for every library in the process.) */
#include "fcgi-api/store/internal.h"

#include <ma_pvio.h>
#include <stdio.h>

#include "common/log.h"

/* As in mysql/client_plugin.h, which includes a header that Debian does not install. */
#define SOCKET_PLUGIN  101 /* MARIADB_CLIENT_PVIO_PLUGIN */
#define PLUGIN_VERSION 1   /* of the interface, without its minor part */

struct socket_plugin {
    MYSQL_CLIENT_PLUGIN_HEADER
    struct st_ma_pvio_methods *methods;
};

_Thread_local struct store *store_connecting;

static my_bool (*connect_to_host)(MARIADB_PVIO *pvio, MA_PVIO_CINFO *to);

static my_bool connect_to_addresses(MARIADB_PVIO *pvio, MA_PVIO_CINFO *to)
{
    struct store *store = store_connecting;
    MA_PVIO_CINFO at = *to;
    my_bool failed = 1;

    if (!store || store->addresses.count == 0)
        return connect_to_host(pvio, to);
    for (size_t i = 0; i < store->addresses.count && failed && !store->late; i++) {
        store->address = at.host = store->addresses.text[i];
        failed = connect_to_host(pvio, &at);
        if (failed)
            resolve_failed(store->config->db_host, store->address);
    }
    return failed;
}

void store_dial_by_address(void)
{
    MYSQL *any = mysql_init(NULL);
    struct socket_plugin *plugin =
        any ? (struct socket_plugin *)mysql_client_find_plugin(any, "pvio_socket", SOCKET_PLUGIN) : NULL;

    if (plugin && plugin->interface_version >> 8 == PLUGIN_VERSION) {
        connect_to_host = plugin->methods->connect;
        plugin->methods->connect = connect_to_addresses;
    } else {
        log_warn("this libmariadb looks DB_HOST up itself: a silent name server holds requests up");
    }
    mysql_close(any);
}

enum err store_find_server(struct store *store)
{
    const struct config *config = store->config;
    const char *why;

    store->addresses.count = 0;
    store->address = NULL;
    /* A list of hosts is the library's own business. */
    if (config->db_socket[0] != '\0' || strchr(config->db_host, ',') || !connect_to_host)
        return ERR_OK;
    enum err err = resolve_name(config->db_host, store->deadline, &store->addresses, &why);
    if (!err)
        return ERR_OK;
    store->late = clock_monotonic_ms() >= store->deadline;
    snprintf(store->why, sizeof store->why, "%s: %s", config->db_host, why);
    return err;
}
