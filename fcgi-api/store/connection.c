/* SPDX-License-Identifier: MIT */
/* The connection to MariaDB, and what its errors mean.
 *
 * The library is used in its non-blocking form, because its own timeouts are whole seconds for each
 * statement: here every wait ends at one deadline for the whole call. When it passes, the socket is shut
 * down and the library finds out by itself; the server's max_statement_time ends what still runs there. */
#include <errmsg.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "fcgi-api/api_metrics.h"
#include "fcgi-api/store/internal.h"

#define IDLE_MARGIN_S    2 /* a process that is stopped in a transaction keeps its rows no longer */
#define HANDSHAKE_READ_S 1
#define WRITES_LOOK_MS   5000
#define COROUTINE_STACK  262144 /* getaddrinfo() needs more than the library's default */

/* The server passes on errors of its file layer under that one's numbers (mysys_err.h, not installed). */
#define MYSYS_CANT_CREATE 1
#define MYSYS_CANT_WRITE  3
#define MYSYS_DISK_FULL   20

/* ---- what an error means ------------------------------------------------------------------------- */

static const struct {
    unsigned error;
    enum store_failure failure;
} meanings[] = {
    {ER_LOCK_DEADLOCK, FAILURE_CONFLICT},
    {ER_LOCK_WAIT_TIMEOUT, FAILURE_CONFLICT},
    {ER_CHECKREAD, FAILURE_CONFLICT},
    {ER_TABLE_DEF_CHANGED, FAILURE_CONFLICT},
    {ER_DUP_ENTRY, FAILURE_DUPLICATE},
    {ER_SERVER_SHUTDOWN, FAILURE_LOST},
    {ER_CONNECTION_KILLED, FAILURE_LOST},
    {ER_NET_READ_ERROR, FAILURE_LOST},
    {ER_NET_READ_INTERRUPTED, FAILURE_LOST},
    {ER_NET_ERROR_ON_WRITE, FAILURE_LOST},
    {ER_NET_WRITE_INTERRUPTED, FAILURE_LOST},
    {ER_UNKNOWN_STMT_HANDLER, FAILURE_LOST},
    {ER_NEED_REPREPARE, FAILURE_LOST},
    {ER_UNKNOWN_COM_ERROR, FAILURE_LOST}, /* a node outside its cluster's primary component says so */
    {ER_CON_COUNT_ERROR, FAILURE_REFUSED},
    {ER_TOO_MANY_USER_CONNECTIONS, FAILURE_REFUSED},
    {ER_USER_LIMIT_REACHED, FAILURE_REFUSED},
    {ER_OPTION_PREVENTS_STATEMENT, FAILURE_READ_ONLY}, /* --read-only */
    {ER_READ_ONLY_MODE, FAILURE_READ_ONLY},
    {ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, FAILURE_READ_ONLY},
    {ER_STATEMENT_TIMEOUT, FAILURE_CONFLICT}, /* of a wait for locks; the deadline ends all others */
    {ER_QUERY_INTERRUPTED, FAILURE_REFUSED},
    {ER_DISK_FULL, FAILURE_REFUSED},
    {ER_RECORD_FILE_FULL, FAILURE_REFUSED},
    {ER_GET_ERRNO, FAILURE_REFUSED},
    {ER_OUTOFMEMORY, FAILURE_REFUSED},
    {ER_OUT_OF_RESOURCES, FAILURE_REFUSED},
    {ER_LOCK_TABLE_FULL, FAILURE_REFUSED},
    {ER_TOO_MANY_CONCURRENT_TRXS, FAILURE_REFUSED},
    {ER_MAX_PREPARED_STMT_COUNT_REACHED, FAILURE_REFUSED},
    {MYSYS_CANT_CREATE, FAILURE_REFUSED},
    {MYSYS_CANT_WRITE, FAILURE_REFUSED},
    {MYSYS_DISK_FULL, FAILURE_REFUSED},
    {ER_ERROR_DURING_COMMIT, FAILURE_REFUSED},
    {ER_NO_SUCH_TABLE, FAILURE_SCHEMA}, /* not migrated yet, or a backup being restored */
    {ER_BAD_FIELD_ERROR, FAILURE_SCHEMA},
    {ER_SP_DOES_NOT_EXIST, FAILURE_SCHEMA},
    {ER_TABLEACCESS_DENIED_ERROR, FAILURE_SCHEMA}, /* the rights come with the migrations */
    {ER_COLUMNACCESS_DENIED_ERROR, FAILURE_SCHEMA},
    {ER_PROCACCESS_DENIED_ERROR, FAILURE_SCHEMA},
};

