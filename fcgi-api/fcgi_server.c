/* From libfcgi's streams to our request, and from our response to its streams. */
#include "fcgi-api/fcgi_server.h"

#include <fcgiapp.h>
#include <sys/socket.h>

#include "common/log.h"
#include "fcgi-api/dispatch.h"
#include "fcgi-api/drain.h"

#define LISTEN_FD 0

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

static void serve(struct app *app, FCGX_Request *fcgi, struct exchange *exchange)
{
    request_begin(&exchange->request, fcgi->envp);
    request_read_body(&exchange->request, (size_t)app->config->max_body_bytes, read_piece, fcgi->in);
    dispatch(app, &exchange->request, &exchange->response);

    strbuf_clear(&exchange->wire);
    response_render(&exchange->response, exchange->request.method == METHOD_HEAD, &exchange->wire);
    write_out(fcgi->out, &exchange->wire);
    request_end(&exchange->request);
}

enum err fcgi_server_run(struct app *app)
{
    static struct exchange exchange;
    FCGX_Request fcgi;
    enum err err = ERR_OK;

    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, LISTEN_FD, 0) != 0) return ERR_SYSTEM;
    drain_open();
    while (!drain_asked()) {
        if (FCGX_Accept_r(&fcgi) != 0) {
            err = drain_asked() ? ERR_OK : ERR_SYSTEM;
            break;
        }
        serve(app, &fcgi, &exchange);
        FCGX_Finish_r(&fcgi);
    }
    FCGX_Free(&fcgi, 1);
    request_free(&exchange.request);
    response_free(&exchange.response);
    strbuf_free(&exchange.wire);
    return err;
}
