#!/bin/sh
# SPDX-License-Identifier: MIT
# Healthy: a worker of the pool answers. Whether database and broker are there is /readyz's to say: a pool
# that waits for its database is not helped by being taken away.
export REQUEST_METHOD=GET REQUEST_URI=/healthz SCRIPT_NAME=/healthz DOCUMENT_URI=/healthz QUERY_STRING='' \
    SERVER_PROTOCOL=HTTP/1.1 REQUEST_ID=healthcheck CONTENT_LENGTH=''
timeout 4 cgi-fcgi -bind -connect 127.0.0.1:9000 </dev/null 2>/dev/null | grep -q '"status"'