static enum store_failure meaning_of(unsigned error)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (meanings[i].error == error)
            return meanings[i].failure;
    /* The library's own errors: apart from a misuse of it, all are about the connection. */
    bool of_library = (error >= CR_MIN_ERROR && error <= CR_MAX_ERROR) || error >= CER_MIN_ERROR;
    return of_library ? FAILURE_LOST : FAILURE_BUG;
}

static void note_why(struct store *store, unsigned error, const char *text)
{
    bool one = store_host_count(store) == 1;
    if (store->late && one)
        snprintf(store->why, sizeof store->why, "no answer within %d ms", (int)store->config->db_timeout_ms);
    else if (store->late)
        snprintf(store->why, sizeof store->why, "%s: no answer in time", store->host);
    else
        snprintf(store->why, sizeof store->why, "%s%s%s (%u)", one ? "" : store->host, one ? "" : ": ", text,
                 error);
}

enum err store_fail(struct store *store, unsigned error, const char *text)
{
    store->failure = meaning_of(error);
    note_why(store, error, text);
    if (store->failure == FAILURE_LOST) {
        store->host_number++; /* it may be one that answers no statement, cut off from the others */
        store_disconnect(store);
    }
    if (store->failure == FAILURE_DUPLICATE)
        return ERR_INTERNAL;
    if (store->failure != FAILURE_BUG)
        return ERR_UNAVAILABLE;
    log_error("database: %s", store->why);
    return ERR_INTERNAL;
}

bool store_was_duplicate(struct store *store, enum err err)
{
    if (err != ERR_INTERNAL || store->failure != FAILURE_DUPLICATE)
        return false;
    store->failure = FAILURE_NONE;
    return true;
}

/* ---- waiting ------------------------------------------------------------------------------------- */

int store_wait(struct store *store, int wanted)
{
    struct pollfd socket = {.fd = mysql_get_socket(store->mysql)};
    if (wanted & MYSQL_WAIT_READ)
        socket.events |= POLLIN;
    if (wanted & MYSQL_WAIT_WRITE)
        socket.events |= POLLOUT;
    if (wanted & MYSQL_WAIT_EXCEPT)
        socket.events |= POLLPRI;

    for (;;) {
        int64_t left = store->deadline - clock_monotonic_ms();
        int ready = poll(&socket, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready > 0)
            break;
        store->late = true;
        shutdown(socket.fd, SHUT_RDWR);
        break;
    }
    /* More than happened does no harm: the library then asks again. */
    return wanted & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT);
}

enum err store_command(struct store *store, const char *sql)
{
    int failed = 0;
    int wanted = mysql_real_query_start(&failed, store->mysql, sql, strlen(sql));
    while (wanted != 0)
        wanted = mysql_real_query_cont(&failed, store->mysql, store_wait(store, wanted));
    return failed ? store_fail(store, mysql_errno(store->mysql), mysql_error(store->mysql)) : ERR_OK;
}

/* ---- connecting ---------------------------------------------------------------------------------- */

/* The handshake of TLS is the one thing that the library does not do in its non-blocking form: on a socket
 * that it has made blocking again it waits in the kernel, for ever, so we take that back wherever it lets us.
 * On one that does not block it waits in a hook of ours, which is not told for whom. When the server's
 * greeting was there at once we were not let in between, and HANDSHAKE_READ_S is what ends each read. */
