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
 * (A getaddrinfo() of our own would do the same, for every library in the process.)
 *
 * The table of the plug-in's functions lost some members from 3.3 (Debian 12) to 3.4 (Debian 13), and neither
 * the library's name nor the version of the interface tells: after an upgrade of the system, programs that
 * are not built again find another function in the place of connect. So the library must be the one of the
 * header. */
#include "fcgi-api/store/internal.h"

#include <ma_pvio.h>
#include <stdio.h>
#include <stdlib.h>

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
            resolve_failed(store->host, store->address);
    }
    return failed;
}

void store_dial_by_address(void)
{
    MYSQL *any = mysql_init(NULL);
    struct socket_plugin *plugin =
        any ? (struct socket_plugin *)mysql_client_find_plugin(any, "pvio_socket", SOCKET_PLUGIN) : NULL;
    bool as_built =
        mysql_get_client_version() / 100 == MARIADB_PACKAGE_VERSION_ID / 100; /* 3.4.10 is 30410 */

    if (plugin && as_built && plugin->interface_version >> 8 == PLUGIN_VERSION) {
        connect_to_host = plugin->methods->connect;
        plugin->methods->connect = connect_to_addresses;
    } else {
        log_warn("this libmariadb%s looks DB_HOST up itself: a silent name server holds requests up",
                 as_built ? "" : ", which is not the one that was there when this was built,");
    }
    mysql_close(any);
}

/* ---- the host ------------------------------------------------------------------------------------ */

unsigned store_host_count(const struct store *store)
{
    unsigned count = 1;
    if (store->config->db_socket[0] != '\0')
        return 1;
    for (const char *comma = strchr(store->config->db_host, ','); comma; comma = strchr(comma + 1, ','))
        count++;
    return count;
}

/* Of HOST, HOST:PORT or [ADDRESS]:PORT, up to a comma. An IPv6 address alone has several colons. */
static bool take_apart(const char *text, char *host, size_t size, int *port)
{
    bool bracketed = *text == '[';
    text += bracketed;
    snprintf(host, size, "%.*s", (int)strcspn(text, ","), text);
    if (host[strcspn(host, " \t")] != '\0')
        return false;
    char *end = strchr(host, bracketed ? ']' : ':');
    if (!end)
        return !bracketed && *host != '\0';
    const char *number = end + bracketed;
    if (!bracketed && strchr(number + 1, ':'))
        return true;
    if (*number == ':') {
        char *rest;
        unsigned long value = strtoul(number + 1, &rest, 10);
        if (*rest != '\0' || number[1] < '1' || number[1] > '9' || value > 65535)
            return false;
        *port = (int)value;
    } else if (*number != '\0') {
        return false;
    }
    *end = '\0';
    return *host != '\0';
}

void store_take_host(struct store *store)
{
    const char *from = store->config->db_host;
    for (unsigned i = store->host_number % store_host_count(store); i > 0; i--)
        from = strchr(from, ',') + 1;
    store->port = (int)store->config->db_port;
    take_apart(from, store->host, sizeof store->host, &store->port);
}

enum err store_hosts_check(const struct config *config, char *why, size_t size)
{
    char host[256];
    int port;
    for (const char *from = config->db_host; from; from = strchr(from, ',')) {
        from += *from == ',';
        if (take_apart(from, host, sizeof host, &port))
            continue;
        snprintf(why, size,
                 "DB_HOST must be HOST or HOST:PORT, or several with commas between them, not '%.*s'",
                 (int)strcspn(from, ","), from);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err store_find_server(struct store *store)
{
    const struct config *config = store->config;
    const char *why;

    store->addresses.count = 0;
    store->address = NULL;
    if (config->db_socket[0] != '\0' || !connect_to_host)
        return ERR_OK;
    enum err err = resolve_name(store->host, store->deadline, &store->addresses, &why);
    if (!err)
        return ERR_OK;
    store->late = clock_monotonic_ms() >= store->deadline;
    snprintf(store->why, sizeof store->why, "%s: %s", store->host, why);
    return err;
}
