/* SPDX-License-Identifier: MIT */
/* Metric values in one mapping of 64-bit atomics, laid out in the order of the table: a counter or gauge has
 * one cell, a histogram one per bucket, then count and sum. The mapping's first cells tell its shape. */
#include "common/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS         17 /* 0.25 ms * 2^0 .. 2^16 = 16.384 s; above: +Inf, which is the count */
#define FIRST_BUCKET_US 250
#define HISTOGRAM_CELLS (BUCKETS + 2)
#define HEADER_CELLS    1

typedef _Atomic int64_t cell;

struct metrics {
    const struct metric_def *defs;
    size_t count;
    size_t *first_cell; /* per metric */
    cell *cells;
    size_t bytes;
};

static size_t cells_of(const struct metric_def *def)
{
    return def->kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : 1;
}

/* FNV-1a over the table: two tables of the same shape and names agree, others practically never. */
static int64_t shape_of(const struct metric_def *defs, size_t count)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < count; i++) {
        const char *parts[] = {defs[i].name, defs[i].labels};
        for (size_t p = 0; p < 2; p++)
            for (const char *c = parts[p]; *c != '\0'; c++)
                hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        hash = (hash ^ (uint64_t)defs[i].kind) * 1099511628211u;
    }
    return (int64_t)(hash | 1); /* never 0: that is a fresh file */
}

/* Is the open file still the one of that name? */
static bool is_named(int fd, const char *path)
{
    struct stat open_one, named;
    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 && open_one.st_ino == named.st_ino &&
           open_one.st_dev == named.st_dev;
}

/* The file is locked and named `path`. False: it is of another table, and is not `path` any more. */
static bool has_shape(int fd, const char *path, size_t bytes, int64_t shape, bool *failed)
{
    struct stat info;
    int64_t found = 0;

    *failed = fstat(fd, &info) != 0;
    if (*failed)
        return false;
    if (info.st_size == (off_t)bytes && pread(fd, &found, sizeof found, 0) == sizeof found && found == shape)
        return true;
    if (info.st_size != 0) {
        /* Another table's file may still be mapped by its workers: leave it to them, make a new one. */
        *failed = unlink(path) != 0;
        return false;
    }
    *failed = ftruncate(fd, (off_t)bytes) != 0 || pwrite(fd, &shape, sizeof shape, 0) != sizeof shape;
    return !*failed;
}

/* Opens the file with the right size and shape, under a lock so that workers that start together agree: also
 * when one of them has put another file in its place while the others waited for the lock of the old one. */
static int open_shared(const char *path, size_t bytes, int64_t shape)
{
    for (;;) {
        bool failed = false;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX) != 0)
            failed = errno != EINTR;
        else if (is_named(fd, path) && has_shape(fd, path, bytes, shape, &failed))
            return fd;
        close(fd);
        if (failed)
            return -1;
    }
}

static cell *map_cells(const char *path, size_t bytes, int64_t shape)
{
    bool shared = path[0] != '\0';
    int fd = shared ? open_shared(path, bytes, shape) : -1;
    if (shared && fd < 0)
        return NULL;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
    if (fd >= 0) {
        flock(fd, LOCK_UN); /* not by close(): the mapping keeps the open file, and so its lock, alive */
        close(fd);
    }
    return memory == MAP_FAILED ? NULL : memory;
}

enum err metrics_open(const char *path, const struct metric_def *defs, size_t count, struct metrics **out)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    size_t cells = HEADER_CELLS;

    if (metrics == NULL || (metrics->first_cell = calloc(count, sizeof *metrics->first_cell)) == NULL)
        abort();
    metrics->defs = defs;
    metrics->count = count;
    for (size_t i = 0; i < count; i++) {
        metrics->first_cell[i] = cells;
        cells += cells_of(&defs[i]);
    }
    metrics->bytes = cells * sizeof(cell);
    metrics->cells = map_cells(path, metrics->bytes, shape_of(defs, count));
    if (metrics->cells == NULL) {
        metrics_close(&metrics);
        return ERR_SYSTEM;
    }
    *out = metrics;
    return ERR_OK;
}

