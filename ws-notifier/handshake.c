/* SPDX-License-Identifier: MIT */
/* The rules of the opening handshake, in the order in which a client's author would repair them. */
#include "ws-notifier/handshake.h"

#include <string.h>
#include <strings.h>

#define KEY_LENGTH 24 /* of 16 bytes in base64 */

/* Whether a list with commas has this word. */
static bool has_word(const char *list, const char *word)
{
    static const char between[] = " \t,";
    size_t length = strlen(word);

    for (list += strspn(list, between); *list != '\0'; list += strspn(list, between)) {
        size_t size = strcspn(list, between);
        if (size == length && strncasecmp(list, word, length) == 0)
            return true;
        list += size;
    }
    return false;
}

/* 16 bytes: the last letter holds two bits of them. */
static bool is_key(const char *key)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strlen(key) == KEY_LENGTH && strspn(key, letters) == KEY_LENGTH - 2 &&
           strchr("AQgw", key[21]) != NULL && strcmp(key + 22, "==") == 0;
}

enum handshake handshake_judge(const struct handshake_request *request, const char **detail)
{
    enum handshake verdict = HANDSHAKE_MALFORMED;

    *detail = "Version " HANDSHAKE_VERSION " of WebSocket is spoken here: send the header "
              "Sec-WebSocket-Version: " HANDSHAKE_VERSION ".";
    if (strcmp(request->http_version, "HTTP/1.1") != 0 || !has_word(request->connection, "upgrade") ||
        strcasecmp(request->upgrade, "websocket") != 0)
        return HANDSHAKE_NONE;
    if (strcmp(request->path, "/") != 0 && strcmp(request->path, "/ws") != 0)
        *detail = "There is no WebSocket at this address: it is at /ws.";
    else if (!request->get)
        *detail = "A WebSocket is opened with GET.";
    else if (request->host[0] == '\0')
        *detail = "The header Host is missing.";
    else if (!is_key(request->key))
        *detail = "The header Sec-WebSocket-Key must hold 16 bytes in base64.";
    else if (strcmp(request->version, HANDSHAKE_VERSION) != 0)
        verdict = HANDSHAKE_OTHER_VERSION;
    else if (request->subprotocols[0] != '\0' && !has_word(request->subprotocols, HANDSHAKE_SUBPROTOCOL))
        *detail = "There are no subprotocols here: leave out the header Sec-WebSocket-Protocol.";
    else
        verdict = HANDSHAKE_FINE;
    return verdict;
}
