/* SPDX-License-Identifier: MIT */
/* The floor for reading: the cost of libfcgi and libmariadb alone. One process, one request at a time, one
 * prepared statement for each request, printf. See README.md beside this file. */
#include <fcgi_stdio.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS "id, user_id, status, content, created_at, completed_at"

struct row {
    unsigned id, user_id, status;
    char content[4001];
    unsigned long content_length;
    MYSQL_TIME created_at, completed_at;
    my_bool open;
};

static MYSQL *connect_database(void)
{
    MYSQL *mysql = mysql_init(NULL);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(mysql, NULL, getenv("DB_USER"), getenv("DB_PASSWORD"), getenv("DB_NAME"), 0,
                            getenv("DB_SOCKET"), 0)) {
        fprintf(stderr, "floor-read: %s\n", mysql_error(mysql));
        exit(1);
    }
    return mysql;
}

static MYSQL_STMT *prepare(MYSQL *mysql, const char *sql, struct row *row)
{
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    MYSQL_BIND out[] = {
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = &row->id, .is_unsigned = 1},
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = &row->user_id, .is_unsigned = 1},
        {.buffer_type = MYSQL_TYPE_LONG, .buffer = &row->status, .is_unsigned = 1},
        {.buffer_type = MYSQL_TYPE_STRING,
         .buffer = row->content,
         .buffer_length = sizeof row->content - 1,
         .length = &row->content_length},
        {.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &row->created_at},
        {.buffer_type = MYSQL_TYPE_DATETIME, .buffer = &row->completed_at, .is_null = &row->open},
    };
    if (mysql_stmt_prepare(statement, sql, strlen(sql)) || mysql_stmt_bind_result(statement, out)) {
        fprintf(stderr, "floor-read: %s\n", mysql_stmt_error(statement));
        exit(1);
    }
    return statement;
}

static void execute(MYSQL_STMT *statement, unsigned *numbers, int count)
{
    MYSQL_BIND in[3] = {{0}};
    for (int i = 0; i < count; i++)
        in[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONG, .buffer = &numbers[i], .is_unsigned = 1};
    if (mysql_stmt_bind_param(statement, in) || mysql_stmt_execute(statement)) {
        fprintf(stderr, "floor-read: %s\n", mysql_stmt_error(statement));
        exit(1);
    }
}

static void print_time(const char *name, const MYSQL_TIME *time)
{
    printf(",\"%s\":\"%04u-%02u-%02uT%02u:%02u:%02u.%03luZ\"", name, time->year, time->month, time->day,
           time->hour, time->minute, time->second, time->second_part / 1000);
}

static void print_row(const struct row *row)
{
    printf("{\"id\":%u,\"user_id\":%u,\"status\":%u,\"content\":\"%.*s\"", row->id, row->user_id, row->status,
           (int)row->content_length, row->content);
    print_time("createdAt", &row->created_at);
    if (row->open)
        printf(",\"completedAt\":null}");
    else
        print_time("completedAt", &row->completed_at), printf("}");
}

static unsigned query_number(const char *query, const char *name)
{
    const char *at = strstr(query, name);
    return at ? (unsigned)strtoul(at + strlen(name), NULL, 10) : 0;
}

int main(void)
{
    static struct row row;
    MYSQL *mysql = connect_database();
    MYSQL_STMT *one = prepare(mysql, "SELECT " COLUMNS " FROM tasks WHERE id = ?", &row);
    MYSQL_STMT *page = prepare(
        mysql, "SELECT " COLUMNS " FROM tasks WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?", &row);

    while (FCGI_Accept() >= 0) {
        const char *path = getenv("DOCUMENT_URI"), *query = getenv("QUERY_STRING");
        if (!query)
            query = "";
        printf("Content-Type: application/json\r\n\r\n");
        if (path && strncmp(path, "/tasks/", 7) == 0) {
            unsigned id = (unsigned)strtoul(path + 7, NULL, 10);
            execute(one, &id, 1);
            while (mysql_stmt_fetch(one) == 0)
                print_row(&row);
            continue;
        }
        unsigned numbers[] = {query_number(query, "user_id="), query_number(query, "after="),
                              query_number(query, "limit=")};
        execute(page, numbers, 3);
        const char *before = "[";
        while (mysql_stmt_fetch(page) == 0)
            printf("%s", before), print_row(&row), before = ",";
        printf("]");
    }
    return 0;
}
