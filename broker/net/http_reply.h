/* SPDX-License-Identifier: MIT
 *
 * The inside of HttpReply, for the transports only: the head is laid out once, at the first send, and shared
 * by every connection and thread after that.
 */
#pragma once

#include "broker/net/http.h"

struct HttpReply {
    gatomicrefcount refs;
    guint status;
    gboolean close;   /* the connection ends after this answer */
    GBytes *body;     /* may be NULL */
    GString *head;    /* "HTTP/1.1 200 OK\r\n" and all headers but Date and Connection, each line with CRLF;
                         complete from the start */
    GPtrArray *pairs; /* name, value, name, value …: the same headers for HTTP/2 */
};

/* Answers that the transports give by themselves ({"detail": …} and close). New reference. */
HttpReply *http_reply_refusal(guint status);
