/* SPDX-License-Identifier: MIT */
/* A message's header table as struct event_meta.
 *
 * Any program with the right may publish to our exchange, so a header can hold any type and any value; a
 * client library picks its own width for a whole number. What does not fit is treated as absent, never as an
 * error: a message without usable headers is still delivered, it only has no cursor. */
#include "common/amqp/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void amqp_copy_text(char *text, size_t size, amqp_bytes_t bytes)
{
    size_t length = bytes.len < size - 1 ? bytes.len : size - 1;
    if (length > 0)
        memcpy(text, bytes.bytes, length);
    text[length] = '\0';
}

static bool whole_number(const amqp_field_value_t *value, int64_t *number)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8:
        *number = (int64_t)value->value.i8;
        return true;
    case AMQP_FIELD_KIND_U8:
        *number = value->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *number = value->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *number = value->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *number = value->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *number = value->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *number = value->value.i64;
        return true;
    case AMQP_FIELD_KIND_U64:
        *number = (int64_t)value->value.u64;
        return value->value.u64 <= INT64_MAX;
    default:
        return false;
    }
}

static bool number_within(const amqp_field_value_t *value, int64_t min, int64_t max, int64_t *number)
{
    int64_t found;
    if (!whole_number(value, &found) || found < min || found > max)
        return false;
    *number = found;
    return true;
}

/* Printable ASCII of at most size - 1 bytes, or false. */
static bool plain_text(const amqp_field_value_t *value, char *text, size_t size)
{
    if (value->kind != AMQP_FIELD_KIND_UTF8 && value->kind != AMQP_FIELD_KIND_BYTES)
        return false;
    amqp_bytes_t bytes = value->value.bytes;
    if (bytes.len >= size)
        return false;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = ((const unsigned char *)bytes.bytes)[i];
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    amqp_copy_text(text, size, bytes);
    return true;
}

static bool epoch_text(const amqp_field_value_t *value, char epoch[CURSOR_EPOCH_MAX + 1])
{
    char text[CURSOR_EPOCH_MAX + 1];
    if (!plain_text(value, text, sizeof text) || text[0] == '\0')
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c))
            return false;
    memcpy(epoch, text, sizeof text);
    return true;
}

static bool key_is(const amqp_table_entry_t *entry, const char *key)
{
    return entry->key.len == strlen(key) && memcmp(entry->key.bytes, key, entry->key.len) == 0;
}

void amqp_headers_read(const amqp_table_t *table, struct amqp_headers *headers)
{
    struct event_meta *meta = headers->meta;
    bool has_user = false, has_seq = false, has_epoch = false;
    int64_t user_id = 0, seq = 0;

    headers->offset = headers->complete_ms = -1;
    for (int i = 0; i < table->num_entries; i++) {
        const amqp_table_entry_t *entry = &table->entries[i];
        if (key_is(entry, "user_id"))
            has_user = number_within(&entry->value, 1, EVENT_ID_MAX, &user_id);
        else if (key_is(entry, "seq"))
            has_seq = number_within(&entry->value, 1, (int64_t)CURSOR_SEQ_MAX, &seq);
        else if (key_is(entry, "epoch"))
            has_epoch = epoch_text(&entry->value, meta->epoch);
        else if (key_is(entry, "traceparent"))
            (void)plain_text(&entry->value, meta->traceparent, sizeof meta->traceparent);
        else if (key_is(entry, "x-stream-offset"))
            (void)number_within(&entry->value, 0, INT64_MAX, &headers->offset);
        else if (key_is(entry, "complete"))
            (void)number_within(&entry->value, 0, INT64_MAX, &headers->complete_ms);
    }
    meta->user_id = (uint32_t)user_id;
    meta->seq = (uint64_t)seq;
    headers->has_meta = has_user && has_seq && has_epoch;
}
