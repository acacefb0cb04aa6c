/* SPDX-License-Identifier: MIT */
/* The floor for writing: the SQL of one PATCH, again and again, by THREADS threads for SECONDS seconds.
 *
 *   floor-write THREADS SECONDS TASKS     (tasks 1..TASKS)
 *
 * Environment: DB_SOCKET DB_USER DB_PASSWORD DB_NAME.
 * Prints one JSON object. See README.md beside this file. */
#include <mysql.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EPOCH, LOCK_TASK, NEXT_SEQ, UPDATE_TASK, ADD_EVENT, ADD_OUTBOX, STATEMENTS };

static const char add_event[] =
    "INSERT INTO events (user_id, seq, type, task_id, request_id, traceparent, payload, created_at) "
    "VALUES (?, ?, 'task.completed', ?, '', '', ?, NOW(3))";

static const char *const sql[STATEMENTS] = {
    [EPOCH] = "SELECT value FROM epoch WHERE id = 1",
    [LOCK_TASK] = "SELECT id, user_id, status, content, version FROM tasks WHERE id = ? FOR UPDATE",
    [NEXT_SEQ] = "UPDATE users SET event_seq = LAST_INSERT_ID(event_seq + 1) WHERE id = ?",
    [UPDATE_TASK] =
        "UPDATE tasks SET status = 1, completed_at = NOW(3), version = version + 1, content = ? WHERE id = ?",
    [ADD_EVENT] = add_event,
    [ADD_OUTBOX] = "INSERT INTO outbox (user_id, seq, created_at) VALUES (?, ?, NOW(3))",
};

struct session {
    MYSQL *mysql;
    MYSQL_STMT *statements[STATEMENTS];
    unsigned seed, tasks;
    unsigned long done;
};

static atomic_bool stop;

static void fail(const char *why)
{
    fprintf(stderr, "floor-write: %s\n", why);
    exit(1);
}

static void session_open(struct session *session)
{
    session->mysql = mysql_init(NULL);
    if (!mysql_real_connect(session->mysql, NULL, getenv("DB_USER"), getenv("DB_PASSWORD"), getenv("DB_NAME"),
                            0, getenv("DB_SOCKET"), 0))
        fail(mysql_error(session->mysql));
    for (int i = 0; i < STATEMENTS; i++) {
        session->statements[i] = mysql_stmt_init(session->mysql);
        if (mysql_stmt_prepare(session->statements[i], sql[i], strlen(sql[i])))
            fail(mysql_stmt_error(session->statements[i]));
    }
}

/* False: the transaction is lost to a deadlock and begins again. */
static int run(struct session *session, int which, MYSQL_BIND *in)
{
    MYSQL_STMT *statement = session->statements[which];
    if (in)
        mysql_stmt_bind_param(statement, in);
    if (!mysql_stmt_execute(statement))
        return 1;
    unsigned error = mysql_stmt_errno(statement);
    if (error != 1213 && error != 1205)
        fail(mysql_stmt_error(statement));
    mysql_rollback(session->mysql);
    return 0;
}

static int transaction(struct session *session, unsigned task)
{
    static const char payload[360] = {[0 ... 358] = 'x'};
    unsigned id, user_id, status, version;
    char content[4001];
    unsigned long content_length = 0, payload_length = sizeof payload - 1;
    unsigned long long seq = 0;
    MYSQL_BIND number = {.buffer_type = MYSQL_TYPE_LONG, .is_unsigned = 1};
    MYSQL_BIND of_task = number, of_user = number, of_status = number, of_version = number, of_id = number;
    MYSQL_BIND of_seq = {.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &seq, .is_unsigned = 1};
    MYSQL_BIND of_content = {.buffer_type = MYSQL_TYPE_STRING,
                             .buffer = content,
                             .buffer_length = sizeof content,
                             .length = &content_length};
    MYSQL_BIND of_payload = {
        .buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)payload, .length = &payload_length};
    of_task.buffer = &task;
    of_id.buffer = &id;
    of_user.buffer = &user_id;
    of_status.buffer = &status;
    of_version.buffer = &version;

    mysql_real_query(session->mysql, "START TRANSACTION", 17);
    if (!run(session, LOCK_TASK, &of_task))
        return 0;
    mysql_stmt_bind_result(session->statements[LOCK_TASK],
                           (MYSQL_BIND[]){of_id, of_user, of_status, of_content, of_version});
    if (mysql_stmt_fetch(session->statements[LOCK_TASK]))
        fail("there is no such task");
    mysql_stmt_free_result(session->statements[LOCK_TASK]);
    if (!run(session, NEXT_SEQ, &of_user))
        return 0;
    seq = mysql_stmt_insert_id(session->statements[NEXT_SEQ]);
    if (!run(session, UPDATE_TASK, (MYSQL_BIND[]){of_content, of_task}))
        return 0;
    if (!run(session, EPOCH, NULL))
        return 0;
    mysql_stmt_store_result(session->statements[EPOCH]);
    mysql_stmt_free_result(session->statements[EPOCH]);
    if (!run(session, ADD_EVENT, (MYSQL_BIND[]){of_user, of_seq, of_task, of_payload}) ||
        !run(session, ADD_OUTBOX, (MYSQL_BIND[]){of_user, of_seq}))
        return 0;
    if (mysql_commit(session->mysql))
        fail(mysql_error(session->mysql));
    return 1;
}

static void *work(void *context)
{
    struct session *session = context;
    while (!stop)
        session->done +=
            (unsigned long)transaction(session, 1 + (unsigned)rand_r(&session->seed) % session->tasks);
    mysql_close(session->mysql);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage: floor-write THREADS SECONDS TASKS");
    int threads = atoi(argv[1]), seconds = atoi(argv[2]);
    struct session *sessions = calloc((size_t)threads, sizeof *sessions);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    struct timespec begin, end;
    unsigned long done = 0;

    if (!sessions || !ids)
        abort();
    mysql_library_init(0, NULL, NULL);
    for (int i = 0; i < threads; i++) {
        sessions[i].seed = (unsigned)i + 1;
        sessions[i].tasks = (unsigned)atoi(argv[3]);
        session_open(&sessions[i]);
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, work, &sessions[i]);
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    stop = 1;
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        done += sessions[i].done;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    printf(
        "{\"threads\":%d,\"seconds\":%.3f,\"transactions\":%lu,\"per_second\":%.1f,\"cpu_seconds\":%.3f}\n",
        threads, took, done, (double)done / took, (double)clock() / CLOCKS_PER_SEC);
    free(ids);
    free(sessions);
    return 0;
}
