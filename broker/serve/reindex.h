/* SPDX-License-Identifier: MIT
 *
 * POST /admin/reindex: scans one pack or all and answers when the new state is published. Order of checks
 * (contract): body, token. A path that cannot be a pack's, or at which there is none, is how a removal is
 * published: it is no error.
 */
#pragma once

#include "broker/serve/state.h"

void reindex_post(ServeThread *thread, HttpExchange *exchange);
