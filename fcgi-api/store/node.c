/* SPDX-License-Identifier: MIT */
/* Which of the nodes this program belongs to (setting NODE, table `nodes`): looked up when a statement first
 * needs it on a connection. A node can be forgotten and, under another id, registered again while its
 * programs run. The call that notices it gives the connection up, and the next connection looks the node up
 * again.
 *
 * A node applies what another one has committed some ms later: a task that was made there is not here yet. */
#include <errmsg.h>
#include <stdio.h>

#include "fcgi-api/store/internal.h"

static bool has_name(const struct store *store)
{
    return store->config->node[0] != '\0';
}

static void say_unknown(const struct store *store, char *text, size_t size)
{
    const char *name = store->config->node;
    if (has_name(store))
        snprintf(text, size,
                 "no node '%s' in table nodes: scripts/cluster join %s, or CALL node_register('%s')", name,
                 name, name);
    else
        snprintf(text, size, "no node with id 1 in table nodes: set NODE to the name of one");
}

struct lookup {
    uint32_t read, id; /* 0: none */
};

static void keep_id(void *context)
{
    struct lookup *lookup = context;
    lookup->id = lookup->read;
}

enum err store_find_node(struct store *store, uint32_t *node)
{
    struct lookup lookup = {0};
    const struct store_column columns[] = {to_u32(&lookup.read)};
    const struct store_result rows = STORE_RESULT(columns, keep_id);
    struct strbuf sql = {0};

    if (has_name(store))
        store_sql_add(store, &sql, SQL_NODE_NAMED, STORE_IN(of_text(store->config->node)));
    else
        strbuf_add_text(&sql, SQL_NODE_FIRST);
    enum err err = store_query(store, &sql, &rows, 1, &lookup);
    strbuf_free(&sql);
    if (!err && lookup.id == 0)
        return ERR_NOT_FOUND;
    *node = lookup.id;
    return err;
}

enum err store_own_node(struct store *store, uint32_t *node)
{
    char why[320];
    if (store->node == 0 && !has_name(store))
        store->node = 1; /* nothing to look up: this must cost one machine alone nothing */
    if (store->node == 0) {
        enum err err = store_find_node(store, &store->node);
        if (err == ERR_NOT_FOUND) {
            say_unknown(store, why, sizeof why);
            return store_fail(store, ER_NO_SUCH_TABLE, why);
        }
        if (err)
            return err;
    }
    *node = store->node;
    return ERR_OK;
}

enum err store_node_has_gone(struct store *store)
{
    char why[320];
    say_unknown(store, why, sizeof why);
    return store_fail(store, CR_SERVER_LOST, why);
}

enum err store_for_node(struct store *store, const char *text, struct strbuf *sql)
{
    uint32_t node = 0;
    enum err err = ERR_OK;
    const char *mark;

    while (!err && (mark = strstr(text, STORE_NODE_MARK)) != NULL) {
        err = store_own_node(store, &node);
        strbuf_add(sql, text, (size_t)(mark - text));
        if (!err)
            strbuf_printf(sql, "%u", node);
        text = mark + strlen(STORE_NODE_MARK);
    }
    strbuf_add_text(sql, text);
    return err;
}

/* ---- what others have committed ------------------------------------------------------------------ */

static bool may_be_behind(enum err refusal)
{
    return refusal == ERR_NOT_FOUND || refusal == ERR_STALE || refusal == ERR_TAKEN ||
           refusal == ERR_INVALID || refusal == ERR_GONE;
}

static enum err catch_up_work(struct store *store, void *context)
{
    uint32_t id;
    (void)context;
    return store_select_one(store, SQL_NODE_CATCH_UP, NULL, 0, STORE_OUT(to_u32(&id)));
}

enum err store_catch_up(struct store *store, enum err refusal, int64_t deadline)
{
    enum store_failure failure;
    if (!has_name(store) || !may_be_behind(refusal))
        return refusal;
    enum err err =
        store_run_until(store, STORE_READ, catch_up_work, NULL, deadline, STORE_UNTIL_DEADLINE, &failure);
    return err ? err : ERR_AGAIN;
}

enum err store_run_caught_up(struct store *store, enum store_mode mode, store_work *work, void *context)
{
    int64_t deadline = clock_monotonic_ms() + store->config->db_timeout_ms;
    enum store_failure failure;
    enum err err = store_run_until(store, mode, work, context, deadline, STORE_UNTIL_DEADLINE, &failure);
    err = store_catch_up(store, err, deadline);
    if (err != ERR_AGAIN)
        return err;
    return store_run_until(store, mode, work, context, deadline, STORE_UNTIL_DEADLINE, &failure);
}

/* ---- how many there are ------------------------------------------------------------------------- */

struct nodes_call {
    uint32_t count, ours;
};

static enum err nodes_work(struct store *store, void *context)
{
    struct nodes_call *call = context;
    return store_select_one(store, SQL_NODES, NULL, 0, STORE_OUT(to_u32(&call->count), to_u32(&call->ours)));
}

enum err store_nodes(struct store *store, unsigned *count)
{
    struct nodes_call call = {0};
    enum err err = store_run(store, STORE_READ, nodes_work, &call);
    if (!err && call.ours == 0)
        err = store_node_has_gone(store);
    *count = err ? 0 : call.count;
    return err;
}