void metrics_close(struct metrics **metrics)
{
    int saved = errno;
    if (*metrics == NULL)
        return;
    if ((*metrics)->cells != NULL)
        munmap((*metrics)->cells, (*metrics)->bytes);
    free((*metrics)->first_cell);
    free(*metrics);
    *metrics = NULL;
    errno = saved;
}

static cell *cell_of(const struct metrics *metrics, size_t index)
{
    return &metrics->cells[metrics->first_cell[index]];
}

void metrics_add(struct metrics *metrics, size_t index, int64_t delta)
{
    atomic_fetch_add_explicit(cell_of(metrics, index), delta, memory_order_relaxed);
}

int64_t metrics_count(struct metrics *metrics, size_t index)
{
    return atomic_fetch_add_explicit(cell_of(metrics, index), 1, memory_order_relaxed) + 1;
}

void metrics_set(struct metrics *metrics, size_t index, int64_t value)
{
    atomic_store_explicit(cell_of(metrics, index), value, memory_order_relaxed);
}

int64_t metrics_get(const struct metrics *metrics, size_t index)
{
    return atomic_load_explicit(cell_of(metrics, index), memory_order_relaxed);
}

void metrics_observe_us(struct metrics *metrics, size_t index, int64_t microseconds)
{
    cell *cells = cell_of(metrics, index);
    int64_t limit = FIRST_BUCKET_US;
    size_t bucket = 0;

    while (bucket < BUCKETS && microseconds > limit) {
        limit *= 2;
        bucket++;
    }
    if (bucket < BUCKETS)
        atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[BUCKETS], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[BUCKETS + 1], microseconds, memory_order_relaxed);
}

static void render_histogram(const struct metric_def *def, const cell *cells, struct strbuf *out)
{
    const char *comma = def->labels[0] != '\0' ? "," : "";
    int64_t count = atomic_load_explicit(&cells[BUCKETS], memory_order_relaxed), below = 0;
    int64_t sum_us = atomic_load_explicit(&cells[BUCKETS + 1], memory_order_relaxed);

    for (size_t i = 0; i < BUCKETS; i++) {
        below += atomic_load_explicit(&cells[i], memory_order_relaxed);
        strbuf_printf(out, "%s_bucket{%s%sle=\"%g\"} %" PRId64 "\n", def->name, def->labels, comma,
                      FIRST_BUCKET_US * (double)(1 << i) / 1e6, below);
    }
    if (count < below) /* a worker is between its two additions */
        count = below;
    strbuf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", def->name, def->labels, comma, count);
    const char *open = def->labels[0] != '\0' ? "{" : "", *close = def->labels[0] != '\0' ? "}" : "";
    strbuf_printf(out, "%s_sum%s%s%s %.6f\n", def->name, open, def->labels, close, (double)sum_us / 1e6);
    strbuf_printf(out, "%s_count%s%s%s %" PRId64 "\n", def->name, open, def->labels, close, count);
}

static void render_value(const struct metric_def *def, int64_t value, struct strbuf *out)
{
    const char *open = def->labels[0] != '\0' ? "{" : "", *close = def->labels[0] != '\0' ? "}" : "";

    strbuf_printf(out, "%s%s%s%s ", def->name, open, def->labels, close);
    if (def->kind == METRIC_SECONDS)
        strbuf_printf(out, "%.3f\n", (double)value / 1000);
    else
        strbuf_printf(out, "%" PRId64 "\n", def->kind == METRIC_INFO ? 1 : value);
}

void metrics_render(const struct metrics *metrics, struct strbuf *out)
{
    static const char *const kinds[] = {[METRIC_COUNTER] = "counter",
                                        [METRIC_GAUGE] = "gauge",
                                        [METRIC_SECONDS] = "gauge",
                                        [METRIC_INFO] = "gauge",
                                        [METRIC_HISTOGRAM] = "histogram"};

    for (size_t i = 0; i < metrics->count; i++) {
        const struct metric_def *def = &metrics->defs[i];
        if (i == 0 || strcmp(def->name, metrics->defs[i - 1].name) != 0)
            strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", def->name, def->help, def->name,
                          kinds[def->kind]);
        if (def->kind == METRIC_HISTOGRAM)
            render_histogram(def, cell_of(metrics, i), out);
        else
            render_value(def, metrics_get(metrics, i), out);
    }
}
