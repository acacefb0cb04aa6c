/* From libfcgi's streams to our request, and from our response to its streams. */
#include "fcgi-api/http/fcgi_server.h"

#include <errno.h>
#include <fcgiapp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/log.h"
#include "fcgi-api/http/dispatch.h"
#include "fcgi-api/http/drain.h"

#define LISTEN_FD      0
#define PEER_TIMEOUT_S 5 /* nginx sends and fetches at once; who does not has gone */

bool fcgi_server_has_socket(void)
{
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

void fcgi_server_wake(void)
{
    FCGX_ShutdownPending();
}

static int read_piece(void *context, char *buffer, int size)
{
    return FCGX_GetStr(buffer, size, context);
}

/* A client that left is noticed here at the earliest, and it is all the same: what is done is done. */
static void write_out(FCGX_Stream *stream, const struct strbuf *text)
{
    FCGX_PutStr(text->text, (int)text->length, stream);
}

/* Buffers that are the same ones for every request. */
struct exchange {
    struct request request;
    struct response response;
    struct strbuf wire;
};

static void serve(const struct http_service *service, struct app *app, FCGX_Request *fcgi,
                  struct exchange *exchange)
{
    request_begin(&exchange->request, fcgi->envp);
    request_read_body(&exchange->request, (size_t)service->config->max_body_bytes, read_piece, fcgi->in);
    dispatch(service, app, &exchange->request, &exchange->response);

    strbuf_clear(&exchange->wire);
    response_render(&exchange->response, exchange->request.method == METHOD_HEAD, &exchange->wire);
    write_out(fcgi->out, &exchange->wire);
    request_end(&exchange->request);
}

static bool is_local(void)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    return getsockname(LISTEN_FD, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_UNIX;
}

/* Over TCP a peer can vanish without a word, and would hold the worker for ever. Connections take these
 * limits over from the socket they came in by; an accept then ends after them, too, with EAGAIN. A unix
 * socket's peer cannot vanish, and its connections take nothing over. */
static void limit_waits(void)
{
    struct timeval limit = {.tv_sec = PEER_TIMEOUT_S};
    setsockopt(LISTEN_FD, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(LISTEN_FD, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* Before the library closes a connection it waits until the peer has closed it, too (or 2 s), lest a reset
 * overtakes what was sent last. On a unix socket nothing is lost that was sent, so there nobody need wait:
 * three system calls less, and the worker is free at once. */
static void finish(FCGX_Request *fcgi, bool local)
{
    if (local)
        FCGX_Detach(fcgi);
    FCGX_Finish_r(fcgi);
}

/* ERR_AGAIN: nobody came. */
static enum err accept_next(FCGX_Request *fcgi)
{
    int result = FCGX_Accept_r(fcgi);
    if (result == 0)
        return ERR_OK;
    if (drain_asked())
        return ERR_CLOSED;
    if (result == -EAGAIN)
        return ERR_AGAIN;
    log_error("no request can be accepted any more: %s", strerror(-result));
    return ERR_SYSTEM;
}

enum err fcgi_server_run(const struct http_service *service, struct app *app)
{
    static struct exchange exchange;
    FCGX_Request fcgi;
    enum err err = ERR_OK;

    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, LISTEN_FD, 0) != 0)
        return ERR_SYSTEM;
    bool local = is_local();
    if (!local)
        limit_waits();
    drain_open();
    while (!drain_asked() && (err == ERR_OK || err == ERR_AGAIN)) {
        err = accept_next(&fcgi);
        if (err != ERR_OK)
            continue;
        serve(service, app, &fcgi, &exchange);
        finish(&fcgi, local);
    }
    FCGX_Free(&fcgi, 1);
    request_free(&exchange.request);
    response_free(&exchange.response);
    strbuf_free(&exchange.wire);
    return err == ERR_SYSTEM ? err : ERR_OK;
}