static void unblock(const struct store *store)
{
    int fd = mysql_get_socket(store->mysql), flags = fcntl(fd, F_GETFL);
    if (store->config->db_tls_ca[0] != '\0' && flags >= 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int wait_in_handshake(my_socket handle, my_bool is_read, int timeout)
{
    (void)handle, (void)timeout; /* its unit changes from one version to the next */
    if (store_connecting)
        store_wait(store_connecting, is_read ? MYSQL_WAIT_READ : MYSQL_WAIT_WRITE);
    return store_connecting && !store_connecting->late;
}

/* With TLS asked for there is TLS to the host of the certificate, or no connection: before that not even the
 * user's name is sent. */
static void set_tls(MYSQL *mysql, const struct config *config)
{
    static const my_bool on = 1, off = 0;
    static const unsigned read_s = HANDSHAKE_READ_S;
    bool wanted = config->db_tls_ca[0] != '\0', shown = config->db_tls_cert[0] != '\0';

    /* Newer libraries insist on it by default, also where TLS was not asked for. */
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, wanted ? &on : &off);
    if (!wanted)
        return;
    mysql_ssl_set(mysql, shown ? config->db_tls_key : NULL, shown ? config->db_tls_cert : NULL,
                  config->db_tls_ca, NULL, NULL);
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &on);
    mysql_options(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &read_s);
    mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, wait_in_handshake);
}

/* Where it is on (MariaDB 11.8), a locking read fails when the row has changed since the statement began,
 * which is what it waited for. Older servers do not know the variable. */
#define NO_SNAPSHOT_CONFLICTS                                                                                \
    "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1193 BEGIN END; "                                         \
    "EXECUTE IMMEDIATE 'SET SESSION innodb_snapshot_isolation = OFF'; END"

static void set_options(MYSQL *mysql, const struct config *config)
{
    static const my_bool off = 0;
    static const unsigned no = 0, tcp = MYSQL_PROTOCOL_TCP;
    size_t stack = COROUTINE_STACK;
    char session[256];

    mysql_options(mysql, MYSQL_OPT_NONBLOCK, &stack);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &off);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    set_tls(mysql, config);
    if (config->db_socket[0] == '\0')
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &tcp);

    /* READ COMMITTED locks rows, never the gaps between them: no writer waits for rows of another user. */
    mysql_options(mysql, MYSQL_INIT_COMMAND, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    snprintf(session, sizeof session,
             "SET time_zone = '+00:00', sql_mode = 'TRADITIONAL', max_statement_time = %.3f, "
             "innodb_lock_wait_timeout = 1, idle_transaction_timeout = %d",
             (double)config->db_timeout_ms / 1000, (int)(config->db_timeout_ms / 1000) + IDLE_MARGIN_S);
    mysql_options(mysql, MYSQL_INIT_COMMAND, session);
    mysql_options(mysql, MYSQL_INIT_COMMAND, NO_SNAPSHOT_CONFLICTS);
}

static bool open_connection(struct store *store)
{
    const struct config *config = store->config;
    const char *socket = config->db_socket[0] != '\0' ? config->db_socket : NULL;
    MYSQL *connected = NULL;

    store_connecting = store;
    int wanted = mysql_real_connect_start(&connected, store->mysql, socket ? NULL : store->host,
                                          config->db_user, config->db_password, config->db_name,
                                          socket ? 0 : (unsigned)store->port, socket, CLIENT_FOUND_ROWS);
    while (wanted != 0) {
        int happened = store_wait(store, wanted);
        unblock(store);
        wanted = mysql_real_connect_cont(&connected, store->mysql, happened);
    }
    if (connected)
        unblock(store);
    store_connecting = NULL;
    return connected != NULL;
}

static void start_library(void)
{
    if (mysql_library_init(0, NULL, NULL) != 0)
        abort();
    store_dial_by_address();
}

/* The server itself may have refused; any other reason means that it is not there. */
static enum store_failure make_connection(struct store *store)
{
    store->mysql = mysql_init(NULL);
    if (!store->mysql)
        abort();
    set_options(store->mysql, store->config);
    if (open_connection(store))
        return FAILURE_NONE;
    unsigned error = mysql_errno(store->mysql);
    note_why(store, error, mysql_error(store->mysql));
    store_disconnect(store);
    if (store->address)
        resolve_failed(store->host, store->address);
    return meaning_of(error) == FAILURE_LOST ? FAILURE_AWAY : FAILURE_REFUSED;
}

static enum store_failure connect_to(struct store *store, unsigned host_number)
{
    store->host_number = host_number;
    store_take_host(store);
    return store_find_server(store) == ERR_OK ? make_connection(store) : FAILURE_AWAY;
}

/* ---- several hosts ------------------------------------------------------------------------------- */

