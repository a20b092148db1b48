/* SPDX-License-Identifier: MIT
 *
 * Which view a request has a token for, and how its answers say that they are for this asker only.
 *
 * "Authorization: Bearer <token>" with anything but a valid token is the same as none at all, so that nobody
 * can find out by trying whether there are tokens, or private packs. (RFC 6750 would have 401.)
 */
#pragma once

#include "broker/net/http.h"
#include "broker/serve/publisher.h"

/* NULL: a stranger. Costs one comparison when there are no tokens, one look for the header when the request
 * has none, and a hash when it has one that could be a token. Borrowed from the snapshot. */
const View *view_request_find(const Snapshot *snapshot, const HttpRequest *request);
/* Adds "Cache-Control: private" and "Vary: Authorization" to a reply that nobody else has, unless `view` is
 * NULL. */
void view_request_mark(const View *view, HttpReply *reply);
/* status_reply, marked. */
HttpReply *view_request_refusal(const View *view, guint status);
