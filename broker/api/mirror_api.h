/* SPDX-License-Identifier: MIT
 *
 * The loopback routes about mirrors and their store (/v1/mirror/…, /v1/store/…; schema/openapi.yaml): who
 * asks has been checked already. Everything is answered by a worker, because databases and disks are asked.
 */
#pragma once

#include "broker/serve/state.h"

/* Takes the exchange and answers it, now or later. FALSE when the route is none of these. */
gboolean mirror_api_answer(ServeThread *thread, HttpExchange *exchange, Route route);
