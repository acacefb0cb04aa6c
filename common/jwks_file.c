/* SPDX-License-Identifier: MIT */
/* Reading a key set, and reading it again when the file changes. */
#include "common/jwks_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define LOOK_MS  1000
#define WHY_SIZE 160

/* By what a file and its content are told apart from another file in its place. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct jwks_file {
    const char *path;
    struct jwks *keys;
    pthread_rwlock_t lock; /* of `keys` */
    atomic_int_fast64_t looked_at;
    pthread_mutex_t looking; /* of what follows */
    struct stamp stamp;
    bool missing; /* and the log has said so */
};

static struct stamp stamp_of(const struct stat *stat)
{
    struct stamp stamp;
    memset(&stamp, 0, sizeof stamp); /* to be compared as bytes */
    stamp.device = stat->st_dev;
    stamp.inode = stat->st_ino;
    stamp.size = stat->st_size;
    stamp.modified = stat->st_mtim;
    stamp.changed = stat->st_ctim;
    return stamp;
}

/* The file's bytes, to free(); NULL: `why` tells. */
static char *read_all(int fd, size_t *length, char why[WHY_SIZE])
{
    char *text = malloc(JWKS_BYTES_MAX + 1);
    ssize_t got = 1;

    if (text == NULL)
        abort();
    for (*length = 0; got > 0 && *length <= JWKS_BYTES_MAX; *length += got > 0 ? (size_t)got : 0)
        got = read(fd, text + *length, JWKS_BYTES_MAX + 1 - *length);
    if (got == 0)
        return text;
    if (got < 0)
        snprintf(why, WHY_SIZE, "cannot be read: %s", strerror(errno));
    else
        snprintf(why, WHY_SIZE, "has more than %d bytes", JWKS_BYTES_MAX);
    free(text);
    return NULL;
}

/* Its stamp is of what was read. NULL: `why` tells. */
static struct jwks *load(const char *path, struct stamp *stamp, char why[WHY_SIZE])
{
    struct jwks *keys = NULL;
    struct stat stat;
    const char *wrong = NULL;
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &stat) != 0) {
        snprintf(why, WHY_SIZE, "cannot be opened: %s", strerror(errno));
    } else {
        *stamp = stamp_of(&stat);
        char *text = read_all(fd, &length, why);
        if (text != NULL && jwks_parse(text, length, &keys, &wrong) != ERR_OK)
            snprintf(why, WHY_SIZE, "%s", length == 0 ? "is empty" : wrong);
        free(text);
    }
    if (fd >= 0)
        close(fd);
    return keys;
}

enum err jwks_file_open(const char *path, struct jwks_file **out, char *why, size_t size)
{
    char wrong[WHY_SIZE];
    struct jwks_file *file = calloc(1, sizeof *file);

    if (file == NULL)
        abort();
    file->path = path;
    pthread_rwlock_init(&file->lock, NULL);
    pthread_mutex_init(&file->looking, NULL);
    atomic_store(&file->looked_at, clock_monotonic_ms());
    file->keys = load(path, &file->stamp, wrong);
    if (file->keys == NULL) {
        snprintf(why, size, "JWT_JWKS_FILE: %.200s %s", path, wrong);
        jwks_file_close(&file);
    }
    *out = file;
    return file != NULL ? ERR_OK : ERR_INVALID;
}

void jwks_file_close(struct jwks_file **file)
{
    if (*file == NULL)
        return;
    jwks_free(&(*file)->keys);
    pthread_rwlock_destroy(&(*file)->lock);
    pthread_mutex_destroy(&(*file)->looking);
    free(*file);
    *file = NULL;
}

/* ---- again --------------------------------------------------------------------------------------- */

static void keep(const struct jwks_file *file, const char *why)
{
    log_warn("JWT_JWKS_FILE: %s %s: the keys from before stay", file->path, why);
}

static void use(struct jwks_file *file, struct jwks *keys)
{
    pthread_rwlock_wrlock(&file->lock);
    struct jwks *before = file->keys;
    file->keys = keys;
    pthread_rwlock_unlock(&file->lock);
    jwks_free(&before);
    log_info("JWT_JWKS_FILE: %s has changed: %zu keys", file->path, keys->count);
}

static void look(struct jwks_file *file)
{
    char why[WHY_SIZE];
    struct stat stat_now;
    struct stamp stamp;

    if (stat(file->path, &stat_now) != 0) {
        snprintf(why, sizeof why, "cannot be opened: %s", strerror(errno));
        if (!file->missing)
            keep(file, why);
        file->missing = true;
        return;
    }
    stamp = stamp_of(&stat_now);
    file->missing = false;
    if (memcmp(&stamp, &file->stamp, sizeof stamp) == 0)
        return;
    struct jwks *keys = load(file->path, &stamp, why);
    file->stamp = stamp;
    if (keys != NULL)
        use(file, keys);
    else
        keep(file, why);
}

const struct jwks *jwks_file_hold(struct jwks_file *file)
{
    int64_t now = clock_monotonic_ms();
    if (now - atomic_load(&file->looked_at) >= LOOK_MS && pthread_mutex_trylock(&file->looking) == 0) {
        look(file);
        atomic_store(&file->looked_at, now);
        pthread_mutex_unlock(&file->looking);
    }
    pthread_rwlock_rdlock(&file->lock);
    return file->keys;
}

void jwks_file_release(struct jwks_file *file)
{
    pthread_rwlock_unlock(&file->lock);
}

bool jwks_file_report(const char *path)
{
    struct stamp stamp;
    char why[WHY_SIZE];
    struct jwks *keys = load(path, &stamp, why);

    if (keys == NULL) {
        fprintf(stderr, "%s %s\n", path, why);
        return false;
    }
    printf("%s has %zu %s:", path, keys->count, keys->count == 1 ? "key" : "keys");
    for (size_t i = 0; i < keys->count; i++)
        printf("%s %s", i > 0 ? "," : "", keys->keys[i].algorithm);
    putchar('\n');
    jwks_free(&keys);
    return true;
}