/* Changes nothing; a server with read_only refuses it. When the connection breaks, it is closed. */
static bool takes_writes(struct store *store)
{
    if (store_command(store, "START TRANSACTION READ WRITE") != ERR_OK ||
        store_command(store, "ROLLBACK") != ERR_OK)
        return false;
    if (store->shared)
        atomic_store(&store->shared->writable_at, clock_monotonic_ms());
    return true;
}

static enum store_failure connect_to_writable(struct store *store, unsigned host_number)
{
    enum store_failure failure = connect_to(store, host_number);
    if (failure != FAILURE_NONE || takes_writes(store))
        return failure;
    store_disconnect(store);
    return store->failure == FAILURE_READ_ONLY ? FAILURE_READ_ONLY : FAILURE_AWAY;
}

/* What request threads only read may come from a server that takes no writes; not while other connections
 * have one that does, because it may be behind. */
static bool may_only_read(const struct store *store)
{
    return store->shared && !store->leads &&
           clock_monotonic_ms() - atomic_load(&store->shared->writable_at) >= WRITES_LOOK_MS;
}

/* The first that takes writes; or for reading the first of the others, so that all connections have the same.
 * Each has its share of the time: one that is switched off never answers. One that has no room is not away.
 */
static enum store_failure connect_to_one_of(struct store *store, unsigned hosts)
{
    int64_t deadline = store->deadline;
    unsigned first = store->host_number, readable = 0;
    bool any_readable = false;
    enum store_failure failure = FAILURE_AWAY, trouble = FAILURE_NONE;
    char why[sizeof store->why];

    for (unsigned i = 0; i < hosts && failure != FAILURE_NONE; i++) {
        int64_t now = clock_monotonic_ms();
        store->late = false;
        store->deadline = now + (deadline - now) / (hosts + 1 - i);
        failure = connect_to_writable(store, first + i);
        if (failure == FAILURE_READ_ONLY && !any_readable) {
            any_readable = true;
            readable = first + i;
        } else if (failure != FAILURE_NONE && failure != FAILURE_READ_ONLY && trouble != FAILURE_REFUSED) {
            trouble = failure;
            memcpy(why, store->why, sizeof why);
        }
    }
    store->deadline = deadline;
    store->late = clock_monotonic_ms() >= deadline;
    if (failure == FAILURE_NONE)
        return failure;
    if (any_readable && trouble != FAILURE_REFUSED && may_only_read(store))
        return connect_to(store, readable);
    if (trouble == FAILURE_NONE)
        return FAILURE_READ_ONLY;
    memcpy(store->why, why, sizeof why);
    return any_readable && trouble == FAILURE_AWAY ? FAILURE_READ_ONLY : trouble;
}

/* A server may have been made a replica of another one meanwhile. Where there is one host, it is not asked.
 */
static bool still_takes_writes(struct store *store)
{
    int64_t now = clock_monotonic_ms();
    if (store->look_at == 0 || now < store->look_at)
        return true;
    store->look_at = now + WRITES_LOOK_MS;
    return takes_writes(store);
}

enum err store_connect(struct store *store)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (store->mysql && still_takes_writes(store))
        return ERR_OK;
    store_disconnect(store);
    if (clock_monotonic_ms() < store->retry_at) {
        store->failure = store->not_connected; /* `why` still says what the last attempt met */
        return ERR_UNAVAILABLE;
    }
    pthread_once(&once, start_library);
    unsigned hosts = store_host_count(store);
    store->not_connected = hosts == 1 ? connect_to(store, 0) : connect_to_one_of(store, hosts);
    store->failure = store->not_connected;
    if (store->not_connected == FAILURE_NONE) {
        store->look_at = hosts == 1 ? 0 : clock_monotonic_ms() + WRITES_LOOK_MS;
        backoff_reset(&store->backoff);
        store->short_lived = false;
        store->connections++;
        if (store->metrics)
            metrics_add(store->metrics, API_DB_CONNECTS, 1);
        return ERR_OK;
    }
    store->retry_at = clock_monotonic_ms() + backoff_next_ms(&store->backoff);
    return ERR_UNAVAILABLE;
}

void store_disconnect(struct store *store)
{
    if (!store->mysql)
        return;
    /* In this order the statements only free their memory, without a word to the server. */
    mysql_close(store->mysql);
    store->mysql = NULL;
    store->node = 0;
    store_forget_statements(store);
}
