/* SPDX-License-Identifier: MIT
 *
 * The loopback listener's routes: what only programs on this host may ask. Every route but ping, healthz and
 * readyz is guarded three times, in this order: Host must name loopback and Origin, when there is one, this
 * very listener (so that a web page in a browser on this host cannot reach it, not even by rebinding a name),
 * and the bearer token of daemon.json must be shown. Errors are {"error","message","status"}.
 */
#pragma once

#include "broker/net/http.h"

/* HttpService.request of the loopback listener. */
void api_request(HttpExchange *exchange, gpointer thread_user);

/* The checks, pure; for tests. Host: localhost, 127.0.0.1 or ::1 with or without brackets and port. */
gboolean api_host_is_loopback(HttpSlice host);
/* TRUE when the origin is http or https at exactly `host`. */
gboolean api_origin_is_host(HttpSlice origin, HttpSlice host);
/* TRUE when the header is "Bearer <token>". */
gboolean api_bearer_is(HttpSlice authorization, const char *token);
