/* SPDX-License-Identifier: MIT */
/* Idempotency-Keys: the first answer to a write, remembered and given again.
 *
 * A batch of several inserts the row of a key that is new together with its answer. A change by itself
 * inserts it first: a twin that comes at the same moment waits at that row until the first has committed, and
 * then repeats its answer; if the first rolls back, the twin takes its place. */
#include "fcgi-api/store/internal.h"

static enum err insert_key(struct store *store, const struct store_idempotency *key)
{
    return store_execute(store, SQL_KEY_INSERT,
                         STORE_IN(of_number(key->owner_id), of_text(key->key),
                                  of_bytes(key->request_hash, sizeof key->request_hash),
                                  of_time(clock_wall_ms())),
                         NULL);
}

static enum err delete_key(struct store *store, const struct store_idempotency *key)
{
    return store_execute(store, SQL_KEY_DELETE, STORE_IN(of_number(key->owner_id), of_text(key->key)), NULL);
}

/* The key's row is there. ERR_NOT_FOUND: it had expired, and is gone now. */
static enum err repeat_answer(struct store *store, struct change *change)
{
    const struct store_idempotency *key = change->origin->idempotency;
    struct task *task = &change->answer->task;
    unsigned char hash[sizeof key->request_hash];
    int64_t created_at_ms;

    enum err err =
        store_select_one(store, SQL_KEY_GET, STORE_IN(of_number(key->owner_id), of_text(key->key)),
                         STORE_OUT(to_bytes(hash, sizeof hash), to_u32(&task->id), to_u32(&task->version),
                                   to_strbuf(&change->body), to_time(&created_at_ms)));
    if (err)
        return err;
    if (created_at_ms < clock_wall_ms() - store->config->idempotency_retention_s * 1000) {
        err = delete_key(store, key);
        return err ? err : ERR_NOT_FOUND;
    }
    if (memcmp(hash, key->request_hash, sizeof hash) != 0)
        return ERR_MISMATCH;
    change->answer->repeated = true;
    /* The first answer's commit may be visible and not yet on disk; this answer must not promise more. */
    return store_settle(store);
}

enum err store_claim_key(struct store *store, struct change *change)
{
    const struct store_idempotency *key = change->origin->idempotency;
    if (!key)
        return ERR_OK;
    enum err err = insert_key(store, key);
    if (!store_was_duplicate(store, err))
        return err;
    err = repeat_answer(store, change);
    if (err != ERR_NOT_FOUND)
        return err;
    strbuf_clear(&change->body);
    return insert_key(store, key);
}

enum err store_remember_answer(struct store *store, const struct change *change)
{
    const struct store_idempotency *key = change->origin->idempotency;
    if (!key)
        return ERR_OK;
    return store_execute(store, SQL_KEY_ANSWER,
                         STORE_IN(STORE_ANSWER_VALUES(change), of_number(key->owner_id), of_text(key->key)),
                         NULL);
}
