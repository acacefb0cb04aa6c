/* SPDX-License-Identifier: MIT */
/* Reading a request: one pass over the parameters, then each field is checked on its own. */
#include "fcgi-api/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/random_id.h"

/* A body over the limit is read away up to here; what still comes then is a flood, and is left. */
#define DRAIN_MAX ((size_t)64 * 1024 * 1024)

struct parameter {
    const char *name;
    size_t name_length;
    size_t offset; /* in struct request */
    bool once;
};

static const struct parameter parameters_read[] = {
#define X(field, name, once) {(name), sizeof(name) - 1, offsetof(struct request, field), once},
    REQUEST_PARAMETERS(X)
#undef X
};

static const char *const method_names[] = {
#define X(method, name) [method] = (name),
    METHODS(X)
#undef X
};

const char *method_name(enum method method)
{
    return method_names[method];
}

static void set_fault(struct request *request, enum request_fault fault)
{
    if (request->fault == REQUEST_SOUND)
        request->fault = fault;
}

static void take_value(struct request *request, const struct parameter *parameter, const char *value)
{
    const char **field = (const char **)((char *)request + parameter->offset);
    if (parameter->once && *field != NULL)
        set_fault(request, REQUEST_HEADER_TWICE);
    *field = value;
}

/* libfcgi would search its whole list for every name; this looks at each entry once. */
static void read_parameters(struct request *request, char *const *parameters)
{
    const size_t count = sizeof parameters_read / sizeof parameters_read[0];
    for (; *parameters != NULL; parameters++) {
        const char *equals = strchr(*parameters, '=');
        if (equals == NULL)
            continue;
        size_t length = (size_t)(equals - *parameters);
        for (size_t i = 0; i < count; i++) {
            if (parameters_read[i].name_length != length)
                continue;
            if (memcmp(parameters_read[i].name, *parameters, length) != 0)
                continue;
            take_value(request, &parameters_read[i], equals + 1);
            break;
        }
    }
}

static enum method read_method(const char *text)
{
    if (text == NULL)
        return METHOD_OTHER;
    for (int i = 0; i < METHOD_OTHER; i++)
        if (strcmp(text, method_names[i]) == 0)
            return (enum method)i;
    return METHOD_OTHER;
}

static void read_uri(struct request *request)
{
    if (request->uri == NULL)
        request->uri = "";
    size_t length = strlen(request->uri), path_length = strcspn(request->uri, "?#");

    request->raw_path_length = path_length;
    request->path[0] = '\0';
    request->query = "";
    if (length > URI_MAX) {
        set_fault(request, REQUEST_URI_TOO_LONG);
        return;
    }
    if (request->uri[path_length] == '?')
        request->query = request->uri + path_length + 1;
    if (uri_decode(URI_PATH, request->uri, path_length, request->path) != ERR_OK)
        set_fault(request, REQUEST_URI_MALFORMED);
}

static bool is_id(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (text == NULL)
        return false;
    size_t length = strnlen(text, EVENT_REQUEST_ID_MAX + 1);
    return length > 0 && length <= EVENT_REQUEST_ID_MAX && strspn(text, allowed) == length;
}

static void read_id(struct request *request)
{
    const char *id = is_id(request->server_id) ? request->server_id : request->client_id;
    if (is_id(id))
        snprintf(request->id, sizeof request->id, "%s", id);
    else
        random_id_hex(request->id, 32);
}

/* nginx's $msec: "1704214800.123". */
static int64_t read_start(const char *text)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return 0;
    long long seconds = strtoll(text, &end, 10);
    if (end[0] != '.' || strspn(end + 1, "0123456789") != 3 || end[4] != '\0')
        return 0;
    return seconds > 99999999999 ? 0 : seconds * 1000 + strtol(end + 1, NULL, 10);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void forget(struct request *request)
{
#define X(field, ...) request->field = NULL;
    REQUEST_PARAMETERS(X)
#undef X
    request->fault = REQUEST_SOUND;
    request->route = NULL;
    request->target = NULL;
    request->target_length = 0;
    request->target_id = 0;
    request->identity = (struct identity){0};
    request->errors.count = 0;
    request->errors.total = 0;
    request->span.traceparent[0] = '\0';
    strbuf_clear(&request->body);
}

void request_begin(struct request *request, char *const *parameters)
{
    request->received_at_us = now_us();
    forget(request);
    read_parameters(request, parameters);
    request->method = read_method(request->method_text);
    if (request->method_text == NULL)
        request->method_text = "";
    read_uri(request);
    read_id(request);
    request->traceparent = traceparent_valid(request->traceparent_text) ? request->traceparent_text : "";
    request->sent_at_ms = read_start(request->start_text);
}

static bool is_announced_length(const char *text, size_t length)
{
    if (text == NULL || text[0] == '\0')
        return true;
    return strtoull(text, NULL, 10) == length;
}

void request_read_body(struct request *request, size_t most, request_body_reader *reader, void *context)
{
    char piece[8192];
    size_t total = 0;
    int got;

    do {
        got = reader(context, piece, sizeof piece);
        if (got <= 0)
            break;
        total += (size_t)got;
        if (total <= most)
            strbuf_add(&request->body, piece, (size_t)got);
    } while (got == (int)sizeof piece && total < DRAIN_MAX);

    if (total > most) {
        strbuf_clear(&request->body);
        set_fault(request, REQUEST_BODY_TOO_LARGE);
    } else if (!is_announced_length(request->content_length, total)) {
        set_fault(request, REQUEST_BODY_CUT);
    }
}

void request_end(struct request *request)
{
    cJSON_Delete(request->json);
    request->json = NULL;
}

void request_free(struct request *request)
{
    request_end(request);
    strbuf_free(&request->body);
}

int64_t request_elapsed_us(const struct request *request)
{
    return now_us() - request->received_at_us;
}
