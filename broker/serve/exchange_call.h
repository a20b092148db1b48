/* SPDX-License-Identifier: MIT
 *
 * The routes by which brokers compare their catalogs: /catalog/checkpoint, /catalog/digest and
 * /catalog/changes. docs/formats.md, "Catalog exchange".
 */
#pragma once

#include "broker/serve/fetch.h"

/* Answers a request for one of
 *   /catalog/checkpoint               a signed note as text/plain
 *   /catalog/digest[/{prefix}[,{prefix}…]]   400 for prefixes that are none
 *   /catalog/changes?since=&limit=    400 for numbers that are none, 410 when the journal does not know since
 * after the first scan. `path` is the decoded path. 503 when the journal could not be written. */
void exchange_call(ServeThread *thread, HttpExchange *exchange, const View *view, const RouteMatch *match,
                   const char *path);
