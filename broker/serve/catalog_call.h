/* SPDX-License-Identifier: MIT
 *
 * GET /catalog?cursor=&limit=: the packs as releases, page by page. A cursor is the path of the last pack of
 * the page before, in hexadecimal, and means "what follows it now": a listing that goes on while packs come
 * and go names every pack that was there all the time exactly once. Each page is read off the catalog's tree,
 * so that it costs its own length.
 */
#pragma once

#include "broker/serve/fetch.h"

/* 400 for a cursor or limit that is none. */
void catalog_call(ServeThread *thread, HttpExchange *exchange, const View *view);
