/* SPDX-License-Identifier: MIT */
/* From libfcgi's streams to our request, and from our response to its streams. */
#include "fcgi-api/http/fcgi_server.h"

#include <errno.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "common/log.h"
#include "fcgi-api/http/dispatch.h"
#include "fcgi-api/http/drain.h"

#define LISTEN_FD      0
#define LOOK_S         1 /* a thread that waits for a request looks so often whether it is to leave */
#define KEPT_BYTES     32768
#define PEER_TIMEOUT_S 2 /* nginx sends and fetches at once; a peer that does not is gone */

/* A request thread. Its buffers are the same ones for every request. */
struct server_thread {
    struct fcgi_server *server;
    pthread_t id;
    bool runs;
    FCGX_Request fcgi;
    struct request request;
    struct response response;
    struct strbuf wire;
};

struct fcgi_server {
    const struct http_service *service;
    struct app *app;
    bool local; /* descriptor 0 is a unix socket */
    atomic_bool failed;
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    size_t running; /* threads that have not ended */
    size_t count;
    struct server_thread threads[];
};

bool fcgi_server_has_socket(void)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

/* ---- one request --------------------------------------------------------------------------------- */

static int read_piece(void *context, char *buffer, int size)
{
    return FCGX_GetStr(buffer, size, context);
}

/* A client that left is noticed here at the earliest, which changes nothing: the request has had its effect.
 */
static void write_out(FCGX_Stream *stream, const struct strbuf *text)
{
    FCGX_PutStr(text->text, (int)text->length, stream);
}

/* A thread keeps its buffers, but not the largest that it ever needed: there are many threads. */
static void let_go(struct strbuf *buffer)
{
    if (buffer->capacity > KEPT_BYTES)
        strbuf_free(buffer);
}

static void serve(struct server_thread *self)
{
    const struct fcgi_server *server = self->server;
    request_begin(&self->request, self->fcgi.envp);
    request_read_body(&self->request, (size_t)server->service->config->max_body_bytes, read_piece,
                      self->fcgi.in);
    dispatch(server->service, server->app, &self->request, &self->response);

    strbuf_clear(&self->wire);
    response_render(&self->response, self->request.method == METHOD_HEAD, &self->wire);
    write_out(self->fcgi.out, &self->wire);
    request_end(&self->request);
    let_go(&self->wire);
    let_go(&self->response.body);
    let_go(&self->request.body);
}

/* Before the library closes a connection it waits until the peer has closed it, too (or 2 s), lest a reset
 * overtakes what was sent last. On a unix socket nothing is lost that was sent, so there is no need to wait:
 * three system calls less, and the thread is free at once. */
static void finish(struct server_thread *self)
{
    if (self->server->local)
        FCGX_Detach(&self->fcgi);
    FCGX_Finish_r(&self->fcgi);
}

/* ERR_AGAIN: no request came. */
static enum err accept_next(struct server_thread *self)
{
    int result = FCGX_Accept_r(&self->fcgi);
    if (result == 0)
        return ERR_OK;
    if (drain_asked())
        return ERR_CLOSED;
    if (result == -EAGAIN)
        return ERR_AGAIN;
    log_error("no request can be accepted any more: %s", strerror(-result));
    return ERR_SYSTEM;
}

static void count_thread(struct fcgi_server *server, int change)
{
    pthread_mutex_lock(&server->mutex);
    server->running += (size_t)change;
    pthread_cond_signal(&server->ended);
    pthread_mutex_unlock(&server->mutex);
}

static void *run(void *argument)
{
    struct server_thread *self = argument;
    enum err err = ERR_OK;

    while (!drain_asked() && (err == ERR_OK || err == ERR_AGAIN)) {
        err = accept_next(self);
        if (err != ERR_OK)
            continue;
        serve(self);
        finish(self);
    }
    FCGX_Free(&self->fcgi, 1);
    request_free(&self->request);
    response_free(&self->response);
    strbuf_free(&self->wire);
    if (err == ERR_SYSTEM) {
        atomic_store(&self->server->failed, true);
        drain_ask();
    }
    count_thread(self->server, -1);
    return NULL;
}

/* ---- all of them --------------------------------------------------------------------------------- */

static bool is_local(void)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    return getsockname(LISTEN_FD, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_UNIX;
}

/* An accept ends after the receive timeout with EAGAIN: no thread waits longer for a request that does not
 * come, and none has to be interrupted when the worker is to leave. Over TCP a peer can also vanish without
 * closing, and would hold a thread for ever; connections take the limits over from the socket they came in
 * by. A unix socket's peer cannot vanish, and its connections take nothing over. */
static void limit_waits(bool local)
{
    struct timeval receive = {.tv_sec = local ? LOOK_S : PEER_TIMEOUT_S}, send = {.tv_sec = PEER_TIMEOUT_S};
    setsockopt(LISTEN_FD, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof receive);
    setsockopt(LISTEN_FD, SOL_SOCKET, SO_SNDTIMEO, &send, sizeof send);
}

/* A request thread takes no signal, except the one that its own calls raise (common/sandbox.h). */
static int start_thread(struct server_thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    count_thread(thread->server, 1);
    int failed = pthread_create(&thread->id, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->runs = failed == 0;
    if (failed)
        count_thread(thread->server, -1);
    return failed;
}

enum err fcgi_server_start(const struct http_service *service, struct app *app, int threads,
                           struct fcgi_server **out)
{
    if (FCGX_Init() != 0)
        return ERR_SYSTEM;
    struct fcgi_server *server = calloc(1, sizeof *server + (size_t)threads * sizeof server->threads[0]);
    if (!server)
        abort();
    server->service = service;
    server->app = app;
    server->local = is_local();
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&server->mutex, NULL);
    limit_waits(server->local);
    *out = server;
    for (; server->count < (size_t)threads; server->count++) {
        struct server_thread *thread = &server->threads[server->count];
        thread->server = server;
        if (FCGX_InitRequest(&thread->fcgi, LISTEN_FD, 0) != 0 || start_thread(thread) != 0)
            return ERR_SYSTEM;
    }
    return ERR_OK;
}

static struct timespec after_ms(int ms)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    moment.tv_sec += ms / 1000;
    moment.tv_nsec += ms % 1000 * 1000000L;
    moment.tv_sec += moment.tv_nsec / 1000000000;
    moment.tv_nsec %= 1000000000;
    return moment;
}

static bool all_ended(struct fcgi_server *server, int deadline_ms)
{
    struct timespec until = after_ms(deadline_ms);
    int waited = 0;
    pthread_mutex_lock(&server->mutex);
    while (server->running > 0 && waited == 0)
        waited = pthread_cond_timedwait(&server->ended, &server->mutex, &until);
    bool ended = server->running == 0;
    pthread_mutex_unlock(&server->mutex);
    return ended;
}

enum err fcgi_server_join(struct fcgi_server **out, int deadline_ms)
{
    struct fcgi_server *server = *out;
    if (!all_ended(server, deadline_ms))
        return ERR_AGAIN;
    for (size_t i = 0; i < server->count; i++)
        if (server->threads[i].runs)
            pthread_join(server->threads[i].id, NULL);
    bool failed = atomic_load(&server->failed);
    pthread_cond_destroy(&server->ended);
    pthread_mutex_destroy(&server->mutex);
    free(server);
    *out = NULL;
    return failed ? ERR_SYSTEM : ERR_OK;
}
